//! The queues of a process as its tasks share them: the intake hands fresh deliveries over, the dispatcher sends them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::Queues;
use crate::model::delivery::Job;
use crate::model::id::EndpointId;

/// A handle of the queues. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HandOver {
    queues: Arc<Mutex<Queues>>,
    changed: Arc<Notify>,
}

impl HandOver {
    /// Queues for at most `most` requests at once.
    pub fn new(most: usize) -> Self {
        Self { queues: Arc::new(Mutex::new(Queues::new(most))), changed: Arc::default() }
    }

    /// How many deliveries each of these endpoints may have born leased to this process.
    pub fn rooms(&self, endpoints: impl Iterator<Item = EndpointId>) -> HashMap<EndpointId, usize> {
        let now = Instant::now();
        self.with(|queues| endpoints.map(|id| (id, queues.room(id, now))).collect())
    }

    /// Takes fresh deliveries, already leased to this process.
    pub fn give(&self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let now = Instant::now();
        self.with(|queues| jobs.into_iter().for_each(|job| queues.push_fresh(job, now)));
        self.changed.notify_one();
    }

    /// Says that deliveries of these endpoints are due in the table. `true`: all of them are this process's to fetch.
    pub fn note_due(&self, endpoints: &[EndpointId]) -> bool {
        let ours = self.with(|queues| endpoints.iter().filter(|&&id| queues.note_due(id)).count());
        self.changed.notify_one();
        ours == endpoints.len()
    }

    /// Completes when something was handed over since the last time.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Has whoever waits for changes look.
    pub fn touch(&self) {
        self.changed.notify_one();
    }

    /// Works on the queues. Never waits in there.
    pub fn with<T>(&self, work: impl FnOnce(&mut Queues) -> T) -> T {
        work(&mut self.queues.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
