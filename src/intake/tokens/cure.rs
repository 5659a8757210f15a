//! What was put aside because no token verified it is tried again with the tokens that there are now.
//!
//! Guarantees: any process that lives does it, whatever its roles. Whoever cares for the tokens does it at once; the others
//! leave it to them for some seconds, so that a message is seldom tried twice.

use std::error::Error;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::POLL;
use crate::intake::directory::Pictures;
use crate::intake::requeue::{Requeue, Tally};
use crate::model::fault::Fault;
use crate::store;
use crate::store::quarantine::retry;
use crate::store::session::PATIENCE;
use crate::store::{token_refresh, within};

/// So long it is left to a process that cares for the tokens.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(5);

/// What the cure needs.
pub struct Cure {
    pub pool: PgPool,
    pub requeue: Requeue,
    /// The picture that the intake reads with.
    pub pictures: Pictures,
}

impl Cure {
    /// Tries what nobody else has tried, until told to stop: in a process that does not care for the tokens itself.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (mut pictures, mut failing) = (self.pictures.subscribe(), Fault::default());
        loop {
            let look = async {
                tokio::time::sleep(LEFT_TO_OTHERS).await;
                let tried = self.quarantine(|| pictures.mark_unchanged()).await;
                match failing.news(&tried) {
                    Some(Ok(())) => tracing::info!("the quarantine can be looked at again"),
                    Some(Err(error)) => {
                        tracing::warn!(
                            error = error as &dyn Error,
                            "the quarantine cannot be looked at right now"
                        );
                    }
                    None => {}
                }
                tokio::select! {
                    // Its other end is in here, so this does not fail.
                    _ = pictures.changed() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = look => {}
            }
        }
    }

    /// Tries what was put aside by whoever did not know the tokens that there are now. Answers how many messages left.
    /// `renewed`: the picture has been renewed for it.
    pub async fn quarantine(&self, renewed: impl FnOnce()) -> store::Result<u64> {
        let waiting =
            within(PATIENCE, async { retry::partners_with_untried(&mut *self.pool.acquire().await?).await })
                .await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        // It may be older than the token that they wait for.
        self.pictures.renew().await?;
        renewed();
        let mut cured = 0;
        for partner in waiting {
            match self.requeue.untried(partner).await {
                Ok(tally) if tally == Tally::default() => {}
                Ok(tally) => {
                    cured += tally.kept;
                    tracing::info!(
                        partner.id = %partner, kept = tally.kept, stay = tally.stay,
                        "the quarantine was tried with a new access token"
                    );
                    if tally.kept > 0 {
                        within(PATIENCE, async {
                            token_refresh::cured(&mut *self.pool.acquire().await?, partner).await
                        })
                        .await?;
                    }
                }
                Err(error) => {
                    tracing::warn!(
                        partner.id = %partner, error = &error as &dyn Error,
                        "the quarantine cannot be tried right now"
                    );
                }
            }
        }
        Ok(cured)
    }
}
