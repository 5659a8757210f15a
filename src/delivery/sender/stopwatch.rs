//! When a request had left and when its answer began, as the stream beneath HTTP saw it.
//!
//! HTTP tells of an answer when its head is whole; a receiver that drips its head would look slow to begin. Heads are mended
//! on their way through (`mender`).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connector::Stream;
use super::mender::Mender;

/// Shared by a connection and its stream, which belongs to hyper.
#[derive(Debug, Clone, Default)]
pub(super) struct Stopwatch(Arc<Mutex<Moments>>);

#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    /// When the last bytes left before anything came back.
    sent: Option<Instant>,
    /// When something came back first.
    answered: Option<Instant>,
    /// The answer's head is still to come.
    is_due: bool,
    /// Its head had to be mended.
    is_mended: bool,
}

/// How much of a head is read at once.
const READ: usize = 8 << 10;

impl Stopwatch {
    /// Begins anew, for another request.
    pub(super) fn reset(&self) {
        *self.moments() = Moments { is_due: true, ..Moments::default() };
    }

    /// The last answer was not quite in order: what follows it is not to be relied on.
    pub(super) fn is_mended(&self) -> bool {
        self.moments().is_mended
    }

    /// From the request's end to the answer's first byte. An answer that did not wait for the end took no time.
    pub(super) fn first_byte(&self) -> Option<Duration> {
        let Moments { sent, answered, .. } = *self.moments();
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

    /// Whether an answer's head is expected from now on; once for each request.
    fn becomes_due(&self) -> bool {
        std::mem::take(&mut self.moments().is_due)
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that is watched.
pub(super) struct Watched {
    stream: Box<dyn Stream>,
    watch: Stopwatch,
    mender: Mender,
    /// What is mended and was not taken yet.
    mended: Vec<u8>,
}

impl Watched {
    pub(super) fn new(stream: Box<dyn Stream>, watch: Stopwatch) -> Self {
        Self { stream, watch, mender: Mender::default(), mended: Vec::new() }
    }

    /// Reads as it comes.
    fn pass(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.watch.read();
        }
        read
    }

    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) {
        let now = self.mended.len().min(buffer.remaining());
        buffer.put_slice(&self.mended[..now]);
        self.mended.drain(..now);
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
        let this = &mut *self;
        if this.watch.becomes_due() {
            this.mender.begin();
        }
        while this.mended.is_empty() {
            if this.mender.is_over() {
                return this.pass(cx, buffer);
            }
            let mut piece = [0; READ];
            let mut read = ReadBuf::new(&mut piece);
            ready!(this.pass(cx, &mut read))?;
            if read.filled().is_empty() {
                this.mender.end(&mut this.mended);
            } else if this.mender.feed(read.filled(), &mut this.mended) {
                this.watch.moments().is_mended = true;
            }
        }
        this.hand_over(buffer);
        Poll::Ready(Ok(()))
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
