//! From Pusher's stream to the intake: which channel is whose, and what the connection is doing.
//!
//! Guarantees: nothing here waits, so the socket is always read.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::directory::Watch;
use super::listener::Note;
use super::stream_log::{StreamLog, Wanted};
use super::{Form, Heard, Intake};
use crate::model::event::Source;
use crate::model::hops::Hops;
use crate::model::id::PartnerId;
use crate::pusher::{self, Channel, Notice, Reason, State};

/// What the stream is doing, for readiness and metrics.
#[derive(Debug, Clone, Default)]
pub struct StreamHealth {
    /// Other processes listen; this one takes over when one of them dies.
    pub stands_by: bool,
    /// The connection's state, once it has one.
    pub state: Option<State>,
    /// How many channels are heard.
    pub confirmed: usize,
    /// When the last event arrived.
    pub last_event_at: Option<DateTime<Utc>>,
    /// How many changes of what is heard were written down.
    pub noted: u64,
}

/// What a stream reads and feeds.
pub(super) struct Feeds {
    pub(super) directory: Watch,
    pub(super) intake: Intake,
    pub(super) notes: mpsc::UnboundedSender<Note>,
}

/// Listens on the channels of all partners until told to stop.
pub(super) async fn listen(
    settings: pusher::Settings,
    feeds: Feeds,
    health: watch::Sender<StreamHealth>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (wanted_sender, wanted) = watch::channel(Arc::new(channels(&feeds.directory)));
    let mut changes = feeds.directory.clone();
    let following = async {
        while changes.changed().await.is_ok() {
            let channels = channels(&changes);
            wanted_sender.send_if_modified(|wanted| {
                let differs = **wanted != channels;
                if differs {
                    *wanted = Arc::new(channels);
                }
                differs
            });
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

fn channels(directory: &Watch) -> BTreeSet<Channel> {
    let parse = |name: &Arc<str>| match name.parse() {
        Ok(channel) => Some(channel),
        Err(error) => {
            tracing::error!(%error, "an API key cannot be a channel name, so its partner's stream is not heard");
            None
        }
    };
    directory.borrow().channels().filter_map(parse).collect()
}

impl Feeds {
    fn tell(&self, notice: &Notice, log: &mut StreamLog) {
        let directory = self.directory.borrow();
        let is_partners =
            |channel: &Channel| directory.owners(channel.as_str()).iter().any(|owner| owner.signed);
        log.note(notice, &Wanted { count: directory.channels().len(), is_partners });
    }

    fn hear(&self, notice: Notice, health: &watch::Sender<StreamHealth>) {
        match notice {
            Notice::Event { channel, event, data, at } => {
                health.send_modify(|health| health.last_event_at = Some(at));
                self.hear_event(&channel, &event, (data.as_str(), at));
            }
            Notice::Unreadable { raw, reason, at } => self.hear_unreadable(raw, reason, at),
            Notice::Confirmed { channel, at } => {
                health.send_modify(|health| health.confirmed += 1);
                self.note(&channel, |partner| Note::Confirmed(partner, at));
            }
            Notice::Lost { channel, since, at, reason } => {
                health.send_modify(|health| health.confirmed = health.confirmed.saturating_sub(1));
                // Told to stop, it was heard until now; otherwise only what was last received is sure.
                let since = if reason == Reason::Stopped { at } else { since };
                self.note(&channel, |partner| Note::Lost(partner, since, reason.to_string()));
            }
            Notice::Refused { .. } => {}
            Notice::State(state) => health.send_modify(|health| health.state = Some(state)),
        }
    }

    fn hear_event(&self, channel: &Channel, event: &str, (data, at): (&str, DateTime<Utc>)) {
        let directory = self.directory.borrow().clone();
        for owner in directory.owners(channel.as_str()) {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit exactly")]
            metrics::gauge!("relay_stream_last_heard_timestamp_seconds", "partner" => owner.partner_id.to_string())
                .set(at.timestamp_millis() as f64 / 1e3);
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

    /// What is no frame is kept for whom its channel belongs to, if it names one; otherwise for nobody.
    fn hear_unreadable(&self, raw: Vec<u8>, reason: &'static str, at: DateTime<Utc>) {
        let directory = self.directory.borrow().clone();
        let named = pusher::frame::named_channel(&raw);
        let owners = named.as_deref().map_or(&[][..], |channel| directory.owners(channel));
        let partners = owners.iter().map(|owner| Some(owner.partner_id));
        let nobody = owners.is_empty().then_some(None);
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

    /// Gaps are those of the partners' own channels: a watched channel repeats what those tell.
    fn note(&self, channel: &Channel, note: impl Fn(PartnerId) -> Note) {
        let directory = self.directory.borrow().clone();
        for owner in directory.owners(channel.as_str()).iter().filter(|owner| owner.signed) {
            // The listener that reads the notes outlives the stream.
            let _ = self.notes.send(note(owner.partner_id));
        }
    }

    fn offer(&self, heard: Heard) {
        let (partner, at) = (heard.partner_id, heard.at);
        if self.intake.offer(heard).is_err() {
            metrics::counter!("relay_intake_refused_total").increment(1);
            tracing::error!(
                "the intake is full: a message of the stream is not kept, and a gap is written down"
            );
            if let Some(partner) = partner {
                let _ = self.notes.send(Note::Dropped(partner, at));
            }
        }
    }
}
