//! From Pusher's stream to the intake: which channel is whose, and what the connection is doing.
//!
//! Guarantees: nothing here waits, so the socket is always read.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::directory::{Directory, Watch};
use super::listener::Book;
use super::stream_log::{StreamLog, Wanted};
use super::told::Line;
use super::{Form, Heard, Intake};
use crate::model::coverage::UNREAD;
use crate::model::event::Source;
use crate::model::fault::Faults;
use crate::model::hops::Hops;
use crate::model::id::PartnerId;
use crate::pusher::{self, Channel, Channels, Notice, Reason, State};

/// What other processes hear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// The partners' channels that at least one of them hears.
    pub channels: Arc<HashSet<String>>,
    /// At least one of them has a connection.
    pub listen: bool,
}

/// Why no slot can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotTrouble {
    /// Postgres has no connection left for it.
    NoConnection,
    /// Anything else.
    Unavailable,
}

/// What the stream is doing, for readiness and metrics.
#[derive(Debug, Clone, Default)]
pub struct StreamHealth {
    /// This process has no slot: others listen, and it takes over when one of them dies.
    pub stands_by: bool,
    /// Why it could not even ask for a slot when it last tried.
    pub slots: Option<SlotTrouble>,
    /// The connection's state, once it has one.
    pub state: Option<State>,
    /// The channels that are heard.
    pub confirmed: HashSet<Channel>,
    /// When the last event arrived.
    pub last_event_at: Option<DateTime<Utc>>,
    /// How many changes of what is heard were written down.
    pub noted: u64,
    /// How often a partner's gaps were changed by this process.
    pub gaps_changed: u64,
    /// What other processes hear, as far as is known.
    pub others: Others,
}

impl StreamHealth {
    /// A slot was taken: nothing is heard yet.
    pub(super) fn begin(&mut self) {
        (self.stands_by, self.slots, self.state) = (false, None, None);
        self.confirmed.clear();
    }
}

/// What a stream reads and feeds.
pub(super) struct Feeds {
    pub(super) directory: Watch,
    pub(super) intake: Intake,
    pub(super) book: Book,
    /// When anything last arrived on the connection.
    pub(super) pulse: watch::Receiver<Option<Instant>>,
}

/// Listens on the channels of all partners until told to stop.
pub(super) async fn listen(
    settings: pusher::Settings,
    feeds: Feeds,
    health: watch::Sender<StreamHealth>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut unusable = Unusable::default();
    let first = channels(&feeds.directory.borrow(), &mut unusable);
    let (wanted_sender, wanted) = watch::channel(Arc::new(first));
    let (mut changes, book) = (feeds.directory.clone(), feeds.book.clone());
    let following = async {
        while changes.changed().await.is_ok() {
            let directory = Arc::clone(&changes.borrow());
            let channels = channels(&directory, &mut unusable);
            wanted_sender.send_if_modified(|wanted| {
                let differs = **wanted != channels;
                if differs {
                    *wanted = Arc::new(channels);
                }
                differs
            });
            book.owned(|channel| directory.heard_on(channel));
        }
        std::future::pending::<()>().await;
    };
    let mut log = StreamLog::default();
    let sink = |notice| {
        feeds.tell(&notice, &mut log);
        feeds.hear(notice, &health);
    };
    tokio::select! {
        ended = pusher::run(settings, wanted, sink, stop) => ended,
        () = following => Ok(()),
    }
}

/// The partners whose API key cannot be a channel's name.
type Unusable = Faults<PartnerId>;

/// The partners' own channels come first: whatever is watched must not keep them waiting. Says whose cannot be heard, once.
fn channels(directory: &Directory, unusable: &mut Unusable) -> Channels {
    let parse = |name: &Arc<str>| name.parse::<Channel>().ok();
    let first = directory.partner_channels().filter_map(parse).collect();
    let watched = directory.channels().filter(|name| directory.heard_on(name).is_empty());
    let channels = Channels { first, then: watched.filter_map(parse).collect() };
    let bad = directory.partner_channels().filter(|name| parse(name).is_none());
    for partner in unusable.are(bad.flat_map(|name| directory.heard_on(name)).collect()) {
        tracing::error!(
            partner.id = %partner,
            "an API key cannot be a channel's name, so its partner is not heard on the stream: correct its `apiKey`"
        );
    }
    channels
}

impl Feeds {
    fn tell(&self, notice: &Notice, log: &mut StreamLog) {
        let directory = self.directory.borrow();
        let is_partners =
            |channel: &Channel| directory.owners(channel.as_str()).iter().any(|owner| owner.signed);
        let wanted = Wanted { count: directory.channels().len(), is_partners };
        log.note(notice, &wanted, std::time::Instant::now());
    }

