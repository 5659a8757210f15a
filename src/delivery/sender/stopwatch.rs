//! When a request had left and when its answer began, as the stream beneath HTTP saw it.
//!
//! HTTP tells of an answer when its head is whole; a receiver that drips its head would look slow to begin.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connector::Stream;

/// Shared by a connection and its stream, which belongs to hyper.
#[derive(Debug, Clone, Default)]
pub(super) struct Stopwatch(Arc<Mutex<Moments>>);

#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    /// When the last bytes left before anything came back.
    sent: Option<Instant>,
    /// When something came back first.
    answered: Option<Instant>,
}

impl Stopwatch {
    /// Begins anew, for another request.
    pub(super) fn reset(&self) {
        *self.moments() = Moments::default();
    }

    /// From the request's end to the answer's first byte. An answer that did not wait for the end took no time.
    pub(super) fn first_byte(&self) -> Option<Duration> {
        let Moments { sent, answered } = *self.moments();
        answered.map(|answered| answered - sent.unwrap_or(answered))
    }

    fn wrote(&self) {
        let mut moments = self.moments();
        if moments.answered.is_none() {
            moments.sent = Some(Instant::now());
        }
    }

    fn read(&self) {
        self.moments().answered.get_or_insert_with(Instant::now);
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is watched.
pub(super) struct Watched {
    stream: Box<dyn Stream>,
    watch: Stopwatch,
}

impl Watched {
    pub(super) fn new(stream: Box<dyn Stream>, watch: Stopwatch) -> Self {
        Self { stream, watch }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(bytes)) if bytes > 0) {
            self.watch.wrote();
        }
        written
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.watch.read();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
