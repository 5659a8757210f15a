//! Carries out what the [`Session`] decides: one task, one connection, one sink.
//!
//! Guarantees: the socket is read whatever else happens, so WebSocket pings are answered and nothing waits for the
//! consumer; whatever arrives is either handed to the sink or counted.
//! Does not guarantee: backpressure. The sink is called on the reading task and must not block; what it cannot take
//! at once it has to keep itself.

mod connect;
mod lenient;
mod link;
mod scanner;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use chrono::Utc;
use metrics::counter;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::connect::Target;
use self::link::{Incoming, Link};
use super::session::{Input, Now, Output, Session};
use super::{Channels, Notice, Timing};
use crate::model::fault::Fault;
use crate::model::seldom::Seldom;

/// The channels to be subscribed to, all of them. An empty set still keeps a connection.
pub type Wanted = watch::Receiver<Arc<Channels>>;

/// The default of [`Settings::max_message_bytes`]. Pusher publishes at most 10 kB, about twice that once escaped;
/// dedicated clusters may allow more.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// Where to connect and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `ws://` or `wss://`, a host, perhaps a port, such as `wss://ws-ap2.pusher.com`.
    pub base: Url,
    /// The key of the Pusher app. It is public.
    pub app_key: String,
    /// Every deadline and pause.
    pub timing: Timing,
    /// The longest message that is read, in bytes; a longer one is handed over cut, as unreadable.
    pub max_message_bytes: usize,
    /// Is told until when everything that the server sent was read: until then the connection is proven, and a task that
    /// reads no more is seen from outside.
    pub pulse: watch::Sender<Option<Instant>>,
}

impl Settings {
    /// Settings for production.
    pub fn new(base: Url, app_key: impl Into<String>) -> Self {
        Self {
            base,
            app_key: app_key.into(),
            timing: Timing::default(),
            max_message_bytes: MAX_MESSAGE_BYTES,
            pulse: watch::Sender::default(),
        }
    }
}

/// Listens until the stop token fires, reconnecting for ever. `sink` is told everything and must not block.
///
/// Frames that arrive while the connection is being closed are still handed over.
///
/// # Errors
/// Only at the start, if the base URL cannot be used.
pub async fn run<S>(
    settings: Settings,
    wanted: Wanted,
    sink: S,
    stop: CancellationToken,
) -> anyhow::Result<()>
where
    S: FnMut(Notice) + Send,
{
    let target = Target::new(&settings)?;
    let jitter = Box::new(|span: std::time::Duration| span.mul_f64(fastrand::f64()));
    let session = Session::new(settings.timing, target.is_secure(), jitter, now());
    let (timing, pulse) = (settings.timing, settings.pulse);
    let (failing, unreadable) = (Fault::default(), Seldom::default());
    let mut driver = Driver { session, link: Link::None, target, sink, timing, pulse, failing, unreadable };
    driver.listen(wanted, &stop).await;
    driver.say_goodbye().await;
    Ok(())
}

struct Driver<S> {
    session: Session,
    link: Link,
    target: Target,
    sink: S,
    timing: Timing,
    pulse: watch::Sender<Option<Instant>>,
    /// Why no connection can be made.
    failing: Fault,
    unreadable: Seldom,
}

impl<S: FnMut(Notice)> Driver<S> {
    async fn listen(&mut self, mut wanted: Wanted, stop: &CancellationToken) {
        let first = Arc::clone(&wanted.borrow_and_update());
        self.tell(Input::Wanted(first));
        loop {
            let turn = Instant::now() + self.timing.standstill / 2;
            let due = self.session.deadline().map_or(turn, |due| turn.min(Instant::from_std(due)));
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                set = changed(&mut wanted) => self.tell(Input::Wanted(set)),
                // Before the deadline: what has arrived in time counts, even if this task was late.
                incoming = self.link.next() => self.take(incoming),
                () = sleep_until(due) => self.tell(Input::Tick),
            }
        }
    }

    /// Hears the server out, for a while, and closes the connection.
    async fn say_goodbye(&mut self) {
        let patience = self.timing.close;
        self.tell(Input::Ask);
        let heard_out = async {
            while self.session.is_in_doubt() {
                let incoming = self.link.next().await;
                self.take(incoming);
            }
            if self.link.begin_close() {
                loop {
                    match self.link.next().await {
                        Incoming::Closed(_) | Incoming::Dropped => break,
                        incoming => self.take(incoming),
                    }
                }
            }
        };
        if timeout(patience, heard_out).await.is_err() {
            tracing::debug!("the stream's server did not answer the farewell in time");
        }
        self.tell(Input::Stop);
    }

    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Opened => {
                self.failing.is_over();
                self.tell(Input::Opened);
            }
            Incoming::NotConnected(error) => {
                if self.failing.is(error.clone()) {
                    tracing::warn!(error, "no connection to the stream can be made");
                }
                self.tell(Input::NotConnected);
            }
            Incoming::Text(text) => self.tell(Input::Text(&text)),
            Incoming::Control => self.tell(Input::Tick),
            Incoming::Closed(code) => self.tell(Input::Closed(code)),
            Incoming::Dropped => self.tell(Input::Dropped),
            Incoming::Unreadable(bytes, reason) => {
                counter!("relay_stream_frames_total", "kind" => "unreadable").increment(1);
                self.notify(Notice::Unreadable { raw: bytes.to_vec(), reason, at: Utc::now() });
                self.tell(Input::Traffic);
            }
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.tell_at(input, now());
    }

    fn tell_at(&mut self, input: Input<'_>, now: Now) {
        let outputs = self.session.handle(input, now);
        if let Some(proven) = self.session.proven().map(Instant::from_std) {
            self.pulse.send_if_modified(|before| before.replace(proven) != Some(proven));
        }
        for output in outputs {
            match output {
                Output::Connect { secure, after } => {
                    if let Some(reason) = after {
                        counter!("relay_stream_reconnects_total", "reason" => reason.label()).increment(1);
                    }
                    self.link.open(self.target.clone(), secure);
                }
                Output::Send(text) => self.link.send(text),
                Output::Close => self.link.close(),
                Output::Counted(kind) => counter!("relay_stream_frames_total", "kind" => kind).increment(1),
                Output::Notice(notice) => self.notify(notice),
            }
        }
    }

    fn notify(&mut self, notice: Notice) {
        match &notice {
            Notice::Unreadable { raw, reason, .. } => {
                counter!("relay_stream_unreadable_frames_total").increment(1);
                if let Some(times) = self.unreadable.add(1, Instant::now().into_std()) {
                    tracing::warn!(
                        times,
                        raw_bytes = raw.len(),
                        reason,
                        "the stream brought something unreadable"
                    );
                }
            }
            Notice::State(state) => tracing::debug!("{state}"),
            // Said by the consumer, who knows whose the channels are, and what was said before.
            Notice::Event { .. }
            | Notice::Confirmed { .. }
            | Notice::Left { .. }
            | Notice::Lost { .. }
            | Notice::Refused { .. } => {}
        }
        (self.sink)(notice);
    }
}

fn now() -> Now {
    Now { mono: Instant::now().into_std(), wall: Utc::now() }
}

/// The next wanted set; never, once there is nobody left to change it.
async fn changed(wanted: &mut Wanted) -> Arc<Channels> {
    if wanted.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    Arc::clone(&wanted.borrow_and_update())
}
