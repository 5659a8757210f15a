//! The endpoints this process sends to, read once per version. A claim says which version it saw, and so does each
//! heartbeat, so a change of URL, secret or schedule counts within a second, also for what was claimed before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::PgPool;

use crate::model::delivery::Job;
use crate::model::id::EndpointId;
use crate::model::seal::MasterKey;
use crate::model::target::Target;
use crate::store;
use crate::store::session::PATIENCE;

/// The most endpoints kept in memory; beyond it all are read anew, which costs a query each.
const CAPACITY: usize = 10_000;

/// A cache of endpoints.
#[derive(Debug)]
pub(super) struct Targets {
    pool: PgPool,
    key: MasterKey,
    known: Mutex<HashMap<EndpointId, Arc<Target>>>,
}

impl Targets {
    pub(super) fn new(pool: PgPool, key: MasterKey) -> Self {
        Self { pool, key, known: Mutex::default() }
    }

    /// The endpoint of a job, at least as new as the job has it; `None` if it was deleted.
    pub(super) async fn of(&self, job: &Job) -> store::Result<Option<Arc<Target>>> {
        if let Some(target) = self.known(job) {
            return Ok(Some(target));
        }
        let place = (job.partner_id, job.endpoint_id);
        let reading = store::endpoint::sending::target(&self.pool, &self.key, place);
        let target = store::within(PATIENCE, reading).await?.map(Arc::new);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= CAPACITY {
            known.clear();
        }
        match &target {
            Some(target) => known.insert(job.endpoint_id, Arc::clone(target)),
            None => known.remove(&job.endpoint_id),
        };
        Ok(target)
    }

    fn known(&self, job: &Job) -> Option<Arc<Target>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&job.endpoint_id).filter(|target| target.revision >= job.terms.revision).map(Arc::clone)
    }
}
