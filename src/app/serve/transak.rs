//! What a process asks of Transak.

use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::watch;

use super::Relay;
use crate::intake::directory::Pictures;
use crate::intake::reconcile::Reconciler;
use crate::intake::requeue::Requeue;
use crate::intake::suspicion::Suspicion;
use crate::intake::tokens::TokenCare;
use crate::intake::{Intake, credentials, reconcile, tokens};
use crate::model::clock::Ahead;
use crate::model::pace::Rate;
use crate::shutdown::Tasks;
use crate::transak::rest::{self, TransakRest};

/// A burst is what two seconds allow.
const TWO: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

impl Relay {
    /// What asks Transak: the care of access tokens, and the comparison with its own record.
    pub(super) fn start_transak(
        &self,
        tasks: &mut Tasks,
        intake: &Intake,
        (pictures, suspicion, clock): (Pictures, Suspicion, watch::Sender<Ahead>),
    ) -> anyhow::Result<()> {
        let (pool, key, config) = (self.pool.clone(), self.config.master_key.clone(), &self.config.transak);
        let per_second = config.transak_requests_per_second;
        let rest = Arc::new(TransakRest::new(rest::Settings {
            api_url: config.transak_api_url.clone(),
            user_ip: config.transak_user_ip,
            clock,
            rate: Rate { per_second, burst: per_second.saturating_mul(TWO) },
            ..rest::Settings::default()
        })?);
        let check = credentials::Check {
            pool: pool.clone(),
            key: key.clone(),
            rest: Arc::clone(&rest),
            directory: pictures.subscribe(),
        };
        tasks.spawn("credentials", check.run(tasks.stop_token()));
        let requeue = Requeue::new(pool.clone(), pictures.subscribe(), intake.clone());
        let care = TokenCare::new(tokens::Settings {
            pool: pool.clone(),
            key: key.clone(),
            rest: Arc::clone(&rest),
            requeue,
            pictures,
            suspicion: suspicion.clone(),
        });
        tasks.spawn("token care", care.run(tasks.stop_token()));
        let (intake, every) = (intake.clone(), self.reconcile_every());
        let turn = reconcile::TURN;
        let reconciler =
            Reconciler::new(reconcile::Settings { pool, key, rest, intake, suspicion, every, turn });
        tasks.spawn("reconcile", reconciler.run(tasks.stop_token()));
        Ok(())
    }
}
