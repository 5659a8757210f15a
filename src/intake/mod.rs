//! The one way in: whatever is heard, from whichever source, becomes events, sightings, orders and owed deliveries in
//! one transaction, or a quarantined message.
//!
//! Guarantees: what [`Intake::keep`] has answered is committed or, while the database is away, on disk. A message that
//! the database refuses for what it is does not take its neighbours with it: it is quarantined alone. One that the database
//! does not take for any other reason, while it takes others, waits on disk alone. What cannot even be quarantined is not
//! answered for, and of the stream it is a gap.
//! Does not guarantee: any order between messages of different sources; identity and the status rules make it
//! unnecessary.

mod arrival;
mod batch;
mod commit;
pub mod credentials;
pub mod decode;
pub mod directory;
mod divide;
mod erased;
mod flow;
mod follow;
mod keys;
pub mod listener;
mod owe;
mod put_aside;
mod recent;
pub mod reconcile;
pub mod requeue;
pub mod spool;
pub mod stream;
mod stream_log;
pub mod suspicion;
pub mod tokens;
mod told;
mod writer;

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use crate::model::event::Source;
use crate::model::hops::Hops;
use crate::model::id::PartnerId;
use crate::trace::{self, Span, SpanKind};

pub use writer::{IntakeHealth, Settings, SpoolTrouble, Writer};

/// How a message can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Signed with the partner's access token: the stream of an API key, the webhook.
    Signed,
    /// Plain JSON on a channel that anybody could know: kept, but marked as unverified.
    Open,
    /// An order or webhook row that the relay itself read from Transak's REST API over TLS, of a status that the order was
    /// in more than once: another event than those of its other visits.
    Rest,
    /// An order as a row of its REST `statusHistories` tells it, its status and `updatedAt` set to that row's. It is
    /// kept only if no event of that order and status is.
    History,
    /// Nothing that could be read at all.
    Unreadable(&'static str),
}

impl Form {
    /// As it is written on disk and in the quarantine.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Open => "open",
            Self::Rest => "rest",
            Self::History => "history",
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// The form that is written so.
    fn named(name: &str) -> Self {
        match name {
            "signed" => Self::Signed,
            "open" => Self::Open,
            "rest" => Self::Rest,
            "history" => Self::History,
            _ => Self::Unreadable("it was not readable when it came"),
        }
    }
}

/// One message as it was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Whose it is, where that is known.
    pub partner_id: Option<PartnerId>,
    /// Where it was heard.
    pub source: Source,
    /// How it can be believed.
    pub form: Form,
    /// The channel it came on.
    pub channel: Option<Arc<str>>,
    /// The event name it came under, outside of the signature.
    pub event: Option<String>,
    /// As it came.
    pub data: Bytes,
    /// When it came.
    pub at: DateTime<Utc>,
    /// How many relays it had come through.
    pub hops: Hops,
    /// Its span, begun by the intake if somebody collects traces.
    pub trace: Option<Span>,
}

impl Heard {
    /// Anybody at all can have sent it, and no token of its partner's verifies it.
    fn is_of_a_stranger(&self, directory: &directory::Directory) -> bool {
        let keys = self.partner_id.map_or(&[][..], |partner| directory.keys(partner));
        self.source == Source::Webhook && !decode::verifies(self, keys)
    }

    /// Begins its trace, if it is to have one.
    fn traced(mut self) -> Self {
        if self.trace.is_none() && trace::is_on() {
            let name = match self.source {
                Source::Stream => "frame",
                Source::Webhook => "webhook",
                Source::Reconcile => "rest",
            };
            self.trace = Span::begin(name, SpanKind::Consumer, (None, self.at));
        }
        self
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// An event nobody had told before.
    New,
    /// An event that was kept already: one more sighting.
    Sighted,
    /// Put aside: it is verified, or needs no signature, but could not be read.
    Quarantined,
    /// Put aside: no token of the partner verifies it.
    Unverified,
    /// The canned order of Transak's webhook test: noticed, not kept.
    Test,
    /// Nowhere: the quarantine, where it belongs, has no room for it.
    Refused,
    /// On disk until the database is back.
    Spooled,
    /// About an order that was erased while the message waited on disk: forgotten.
    Erased,
}

impl Fate {
    /// As it is written in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Sighted => "sighted",
            Self::Quarantined => "quarantined",
            Self::Unverified => "unverified",
            Self::Test => "test",
            Self::Refused => "refused",
            Self::Spooled => "spooled",
            Self::Erased => "erased",
        }
    }
}

/// The intake cannot take more right now, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the intake is full")]
pub struct Full;

type Reply = Option<oneshot::Sender<Fate>>;

struct Waiting {
    heard: Heard,
    reply: Reply,
}

/// How many messages may wait for the database. At 10 kB a message, the most Pusher carries, this is 40 MB.
const QUEUE: usize = 4096;

/// A handle of the intake. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Waiting>,
    directory: directory::Watch,
    flow: Arc<flow::Flow>,
}

impl Intake {
    /// A handle, and the queue its [`Writer`] reads.
    fn channel(directory: directory::Watch) -> (Self, mpsc::Receiver<Waiting>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        (Self { queue, directory, flow: Arc::default() }, waiting)
    }

    /// Tries quarantined messages again, with the picture of the partners that this intake has.
    pub fn requeue(&self, pool: sqlx::PgPool) -> requeue::Requeue {
        requeue::Requeue::new(pool, self.directory.clone(), self.clone())
    }

    /// The partners as they are known now, also while the database is away.
    pub fn directory(&self) -> Arc<directory::Directory> {
        Arc::clone(&self.directory.borrow())
    }

    /// How many messages wait to be written.
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// How far what is heard has got.
    fn flow(&self) -> Arc<flow::Flow> {
        Arc::clone(&self.flow)
    }

    /// What was heard of this partner at this time is not kept, and nobody will send it again: a gap is written down.
    fn lose(&self, partner: PartnerId, at: DateTime<Utc>) {
        self.flow.lose([(partner, at)]);
    }

    /// Whether a message would be believed, without taking it.
    pub fn verifies(&self, heard: &Heard) -> bool {
        let directory = self.directory();
        heard.partner_id.is_some_and(|partner| decode::verifies(heard, directory.keys(partner)))
    }

    /// Takes a message without ever waiting. For sources that must not stall.
    pub fn offer(&self, heard: Heard) -> Result<(), Full> {
        self.send(Waiting { heard: heard.traced(), reply: None })
    }

    /// Takes a message and answers when it is committed or spooled.
    pub async fn keep(&self, heard: Heard) -> Result<Fate, Full> {
        let (reply, fate) = oneshot::channel();
        self.send(Waiting { heard: heard.traced(), reply: Some(reply) })?;
        fate.await.map_err(|_| Full)
    }

    fn send(&self, waiting: Waiting) -> Result<(), Full> {
        self.flow.take();
        self.queue.try_send(waiting).map_err(|_| {
            self.flow.settle(1);
            Full
        })
    }
}
