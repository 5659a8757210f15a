//! The queues of a process as its tasks share them: the intake hands fresh deliveries over, the dispatcher sends them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::{Most, Queues};
use crate::model::delivery::Job;
use crate::model::id::EndpointId;

/// A handle of the queues. Cheap to clone.
#[derive(Clone)]
pub struct HandOver {
    queues: Arc<Mutex<Queues>>,
    ring: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOver").finish_non_exhaustive()
    }
}

impl HandOver {
    /// Queues for so many requests at once. `ring` tells whoever sends that something changed.
    pub fn new(most: Most, ring: impl Fn() + Send + Sync + 'static) -> Self {
        Self { queues: Arc::new(Mutex::new(Queues::new(most))), ring: Arc::new(ring) }
    }

    /// How many deliveries each of these endpoints may have born leased to this process.
    pub fn rooms(&self, endpoints: impl Iterator<Item = EndpointId>) -> HashMap<EndpointId, usize> {
        let now = Instant::now();
        self.with(|queues| endpoints.map(|id| (id, queues.room(id, now))).collect())
    }

    /// Takes fresh deliveries, already leased to this process. Answers those that the giver must give back, because nothing
    /// is sent any more.
    #[must_use]
    pub fn give(&self, jobs: Vec<Job>) -> Vec<Job> {
        if jobs.is_empty() {
            return jobs;
        }
        let now = Instant::now();
        let refused = self.with(|queues| {
            if queues.is_closed() {
                return jobs;
            }
            for job in jobs {
                queues.push_fresh(job, now);
            }
            Vec::new()
        });
        (self.ring)();
        refused
    }

    /// Says that deliveries of these endpoints are due in the table. `true`: all of them are this process's to fetch.
    pub fn note_due(&self, endpoints: &[EndpointId]) -> bool {
        let ours = self.with(|queues| endpoints.iter().filter(|&&id| queues.note_due(id)).count());
        (self.ring)();
        ours == endpoints.len()
    }

    /// The next delivery to send, if one may be sent now. If an endpoint has to wait for a token that comes sooner than
    /// all others', whoever sends is told.
    pub fn next(&self) -> Option<Job> {
        let now = Instant::now();
        let (job, sooner) = self.with(|queues| {
            let before = queues.next_timer();
            let job = queues.start(now);
            let after = queues.next_timer();
            (job, after.is_some_and(|after| before.is_none_or(|before| after < before)))
        });
        if sooner {
            (self.ring)();
        }
        job
    }

    /// Has whoever sends look.
    pub fn touch(&self) {
        (self.ring)();
    }

    /// Works on the queues. Never waits in there.
    pub fn with<T>(&self, work: impl FnOnce(&mut Queues) -> T) -> T {
        work(&mut self.queues.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
