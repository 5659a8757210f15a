//! Names of callback hosts to addresses, asked of the name servers of `/etc/resolv.conf` after a look into `/etc/hosts`.
//!
//! Guarantees: a look-up holds no thread and ends with whoever waits for it, so hosts with dead name servers hold nobody
//! else up; an address family that nobody answers for costs [`RESOLUTION_DELAY`]; answers are kept for their time to
//! live, [`LONGEST_KEPT`] at most; a change of either file is noticed within [`LOOK`].
//! Does not guarantee: that an answer is safe to dial. The dialler judges every address, each time. Nor that names are
//! found which only a module of `nsswitch.conf` knows (mDNS, LDAP): ADR 9.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup as Records;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};
use tokio::time::{Instant, timeout};

/// How long the addresses of one family wait for those of the other: RFC 8305 asks for 50 ms (section 3); a callback is
/// in no such hurry, and an address that comes late is never dialled.
const RESOLUTION_DELAY: Duration = Duration::from_millis(250);
/// How long one name server is waited for, and how often they are all asked again.
const SERVER_TIMEOUT: Duration = Duration::from_secs(3);
const ASKED_AGAIN: usize = 1;
/// Longest time an answer is kept whatever its time to live, so that a receiver that moves is followed.
const LONGEST_KEPT: Duration = Duration::from_mins(1);
/// The same for "there is no such name": it is what a new receiver's first callback may have met.
const LONGEST_DENIED: Duration = Duration::from_secs(5);
/// Most answers kept. Strangers choose the names, so there is a bound.
const MOST_KEPT: u64 = 2048;
/// Most questions under way on one TCP connection to a name server.
const MOST_AT_ONCE: usize = 1024;
/// How often it is looked whether the system's files have changed.
const LOOK: Duration = Duration::from_secs(5);
/// The files that say where to ask.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// What a look-up gives. The caller's deadline applies; dropping the future ends the look-up.
pub type Lookup = BoxFuture<'static, io::Result<Vec<IpAddr>>>;

/// Where addresses come from: the system, or a test.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// The addresses of `name`, in the order to try them.
    fn lookup(&self, name: &str) -> Lookup;
}

/// The name servers that the system is told to use.
#[derive(Default)]
pub struct SystemResolver {
    current: Mutex<Option<Current>>,
}

/// A resolver made from the system's files as they were.
struct Current {
    resolver: Arc<TokioResolver>,
    files: Versions,
    looked_at: Instant,
}

/// When each of the files was last changed.
type Versions = [Option<SystemTime>; FILES.len()];

impl SystemResolver {
    fn resolver(&self) -> io::Result<Arc<TokioResolver>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = current.as_mut() {
            let is_current = known.looked_at.elapsed() < LOOK || known.files == versions();
            if is_current {
                if known.looked_at.elapsed() >= LOOK {
                    known.looked_at = Instant::now();
                }
                return Ok(Arc::clone(&known.resolver));
            }
        }
        let files = versions();
        let resolver = Arc::new(of_the_system()?);
        *current = Some(Current { resolver: Arc::clone(&resolver), files, looked_at: Instant::now() });
        Ok(resolver)
    }
}

impl Resolve for SystemResolver {
    fn lookup(&self, name: &str) -> Lookup {
        let (resolver, name) = (self.resolver(), name.to_owned());
        async move { addresses(&*resolver?, &name).await }.boxed()
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemResolver")
    }
}

fn versions() -> Versions {
    FILES.map(|file| std::fs::metadata(file).and_then(|file| file.modified()).ok())
}

/// Where the file names no server, the one on this machine is asked, as resolv.conf(5) says.
fn of_the_system() -> io::Result<TokioResolver> {
    let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "/etc/resolv.conf names no server: callback hosts are asked for at 127.0.0.1"
        );
        asking(NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into()))
    });
    build(builder)
}

fn asking(server: NameServerConfig) -> ResolverBuilder<TokioRuntimeProvider> {
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

fn build(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> io::Result<TokioResolver> {
    bound(builder.options_mut());
    builder.build().map_err(io::Error::other)
}

fn bound(options: &mut ResolverOpts) {
    options.timeout = options.timeout.min(SERVER_TIMEOUT);
    options.attempts = options.attempts.min(ASKED_AGAIN);
    options.positive_max_ttl = Some(LONGEST_KEPT);
    options.negative_max_ttl = Some(LONGEST_DENIED);
    options.cache_size = MOST_KEPT;
    options.max_active_requests = MOST_AT_ONCE;
}

/// Asks for both families at once, IPv6 to be tried first.
async fn addresses(resolver: &TokioResolver, name: &str) -> io::Result<Vec<IpAddr>> {
    let name = Name::from_utf8(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let of = |family| resolver.lookup(name.clone(), family).boxed();
    let (newer, older) = match select(of(RecordType::AAAA), of(RecordType::A)).await {
        Either::Left((newer, older)) => {
            let older = wait_for(older, newer.is_ok()).await;
            (Some(newer), older)
        }
        Either::Right((older, newer)) => {
            let newer = wait_for(newer, older.is_ok()).await;
            (newer, Some(older))
        }
    };
    let mut addresses = Vec::new();
    let mut failure = None;
    for records in [newer, older].into_iter().flatten() {
        match records {
            Ok(records) => {
                addresses.extend(records.answers().iter().filter_map(|record| record.data.ip_addr()));
            }
            Err(error) => failure = Some(error),
        }
    }
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    match failure {
        Some(error) if addresses.is_empty() => Err(cause(&error)),
        _ => Ok(addresses),
    }
}

type Answer = Result<Records, NetError>;

/// The other family's answer; for a while only, where the first one has told something already.
async fn wait_for(rest: impl Future<Output = Answer>, found: bool) -> Option<Answer> {
    if found { timeout(RESOLUTION_DELAY, rest).await.ok() } else { Some(rest.await) }
}

/// What this machine had not enough of keeps its number; everything else is one kind of failure to the caller.
fn cause(error: &NetError) -> io::Error {
    match error {
        NetError::Io(error) => {
            error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
        }
        _ => io::ErrorKind::NotFound.into(),
    }
}
