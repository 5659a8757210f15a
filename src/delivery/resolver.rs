//! Names of callback hosts to addresses.
//!
//! Guarantees: at most [`MAX_LOOKUPS`] lookups run at once, and never two of the same name: who asks for a name that is
//! being looked up waits for that answer. So one host with a dead name server holds one thread, not all of them.
//! Does not guarantee: that an answer is safe to dial. The dialler judges every address, each time.
//!
//! Answers are not kept: `getaddrinfo` tells no time to live, and kept-alive connections make lookups rare anyway.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::{Semaphore, oneshot};

/// Most lookups at once. Each holds a thread until the system's resolver gives up, which can take half a minute; the
/// runtime has 512 such threads, and file writes need some of them.
pub const MAX_LOOKUPS: usize = 64;

/// What a lookup gives. The caller's deadline applies; dropping the future abandons the wait, not the lookup.
pub type Lookup = BoxFuture<'static, io::Result<Vec<IpAddr>>>;

/// Where addresses come from: the system, or a test.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of `name`, in the order to try them.
    fn lookup(&self, name: &str) -> Lookup;
}

/// The system's own resolver (`getaddrinfo`), so that `/etc/hosts` and the container's DNS hold here too.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    running: Arc<Mutex<HashMap<String, Pending>>>,
    permits: Arc<Semaphore>,
    ask: fn(&str) -> io::Result<Vec<IpAddr>>,
}

/// An answer several callers wait for. `io::Error` cannot be cloned, its kind can.
type Pending = Shared<BoxFuture<'static, Result<Vec<IpAddr>, io::ErrorKind>>>;

impl Default for SystemResolver {
    fn default() -> Self {
        Self::asking(ask_the_system, MAX_LOOKUPS)
    }
}

impl SystemResolver {
    fn asking(ask: fn(&str) -> io::Result<Vec<IpAddr>>, at_once: usize) -> Self {
        Self { running: Arc::default(), permits: Arc::new(Semaphore::new(at_once)), ask }
    }

    fn pending(&self, name: &str) -> Option<Pending> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Starts a lookup once there is room, unless someone else started the same one meanwhile.
    async fn start(&self, name: String) -> io::Result<Pending> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(io::Error::other)?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pending) = running.get(&name) {
            return Ok(pending.clone());
        }
        let (answer, answered) = oneshot::channel();
        let pending =
            answered.map(|answer| answer.unwrap_or(Err(io::ErrorKind::Interrupted))).boxed().shared();
        running.insert(name.clone(), pending.clone());
        let this = self.clone();
        // Not aborted when the callers give up: the thread is held until the system answers, and so is the permit.
        tokio::task::spawn_blocking(move || {
            let addresses = (this.ask)(&name).map_err(|error| error.kind());
            this.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            let _ = answer.send(addresses);
            drop(permit);
        });
        Ok(pending)
    }
}

impl Resolve for SystemResolver {
    fn lookup(&self, name: &str) -> Lookup {
        let (this, name) = (self.clone(), name.to_owned());
        async move {
            let pending = match this.pending(&name) {
                Some(pending) => pending,
                None => this.start(name).await?,
            };
            Ok(pending.await?)
        }
        .boxed()
    }
}

fn ask_the_system(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = (name, 0).to_socket_addrs()?.map(|address| address.ip()).collect();
    addresses.dedup();
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, LazyLock};

    use super::*;

    #[tokio::test]
    async fn the_system_knows_localhost_and_no_invalid_name() {
        let resolver = SystemResolver::default();
        let local = resolver.lookup("localhost").await.unwrap();
        assert!(!local.is_empty() && local.iter().all(IpAddr::is_loopback), "{local:?}");
        assert!(resolver.lookup("nowhere.invalid").await.is_err());
    }

    /// A name server that answers when the test says so.
    struct Slow {
        asked: AtomicUsize,
        open: Mutex<bool>,
        opened: Condvar,
        begun: Semaphore,
    }

    static SLOW: LazyLock<Slow> = LazyLock::new(|| Slow {
        asked: AtomicUsize::new(0),
        open: Mutex::new(false),
        opened: Condvar::new(),
        begun: Semaphore::new(0),
    });

    /// Answers an address with itself, so that an answer given to the wrong caller is seen.
    fn ask_slowly(name: &str) -> io::Result<Vec<IpAddr>> {
        SLOW.asked.fetch_add(1, Ordering::SeqCst);
        SLOW.begun.add_permits(1);
        let open = SLOW.open.lock().unwrap();
        drop(SLOW.opened.wait_while(open, |open| !*open).unwrap());
        Ok(vec![name.parse().map_err(io::Error::other)?])
    }

    #[tokio::test]
    async fn lookups_are_bounded_and_the_same_name_is_asked_once() {
        let resolver = SystemResolver::asking(ask_slowly, 2);
        let mut waiting = Vec::new();
        for name in ["10.0.0.1", "10.0.0.2"] {
            let mut lookup = resolver.lookup(name);
            assert!(futures_util::poll!(&mut lookup).is_pending());
            SLOW.begun.acquire().await.unwrap().forget();
            waiting.push((name, lookup));
        }
        // Both places are taken: a third name waits, and the same name joins instead of asking again.
        let mut third = resolver.lookup("10.0.0.3");
        assert!(futures_util::poll!(&mut third).is_pending());
        for name in ["10.0.0.1", "10.0.0.1", "10.0.0.2"] {
            let mut lookup = resolver.lookup(name);
            assert!(futures_util::poll!(&mut lookup).is_pending());
            waiting.push((name, lookup));
        }
        assert_eq!(SLOW.asked.load(Ordering::SeqCst), 2);
        // A caller that gives up frees no place, for the thread is still held.
        drop(waiting.remove(0));
        assert!(futures_util::poll!(&mut third).is_pending());
        *SLOW.open.lock().unwrap() = true;
        SLOW.opened.notify_all();
        for (name, lookup) in waiting {
            assert_eq!(lookup.await.unwrap(), [name.parse::<IpAddr>().unwrap()]);
        }
        assert_eq!(third.await.unwrap(), ["10.0.0.3".parse::<IpAddr>().unwrap()]);
        assert_eq!(SLOW.asked.load(Ordering::SeqCst), 3);
        assert!(resolver.lookup("no address").await.is_err());
    }
}
