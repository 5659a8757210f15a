//! Connections kept for the next callback to the same host.
//!
//! Guarantees: bounded per host and in all; none is kept longer than [`MAX_IDLE_TIME`] unused or [`MAX_AGE`] in all, so
//! that a change of a host's addresses is followed; one endpoint's client certificate never serves another.
//! Does not guarantee: that a kept connection still works. The sender asks it, and knows what to do if it does not.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use crate::model::callback_url::CallbackUrl;
use crate::model::tls_identity::{Fingerprint, TlsIdentity};

/// Most connections kept for one host: the default of an endpoint's requests in flight.
const MAX_PER_HOST: usize = 16;
/// Most connections kept in all, well under the usual limit of open files.
const MAX_IN_ALL: usize = 512;
/// Longest time unused. Many receivers close sooner, and then the socket only waits here to be noticed.
const MAX_IDLE_TIME: Duration = Duration::from_secs(30);
/// Longest life.
const MAX_AGE: Duration = Duration::from_mins(5);

/// What two callbacks must share to share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    https: bool,
    authority: String,
    identity: Option<Fingerprint>,
}

impl Key {
    pub(super) fn new(url: &CallbackUrl, identity: Option<&TlsIdentity>) -> Self {
        Self {
            https: url.as_url().scheme() == "https",
            authority: url.authority().to_owned(),
            identity: identity.map(TlsIdentity::fingerprint),
        }
    }
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Idle {
    fn is_fresh(&self, now: Instant) -> bool {
        now - self.since < MAX_IDLE_TIME && now - self.connection.opened < MAX_AGE
    }
}

#[derive(Default)]
struct Hosts {
    by_key: HashMap<Key, Vec<Idle>>,
    in_all: usize,
    swept: Option<Instant>,
}

#[derive(Default)]
pub(super) struct Pool(Mutex<Hosts>);

impl Pool {
    /// The connection used last, if one is kept that can still be used.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let idle = hosts.by_key.get_mut(key)?;
        let mut dropped = 0;
        let mut found = None;
        while let Some(mut candidate) = idle.pop() {
            dropped += 1;
            if candidate.is_fresh(now) && candidate.connection.is_reusable() {
                found = Some(candidate.connection);
                break;
            }
        }
        if idle.is_empty() {
            hosts.by_key.remove(key);
        }
        hosts.in_all -= dropped;
        found
    }

    /// Keeps a connection if it can be used again and there is room; else closes it.
    pub(super) fn put(&self, key: Key, mut connection: Connection) {
        let now = Instant::now();
        if !connection.is_reusable() || now - connection.opened >= MAX_AGE {
            return;
        }
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.sweep(now);
        if hosts.in_all >= MAX_IN_ALL {
            return;
        }
        let idle = hosts.by_key.entry(key).or_default();
        if idle.len() < MAX_PER_HOST {
            idle.push(Idle { connection, since: now });
            hosts.in_all += 1;
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().in_all
    }
}

impl Hosts {
    /// Closes what is stale everywhere, at most twice in an idle time.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now - swept < MAX_IDLE_TIME / 2) {
            return;
        }
        self.swept = Some(now);
        self.by_key.retain(|_, idle| {
            idle.retain(|idle| idle.is_fresh(now));
            !idle.is_empty()
        });
        self.in_all = self.by_key.values().map(Vec::len).sum();
    }
}
