//! Noticing that an HTTP/2 connection has nothing to do. Its pings alone would keep it open for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How many answers are under way, and since when that is so.
#[derive(Debug, Clone)]
pub(super) struct Answers(Arc<watch::Sender<(usize, Instant)>>);

/// One answer under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Answer(Answers);

impl Answers {
    pub(super) fn none() -> Self {
        Self(Arc::new(watch::Sender::new((0, Instant::now()))))
    }

    pub(super) fn begin(&self) -> Answer {
        self.0.send_modify(|(number, since)| (*number, *since) = (*number + 1, Instant::now()));
        Answer(self.clone())
    }

    /// Completes when none was under way for so long.
    pub(super) async fn quiet(&self, longest: Duration) {
        let mut changes = self.0.subscribe();
        loop {
            let (number, since) = *changes.borrow_and_update();
            let end = async {
                if number > 0 {
                    std::future::pending::<()>().await;
                }
                sleep_until(since + longest).await;
            };
            tokio::select! {
                biased;
                // The sender is held by this very call.
                _ = changes.changed() => {}
                () = end => return,
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.0.send_modify(|(number, since)| (*number, *since) = (*number - 1, Instant::now()));
    }
}

/// A body that counts as an answer under way until its last byte is taken.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) body: Body,
    pub(super) _answer: Answer,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_quiet_so_long_after_its_last_answer() {
        let (answers, longest) = (Answers::none(), Duration::from_secs(30));
        let (one, other) = (answers.begin(), answers.begin());
        let mut quiet = Box::pin(answers.quiet(longest));
        tokio::time::advance(10 * longest).await;
        assert!((&mut quiet).now_or_never().is_none(), "two are under way");
        drop(one);
        tokio::time::advance(10 * longest).await;
        assert!((&mut quiet).now_or_never().is_none(), "one is under way");
        drop(other);
        assert!((&mut quiet).now_or_never().is_none());
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!((&mut quiet).now_or_never().is_none());
        let ended = Instant::now();
        quiet.await;
        assert_eq!(ended.elapsed(), Duration::from_secs(1));
    }
}
