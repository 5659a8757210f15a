//! From Pusher's stream to the intake: which channel is whose, and what the connection is doing.
//!
//! Guarantees: nothing here waits, so the socket is always read.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::directory::Watch;
use super::{Form, Heard, Intake};
use crate::model::event::Source;
use crate::pusher::{self, Channel, Notice, State};

/// What the stream is doing, for readiness and metrics.
#[derive(Debug, Clone, Default)]
pub struct StreamHealth {
    /// The connection's state, once it has one.
    pub state: Option<State>,
    /// How many channels are heard.
    pub confirmed: usize,
    /// When the last event arrived.
    pub last_event_at: Option<DateTime<Utc>>,
}

/// Listens on the channels of all partners until told to stop.
pub async fn listen(
    settings: pusher::Settings,
    (directory, intake): (Watch, Intake),
    health: watch::Sender<StreamHealth>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (wanted_sender, wanted) = watch::channel(Arc::new(channels(&directory)));
    let mut changes = directory.clone();
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
    let sink = |notice| hear(notice, &directory, &intake, &health);
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
    directory.borrow().channels().iter().filter_map(parse).collect()
}

fn hear(notice: Notice, directory: &Watch, intake: &Intake, health: &watch::Sender<StreamHealth>) {
    match notice {
        Notice::Event { channel, event, data, at } => {
            health.send_modify(|health| health.last_event_at = Some(at));
            let owners = directory.borrow().clone();
            for &partner_id in owners.owners(channel.as_str()) {
                offer(
                    intake,
                    Heard {
                        partner_id: Some(partner_id),
                        source: Source::Stream,
                        form: Form::Signed,
                        channel: Some(Arc::from(channel.as_str())),
                        event: Some(event.clone()),
                        data: Bytes::copy_from_slice(data.as_str().as_bytes()),
                        at,
                    },
                );
            }
        }
        Notice::Unreadable { raw, reason, at } => offer(
            intake,
            Heard {
                partner_id: None,
                source: Source::Stream,
                form: Form::Unreadable(reason),
                channel: None,
                event: None,
                data: Bytes::from(raw),
                at,
            },
        ),
        Notice::Confirmed { channel, .. } => {
            tracing::info!(%channel, "the stream hears a channel");
            health.send_modify(|health| health.confirmed += 1);
        }
        Notice::Lost { channel, reason, .. } => {
            tracing::warn!(%channel, %reason, "the stream lost a channel");
            health.send_modify(|health| health.confirmed = health.confirmed.saturating_sub(1));
        }
        Notice::Refused { channel, .. } => {
            tracing::error!(%channel, "the stream's server does not confirm a channel");
        }
        Notice::State(state) => {
            tracing::info!(%state, "stream");
            health.send_modify(|health| health.state = Some(state));
        }
    }
}

fn offer(intake: &Intake, heard: Heard) {
    if intake.offer(heard).is_err() {
        metrics::counter!("relay_intake_refused_total").increment(1);
        tracing::error!("the intake is full: a message of the stream is lost");
    }
}
