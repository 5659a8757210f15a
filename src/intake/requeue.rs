//! From the quarantine back through the intake.
//!
//! Guarantees: a message leaves the quarantine only after it was committed as an event. One that would be put aside again
//! is not sent through, so that trying again neither counts it as heard again nor raises a suspicion.
//! Does not guarantee: one sighting only. If the process dies between the commit and the deletion, or two processes try
//! the same message at once, its event has a sighting more.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::PgPool;

use super::batch::REFUSED;
use super::decode::{Decoded, decode};
use super::directory::Watch;
use super::suspicion::curable_reasons;
use super::{Fate, Form, Full, Heard, Intake};
use crate::model::event::Source;
use crate::model::hops::Hops;
use crate::model::id::{PartnerId, QuarantineId};
use crate::store;
use crate::store::quarantine::retry::{self, Retry};

/// Messages tried at once.
const AT_ONCE: usize = 16;

/// Tries quarantined messages again. Cheap to clone.
#[derive(Clone)]
pub struct Requeue {
    pool: PgPool,
    directory: Watch,
    intake: Intake,
}

/// What became of a message that was tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requeued {
    /// It is an event now, and in quarantine no longer.
    Kept,
    /// It stays, for this reason.
    Stays(String),
    /// There is no such message.
    Gone,
}

/// How many messages became what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// They are events now.
    pub kept: u64,
    /// They stay in quarantine.
    pub stay: u64,
}

/// Trying again had to be given up for now.
#[derive(Debug, thiserror::Error)]
pub enum RequeueError {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Full(#[from] Full),
    /// It waits on disk until the database is back; it stays in quarantine until then.
    #[error("the message could not be committed yet")]
    NotCommitted,
}

impl From<sqlx::Error> for RequeueError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Requeue {
    /// With the picture of the partners that the intake's own writer reads with.
    pub fn new(pool: PgPool, directory: Watch, intake: Intake) -> Self {
        Self { pool, directory, intake }
    }

    /// Tries one message of `partners`, and with `of_nobody` also one of no known partner.
    pub async fn one(
        &self,
        partners: &[PartnerId],
        of_nobody: bool,
        id: QuarantineId,
    ) -> Result<Requeued, RequeueError> {
        let found = retry::find(&mut *self.pool.acquire().await?, partners, of_nobody, id).await?;
        let Some(message) = found else { return Ok(Requeued::Gone) };
        let heard = heard(message);
        if let Some(reason) = self.refusal(&heard) {
            return Ok(Requeued::Stays(reason));
        }
        let fate = self.intake.keep(heard).await?;
        if matches!(fate, Fate::New | Fate::Sighted | Fate::Test) {
            retry::delete(&mut *self.pool.acquire().await?, id).await?;
            return Ok(Requeued::Kept);
        }
        if matches!(fate, Fate::Quarantined | Fate::Unverified) {
            return Ok(Requeued::Stays(REFUSED.to_owned()));
        }
        Err(RequeueError::NotCommitted)
    }

    async fn one_of(&self, partner: PartnerId, id: QuarantineId) -> Result<Requeued, RequeueError> {
        self.one(&[partner], false, id).await
    }

    /// Tries all messages of a partner, oldest first.
    pub async fn all(&self, partner: PartnerId) -> Result<Tally, RequeueError> {
        self.each(partner, None).await
    }

    /// Tries those messages of a partner that another access token could cure.
    pub async fn unverified(&self, partner: PartnerId) -> Result<Tally, RequeueError> {
        self.each(partner, Some(&curable_reasons())).await
    }

    async fn each(&self, partner: PartnerId, reasons: Option<&[String]>) -> Result<Tally, RequeueError> {
        let (mut tally, mut after) = (Tally::default(), None);
        loop {
            let ids = retry::ids(&mut *self.pool.acquire().await?, partner, after, reasons).await?;
            let Some(last) = ids.last() else { return Ok(tally) };
            after = Some(*last);
            let mut waiting = Vec::with_capacity(ids.len());
            for id in ids {
                waiting.push(self.one_of(partner, id));
            }
            // Those that become events share their commits.
            let tried: Vec<Requeued> = stream::iter(waiting).buffered(AT_ONCE).try_collect().await?;
            for one in tried {
                match one {
                    Requeued::Kept => tally.kept += 1,
                    Requeued::Stays(_) => tally.stay += 1,
                    Requeued::Gone => {}
                }
            }
        }
    }

    /// Why the message would be put aside again.
    fn refusal(&self, heard: &Heard) -> Option<String> {
        let directory = self.directory.borrow().clone();
        let keys = heard.partner_id.map_or(&[][..], |partner| directory.keys(partner));
        match decode(heard, keys) {
            Decoded::Event(_) | Decoded::Test => None,
            Decoded::Unverified(message) | Decoded::Quarantine(message) => Some(message.reason),
        }
    }
}

fn heard(message: Retry) -> Heard {
    let form = match message.source {
        _ if let Some(form) = &message.form => Form::named(form),
        Source::Reconcile => Form::Rest,
        Source::Stream if message.watched => Form::Open,
        Source::Stream | Source::Webhook => Form::Signed,
    };
    Heard {
        partner_id: message.partner_id,
        source: message.source,
        form,
        channel: message.channel.map(Into::into),
        event: message.event,
        data: message.raw.into(),
        at: message.received_at,
        hops: Hops::from_stored(message.hops),
        trace: None,
    }
}
