//! A resolver whose name servers answer when a test says so.

use std::sync::Condvar;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn the_system_knows_localhost_and_no_invalid_name() {
    let resolver = SystemResolver::default();
    let local = resolver.lookup("localhost").await.unwrap();
    assert!(!local.is_empty() && local.iter().all(IpAddr::is_loopback), "{local:?}");
    assert!(resolver.lookup("nowhere.invalid").await.is_err());
}

/// A name server that answers when the test says so. Each test has one of its own.
struct Slow {
    asked: AtomicUsize,
    open: Mutex<bool>,
    opened: Condvar,
    begun: Semaphore,
}

impl Slow {
    const fn new() -> Self {
        let (asked, open, opened) = (AtomicUsize::new(0), Mutex::new(false), Condvar::new());
        Self { asked, open, opened, begun: Semaphore::const_new(0) }
    }

    /// Answers an address with itself, so that an answer given to the wrong caller is seen.
    fn ask(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.begun.add_permits(1);
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
        Ok(vec![name.parse().map_err(io::Error::other)?])
    }

    fn open(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.opened.notify_all();
    }

    /// A lookup that has taken its place.
    async fn begin(&self, resolver: &SystemResolver, name: &str) -> Lookup {
        let mut lookup = resolver.lookup(name);
        assert!(futures_util::poll!(&mut lookup).is_pending());
        self.begun.acquire().await.unwrap().forget();
        lookup
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A lookup that somebody waits for.
fn waiting(resolver: &SystemResolver, name: &str) -> Lookup {
    let mut lookup = resolver.lookup(name);
    assert!((&mut lookup).now_or_never().is_none(), "{name}");
    lookup
}

#[tokio::test]
async fn lookups_are_bounded_and_the_same_name_is_asked_once() {
    static SLOW: Slow = Slow::new();
    let resolver = SystemResolver::asking(|name| SLOW.ask(name), (2, 2));
    let mut waiters = Vec::new();
    for name in ["10.0.0.1", "10.0.0.2"] {
        waiters.push((name, SLOW.begin(&resolver, name).await));
    }
    // Both places are taken: a third name waits, and the same name joins instead of asking again.
    let mut third = waiting(&resolver, "10.0.0.3");
    for name in ["10.0.0.1", "10.0.0.1", "10.0.0.2"] {
        waiters.push((name, waiting(&resolver, name)));
    }
    assert_eq!(SLOW.asked(), 2);
    // A caller that gives up frees no place, for the thread is still held.
    drop(waiters.remove(0));
    assert!(futures_util::poll!(&mut third).is_pending());
    SLOW.open(true);
    for (name, lookup) in waiters {
        assert_eq!(lookup.await.unwrap(), [name.parse::<IpAddr>().unwrap()]);
    }
    assert_eq!(third.await.unwrap(), ["10.0.0.3".parse::<IpAddr>().unwrap()]);
    assert_eq!(SLOW.asked(), 3);
    assert!(resolver.lookup("no address").await.is_err());
}

#[tokio::test]
async fn names_that_failed_or_outlived_their_callers_leave_room_for_the_others() {
    static SLOW: Slow = Slow::new();
    let resolver = SystemResolver::asking(|name| SLOW.ask(name), (2, 1));
    // Two answer, but not before somebody who waited has given up; a third fails.
    for name in ["10.0.0.1", "10.0.0.2"] {
        drop(SLOW.begin(&resolver, name).await);
    }
    let answers = ["10.0.0.1", "10.0.0.2"].map(|name| waiting(&resolver, name));
    SLOW.open(true);
    for answer in answers {
        assert!(answer.await.is_ok());
    }
    assert!(resolver.lookup("no address").await.is_err());
    SLOW.begun.forget_permits(usize::MAX);
    SLOW.open(false);
    let before = SLOW.asked();
    let _first = SLOW.begin(&resolver, "10.0.0.1").await;
    let _others = ["10.0.0.2", "no address"].map(|name| waiting(&resolver, name));
    let good = [SLOW.begin(&resolver, "10.0.0.8").await, SLOW.begin(&resolver, "10.0.0.9").await];
    assert_eq!(SLOW.asked() - before, 3, "the doubtful ones wait for each other, and nobody for them");
    SLOW.open(true);
    for answer in good {
        assert!(answer.await.is_ok());
    }
}

#[tokio::test]
async fn a_name_that_answers_in_time_again_is_like_any_other() {
    static SLOW: Slow = Slow::new();
    let resolver = SystemResolver::asking(|name| SLOW.ask(name), (1, 1));
    drop(SLOW.begin(&resolver, "10.0.0.1").await);
    let joined = waiting(&resolver, "10.0.0.1");
    SLOW.open(true);
    assert!(joined.await.is_ok());
    assert!(resolver.names().doubtful.contains("10.0.0.1"));
    assert!(resolver.lookup("10.0.0.1").await.is_ok());
    assert!(!resolver.names().doubtful.contains("10.0.0.1"));
}