    fn hear(&self, notice: Notice, health: &watch::Sender<StreamHealth>) {
        match notice {
            Notice::Event { channel, event, data, at } => {
                health.send_modify(|health| health.last_event_at = Some(at));
                self.hear_event(&channel, &event, (data.as_str(), at));
            }
            Notice::Unreadable { raw, reason, at } => self.hear_unreadable(raw, reason, at),
            Notice::Confirmed { channel, at } => {
                let partners = self.directory.borrow().heard_on(channel.as_str());
                self.book.confirmed(&channel, partners, at);
                health.send_modify(|health| {
                    health.confirmed.insert(channel);
                });
            }
            Notice::Lost { channel, since, reason, .. } => {
                self.book.lost(&channel, heard_until(since, reason), &reason.to_string());
                health.send_modify(|health| {
                    health.confirmed.remove(&channel);
                });
            }
            Notice::Left { channel, at } => {
                self.book.lost(&channel, at, "the channel is not wanted any more");
                health.send_modify(|health| {
                    health.confirmed.remove(&channel);
                });
            }
            Notice::Refused { .. } => {}
            Notice::State(state) => {
                match state {
                    State::Connected { since } => self.book.opened(since),
                    _ => self.book.closed(self.last_sign(), &state.to_string()),
                }
                health.send_modify(|health| health.state = Some(state));
            }
        }
    }

    /// Until when the connection that has ended was heard for sure.
    fn last_sign(&self) -> DateTime<Utc> {
        let silent = self.pulse.borrow().map_or(Duration::ZERO, |at| at.elapsed());
        Utc::now() - silent
    }

    fn hear_event(&self, channel: &Channel, event: &str, (data, at): (&str, DateTime<Utc>)) {
        let directory = self.directory.borrow().clone();
        for owner in directory.owners(channel.as_str()) {
            self.offer(Heard {
                partner_id: Some(owner.partner_id),
                source: Source::Stream,
                form: if owner.signed { Form::Signed } else { Form::Open },
                channel: Some(Arc::from(channel.as_str())),
                event: Some(event.to_owned()),
                data: Bytes::copy_from_slice(data.as_bytes()),
                at,
                hops: Hops::default(),
                trace: None,
            });
        }
    }

    /// What is no frame is kept for whom its channel belongs to, if it names one; otherwise for nobody. It may have been an
    /// event, so it is a gap for its partner; and if it was cut off before it named its channel, for each that is heard.
    fn hear_unreadable(&self, raw: Vec<u8>, reason: &'static str, at: DateTime<Utc>) {
        let directory = self.directory.borrow().clone();
        let named = pusher::frame::named_channel(&raw);
        let owners = named.as_deref().map_or(&[][..], |channel| directory.owners(channel));
        let partners = owners.iter().map(|owner| Some(owner.partner_id));
        let nobody = owners.is_empty().then_some(None);
        let may_be_of = match &named {
            Some(channel) => directory.heard_on(channel),
            None if raw.len() >= pusher::MAX_MESSAGE_BYTES => {
                directory.partner_channels().flat_map(|channel| directory.heard_on(channel)).collect()
            }
            None => Vec::new(),
        };
        for partner in may_be_of {
            self.intake.lose(partner, at);
        }
        let heard = Heard {
            partner_id: None,
            source: Source::Stream,
            form: Form::Unreadable(reason),
            channel: named.filter(|_| !owners.is_empty()).map(Arc::from),
            event: None,
            data: Bytes::from(raw),
            at,
            hops: Hops::default(),
            trace: None,
        };
        for partner_id in partners.chain(nobody) {
            self.offer(Heard { partner_id, ..heard.clone() });
        }
    }

    fn offer(&self, heard: Heard) {
        let (partner, at) = (heard.partner_id, heard.at);
        if self.intake.offer(heard).is_err() {
            metrics::counter!("relay_intake_refused_total").increment(1);
            if let Some(messages) = self.intake.flow.told.times(Line::Lost, 1) {
                tracing::error!(
                    messages,
                    "the intake is full: messages of the stream are not kept, and a gap is written down"
                );
            }
            if let Some(partner) = partner {
                self.intake.lose(partner, at);
            }
        }
    }
}

/// Until when a channel that was lost was heard for sure, if something last arrived at `since`. A server that says goodbye,
/// or withdraws a channel, says so in its turn; otherwise what was last on its way was not heard.
fn heard_until(since: DateTime<Utc>, reason: Reason) -> DateTime<Utc> {
    if matches!(reason, Reason::Stopped | Reason::Refused) { since } else { since - UNREAD }
}

#[cfg(test)]
mod tests;
