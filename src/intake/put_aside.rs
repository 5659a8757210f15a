//! Into the quarantine.
//!
//! Guarantees: a message that is said to be in quarantine is in it. One for which there is no room is said to be nowhere;
//! if nobody would send it again, its moment becomes a gap.

use std::collections::HashSet;
use std::error::Error;

use super::batch::{AGAIN, COMMIT_DEADLINE, Outcome, Sink, Unavailable};
use super::told::Line;
use super::{Fate, Heard};
use crate::store::quarantine::write::{Quarantined, insert};
use crate::store::{self, again};

impl Sink {
    pub(super) async fn put_all_aside(
        &self,
        messages: Vec<(usize, Quarantined, Fate)>,
        outcomes: &mut [Outcome],
    ) {
        // Whose room somebody holds the lock of: the others need not wait for it again and again.
        let mut stuck = HashSet::new();
        for (at, message, fate) in messages {
            let partner = message.partner_id;
            if stuck.contains(&partner) {
                outcomes[at] = Outcome::Aside;
                continue;
            }
            let Ok(outcome) = self.put_aside(message, fate).await else { return };
            outcomes[at] = outcome;
            if outcome == Outcome::Aside {
                stuck.insert(partner);
            }
        }
    }

    /// In quarantine it has this fate. `Aside`: it cannot be put there now, but others perhaps can.
    pub(super) async fn put_aside(&self, message: Quarantined, fate: Fate) -> Result<Outcome, Unavailable> {
        let (source, reason) = (message.source.as_str(), message.refusal.reason);
        let keep = async || {
            let mut conn = self.desk.reading().take().await?;
            let inserted = insert(&mut conn, &message).await;
            conn.keep_after(&inserted);
            inserted
        };
        let mut inserted = store::within(COMMIT_DEADLINE, keep()).await;
        if inserted.as_ref().is_err_and(store::Error::is_session_ended) {
            // It is kept once, however often it is inserted.
            inserted = store::within(AGAIN, again(keep)).await;
        }
        match inserted {
            Ok(true) => {
                self.tell_quarantined(source, reason.as_str(), message.raw.len());
                if reason.is_curable() {
                    self.suspicion.raise();
                }
                Ok(Outcome::Done(fate))
            }
            Ok(false) => Ok(Outcome::Done(Fate::Refused)),
            Err(error) if error.is_unavailable() => Err(self.away(&error)),
            Err(error) => {
                if let Some(messages) = self.flow.told.times(Line::Obstacle, 1) {
                    tracing::error!(
                        error = &error as &dyn Error,
                        cause = store::cause(&error),
                        messages,
                        "messages cannot even be quarantined; they wait"
                    );
                }
                Ok(Outcome::Aside)
            }
        }
    }

    fn tell_quarantined(&self, source: &str, reason: &str, bytes: usize) {
        tracing::debug!(source, reason, bytes, "a message is quarantined");
        if let Some(messages) = self.flow.told.times(Line::Quarantined, 1) {
            tracing::warn!(
                messages,
                source,
                reason,
                "messages are quarantined; this is the last one's reason"
            );
        }
    }

    /// Those that are nowhere and that nobody will send again are lost.
    pub(super) fn note_refused(
        &self,
        messages: &[Heard],
        outcomes: &[Outcome],
        is_lost: impl Fn(&Heard) -> bool,
    ) {
        let refused =
            messages.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Done(Fate::Refused));
        let lost = refused.filter(|(heard, _)| is_lost(heard));
        self.flow.lose(lost.filter_map(|(heard, _)| Some((heard.partner_id?, heard.at))));
    }
}
