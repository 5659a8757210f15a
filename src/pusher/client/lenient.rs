//! A byte stream whose WebSocket frames are made harmless while they are read; see [`super::scanner`].

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::scanner::{Kind, Scanner};

/// How much is read at once. A Pusher message is at most about 20 kB.
const READ_BYTES: usize = 16 << 10;

pub(super) struct Lenient<S> {
    inner: S,
    scanner: Scanner,
    received: Box<[u8]>,
    /// Scanned bytes, and how many of them have been read.
    scanned: Vec<u8>,
    read: usize,
    /// What goes wrong once the scanned bytes are read.
    failed: Option<io::Error>,
}

impl<S> Lenient<S> {
    /// `limit`: the longest message in bytes.
    pub(super) fn new(inner: S, limit: usize) -> Self {
        let received = vec![0; READ_BYTES].into_boxed_slice();
        Self { inner, scanner: Scanner::new(limit), received, scanned: Vec::new(), read: 0, failed: None }
    }

    /// See [`Scanner::next_kind`].
    pub(super) fn next_kind(&mut self) -> Kind {
        self.scanner.next_kind()
    }

    fn hand_over(&mut self, buffer: &mut ReadBuf<'_>) {
        let waiting = &self.scanned[self.read..];
        let count = waiting.len().min(buffer.remaining());
        buffer.put_slice(&waiting[..count]);
        self.read += count;
        if self.read == self.scanned.len() {
            self.scanned.clear();
            self.read = 0;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.scanned.is_empty() {
            if let Some(error) = this.failed.take() {
                return Poll::Ready(Err(error));
            }
            let mut received = ReadBuf::new(&mut this.received);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut received))?;
            if received.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.failed = this.scanner.feed(received.filled(), &mut this.scanned).err();
        }
        this.hand_over(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
