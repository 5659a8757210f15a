//! Names of callback hosts to addresses.
//!
//! Guarantees: at most [`MAX_LOOKUPS`] lookups run at once, and never two of the same name: who asks for a name that is
//! being looked up waits for that answer. So one host with a dead name server holds one thread, not all of them. A name
//! whose last lookup failed, or outlived somebody who waited for it, is doubtful: at most [`MAX_DOUBTFUL`] of those are
//! looked up at once, so that many hosts with dead name servers leave the other places to everybody else.
//! Does not guarantee: that an answer is safe to dial. The dialler judges every address, each time. Nor that a name is
//! known to be doubtful: its first lookup is like anybody's.
//!
//! Answers are not kept: `getaddrinfo` tells no time to live, and kept-alive connections make lookups rare anyway.

mod doubtful;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use self::doubtful::Doubtful;

/// Most lookups at once. Each holds a thread until the system's resolver gives up, which can take half a minute; the
/// runtime has 512 such threads, and file writes need some of them.
pub const MAX_LOOKUPS: usize = 64;
/// Most lookups at once of names that are doubtful, of all that there are: a quarter.
pub const MAX_DOUBTFUL: usize = 16;

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
    names: Arc<Mutex<Names>>,
    places: Places,
    ask: fn(&str) -> io::Result<Vec<IpAddr>>,
}

/// What is known of names.
#[derive(Debug, Default)]
struct Names {
    running: HashMap<String, Running>,
    doubtful: Doubtful,
}

/// Room for lookups: of doubtful names, and of all others.
#[derive(Debug, Clone)]
struct Places {
    doubtful: Arc<Semaphore>,
    usual: Arc<Semaphore>,
}

/// A lookup under way.
#[derive(Debug)]
struct Running {
    answer: Pending,
    /// Somebody who waited for it has given up.
    abandoned: bool,
}

/// An answer several callers wait for. `io::Error` cannot be cloned, its kind can.
type Pending = Shared<BoxFuture<'static, Result<Vec<IpAddr>, io::ErrorKind>>>;

impl Default for SystemResolver {
    fn default() -> Self {
        Self::asking(ask_the_system, (MAX_LOOKUPS - MAX_DOUBTFUL, MAX_DOUBTFUL))
    }
}

impl SystemResolver {
    fn asking(ask: fn(&str) -> io::Result<Vec<IpAddr>>, (usual, doubtful): (usize, usize)) -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        let places = Places { doubtful: places(doubtful), usual: places(usual) };
        Self { names: Arc::default(), places, ask }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self, name: &str) -> Option<Pending> {
        self.names().running.get(name).map(|running| running.answer.clone())
    }

    /// Starts a lookup once there is room, unless someone else started the same one meanwhile.
    async fn start(&self, name: &str) -> io::Result<Pending> {
        loop {
            let doubtful = self.names().doubtful.contains(name);
            let places = if doubtful { &self.places.doubtful } else { &self.places.usual };
            let permit = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
            let mut names = self.names();
            if let Some(running) = names.running.get(name) {
                return Ok(running.answer.clone());
            }
            // Others may have tried it while this one waited for a place that is not for such names.
            if names.doubtful.contains(name) == doubtful {
                return Ok(self.begin(name, permit, &mut names));
            }
        }
    }

    fn begin(&self, name: &str, permit: OwnedSemaphorePermit, names: &mut Names) -> Pending {
        let (answer, answered) = oneshot::channel();
        let pending =
            answered.map(|answer| answer.unwrap_or(Err(io::ErrorKind::Interrupted))).boxed().shared();
        names.running.insert(name.to_owned(), Running { answer: pending.clone(), abandoned: false });
        let (this, name) = (self.clone(), name.to_owned());
        // Not aborted when the callers give up: the thread is held until the system answers, and so is the permit.
        tokio::task::spawn_blocking(move || {
            let addresses = (this.ask)(&name).map_err(|error| error.kind());
            this.names().end(&name, addresses.is_ok());
            drop(permit);
            let _ = answer.send(addresses);
        });
        pending
    }
}

impl Names {
    /// Notes how a lookup ended.
    fn end(&mut self, name: &str, found: bool) {
        let abandoned = self.running.remove(name).is_some_and(|running| running.abandoned);
        if found && !abandoned {
            self.doubtful.forget(name);
        } else {
            self.doubtful.remember(name);
        }
    }
}

impl Resolve for SystemResolver {
    fn lookup(&self, name: &str) -> Lookup {
        let (this, name) = (self.clone(), name.to_owned());
        async move {
            let pending = match this.pending(&name) {
                Some(pending) => pending,
                None => this.start(&name).await?,
            };
            let mut caller = Caller { resolver: &this, name: &name, answered: false };
            let answer = pending.await;
            caller.answered = true;
            Ok(answer?)
        }
        .boxed()
    }
}

/// Somebody who waits for a lookup that is under way, and says so when it is too long for them.
struct Caller<'a> {
    resolver: &'a SystemResolver,
    name: &'a str,
    answered: bool,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if !self.answered
            && let Some(running) = self.resolver.names().running.get_mut(self.name)
        {
            running.abandoned = true;
        }
    }
}

fn ask_the_system(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = (name, 0).to_socket_addrs()?.map(|address| address.ip()).collect();
    addresses.dedup();
    Ok(addresses)
}
