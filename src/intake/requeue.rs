//! From the quarantine back through the intake.
//!
//! Guarantees: a message leaves the quarantine only after it was committed as an event. One that would be put aside again
//! is not sent through, so that trying again neither counts it as heard again nor raises a suspicion.
//! Does not guarantee: one sighting only. If the process dies between the commit and the deletion, or two processes try
//! the same message at once, its event has a sighting more.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::PgPool;

use super::batch::REFUSED;
use super::decode::{Decoded, decode_with};
use super::directory::{Directory, Watch};
use super::{Fate, Form, Full, Heard, Intake};
use crate::model::event::Source;
use crate::model::hops::Hops;
use crate::model::id::{PartnerId, QuarantineId};
use crate::model::quarantine::{Reason, Refusal};
use crate::store::quarantine::retry::{self, Retry};
use crate::store::session::PATIENCE;
use crate::store::{self, within};
use crate::transak::jws::Unverified;

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
    Stays(Refusal),
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
        let directory = self.directory();
        let found = within(PATIENCE, async {
            retry::find(&mut *self.pool.acquire().await?, partners, of_nobody, id).await
        })
        .await?;
        let Some(message) = found else { return Ok(Requeued::Gone) };
        let heard = heard(message);
        match refusal(&directory, &heard) {
            Some(refusal) => Ok(Requeued::Stays(refusal)),
            None => self.send_through(id, heard).await,
        }
    }

    /// Tries all messages of a partner, oldest first.
    pub async fn all(&self, partner: PartnerId) -> Result<Tally, RequeueError> {
        let (mut tally, mut after) = (Tally::default(), None);
        loop {
            let ids = within(PATIENCE, async {
                retry::all(&mut *self.pool.acquire().await?, partner, after).await
            })
            .await?;
            let Some(last) = ids.last() else { return Ok(tally) };
            after = Some(*last);
            let waiting = ids.into_iter().map(|id| self.one_of(partner, id)).collect();
            for tried in at_once(waiting).await? {
                tally.count(&tried);
            }
        }
    }

    async fn one_of(&self, partner: PartnerId, id: QuarantineId) -> Result<Requeued, RequeueError> {
        self.one(&[partner], false, id).await
    }

    /// Tries those messages of a partner that a token of this picture could cure and that were not tried with all of its
    /// tokens yet. What stays is not tried again until there are more.
    pub async fn untried(&self, partner: PartnerId) -> Result<Tally, RequeueError> {
        let directory = self.directory();
        let generation = directory.generation(partner);
        let (mut tally, mut after) = (Tally::default(), None);
        loop {
            let ids = within(PATIENCE, async {
                retry::untried(&mut *self.pool.acquire().await?, partner, generation, after).await
            })
            .await?;
            let Some(last) = ids.last() else { return Ok(tally) };
            after = Some(*last);
            let waiting = ids.into_iter().map(|id| self.with_picture(&directory, partner, id)).collect();
            let tried = at_once(waiting).await?;
            let stay: Vec<_> = tried.iter().filter_map(Tried::refused).collect();
            within(PATIENCE, async {
                retry::stay(&mut *self.pool.acquire().await?, &stay, generation).await
            })
            .await?;
            for tried in &tried {
                tally.count(&tried.became);
            }
        }
    }

    async fn with_picture(
        &self,
        directory: &Directory,
        partner: PartnerId,
        id: QuarantineId,
    ) -> Result<Tried, RequeueError> {
        let found = within(PATIENCE, async {
            retry::find(&mut *self.pool.acquire().await?, &[partner], false, id).await
        })
        .await?;
        let Some(message) = found else { return Ok(Tried { id, became: Requeued::Gone, sent: false }) };
        let heard = heard(message);
        if let Some(refusal) = refusal(directory, &heard) {
            return Ok(Tried { id, became: Requeued::Stays(refusal), sent: false });
        }
        Ok(Tried { id, became: self.send_through(id, heard).await?, sent: true })
    }

    async fn send_through(&self, id: QuarantineId, heard: Heard) -> Result<Requeued, RequeueError> {
        match self.intake.keep(heard).await? {
            Fate::New | Fate::Sighted | Fate::Test => {
                within(PATIENCE, async { retry::delete(&mut *self.pool.acquire().await?, id).await }).await?;
                Ok(Requeued::Kept)
            }
            Fate::Quarantined => Ok(Requeued::Stays(Refusal::new(Reason::Refused, REFUSED))),
            // The writer's picture was an older one; it has written so, and the message is tried again.
            Fate::Unverified => Ok(Requeued::Stays(Unverified::NoTokenFits.into())),
            Fate::Refused | Fate::Spooled | Fate::Erased => Err(RequeueError::NotCommitted),
        }
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.borrow())
    }
}

/// What became of one message, and whether it was sent through the intake, which then has written down what it found.
struct Tried {
    id: QuarantineId,
    became: Requeued,
    sent: bool,
}

impl Tried {
    fn refused(&self) -> Option<(QuarantineId, Refusal)> {
        match &self.became {
            Requeued::Stays(refusal) if !self.sent => Some((self.id, refusal.clone())),
            _ => None,
        }
    }
}

impl Tally {
    fn count(&mut self, became: &Requeued) {
        match became {
            Requeued::Kept => self.kept += 1,
            Requeued::Stays(_) => self.stay += 1,
            Requeued::Gone => {}
        }
    }
}

/// Some at a time: those that become events share their commits.
async fn at_once<T>(
    waiting: Vec<impl Future<Output = Result<T, RequeueError>>>,
) -> Result<Vec<T>, RequeueError> {
    stream::iter(waiting).buffered(AT_ONCE).try_collect().await
}

/// Why the message would be put aside again.
fn refusal(directory: &Directory, heard: &Heard) -> Option<Refusal> {
    match decode_with(directory, heard) {
        Decoded::Event(_) | Decoded::Test => None,
        Decoded::Unverified(message) | Decoded::Quarantine(message) => Some(message.refusal),
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
