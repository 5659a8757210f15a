//! How much of what nobody can verify is taken.
//!
//! Guarantees: nothing here is charged to, or refused to, a message that verifies; one client cannot use up what others
//! may send; all together cannot fill the intake's queue. Bytes count, and each message for some more.
//! Does not guarantee: that a webhook signed with a token that the relay does not have yet is taken while its sender's
//! address is used up. Each process counts for itself.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::model::client_address::{client, network};

/// What a message costs beside its bytes, in KiB: it is verified with every token and written with a statement of its own.
const EACH: u32 = 16;

/// What one client may send, in KiB: 5 small messages a second and 50 at once.
const CLIENT: Budget =
    Budget { per_second: NonZeroU32::new(80).unwrap(), burst: NonZeroU32::new(800).unwrap() };

/// What all of them may send.
const ALL: Budget =
    Budget { per_second: NonZeroU32::new(4 << 10).unwrap(), burst: NonZeroU32::new(16 << 10).unwrap() };

/// What of theirs may wait for the database, in KiB.
const WAITING: usize = 4 << 10;

/// Beyond this many clients those that have been quiet are forgotten.
const CLIENTS_KEPT: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Budget {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl Budget {
    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

/// Bounds what strangers can have put aside: verified messages never pass through here.
#[derive(Debug)]
pub struct Strangers {
    /// Whose word on the client's address counts.
    proxies: Vec<IpNet>,
    each: DefaultKeyedRateLimiter<Option<IpAddr>>,
    all: DefaultDirectRateLimiter,
    waiting: Semaphore,
}

impl Default for Strangers {
    fn default() -> Self {
        Self::behind(Vec::new())
    }
}

impl Strangers {
    /// Told apart by their addresses, as these proxies tell them.
    pub fn behind(proxies: Vec<IpNet>) -> Self {
        Self {
            proxies,
            each: RateLimiter::keyed(CLIENT.quota()),
            all: RateLimiter::direct(ALL.quota()),
            waiting: Semaphore::new(WAITING),
        }
    }

    /// Whose budget a request is charged to.
    pub(super) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
        Some(network(client(peer, headers, &self.proxies)))
    }

    /// Charges a message of so many bytes. `None`: it is not taken. What is answered is held until the message is kept.
    pub(super) fn admit(&self, client: Option<IpAddr>, bytes: usize) -> Option<SemaphorePermit<'_>> {
        if self.each.len() > CLIENTS_KEPT {
            self.each.retain_recent();
        }
        let cost = NonZeroU32::new(EACH + u32::try_from(bytes.div_ceil(1 << 10)).ok()?)?;
        let permit = self.waiting.try_acquire_many(cost.get()).ok()?;
        let of_one = self.each.check_key_n(&client, cost);
        let admitted = matches!(of_one, Ok(Ok(()))) && matches!(self.all.check_n(cost), Ok(Ok(())));
        admitted.then_some(permit)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn admitted(strangers: &Strangers, client: Option<IpAddr>, bytes: usize) -> usize {
        (0..1000).filter(|_| strangers.admit(client, bytes).is_some()).count()
    }

    #[test]
    fn each_client_has_a_budget_of_its_own() {
        let strangers = Strangers::default();
        let some = admitted(&strangers, Some(address(1)), 0);
        assert!((50..60).contains(&some), "{some}: a burst, and what came back meanwhile");
        assert!(strangers.admit(Some(address(2)), 0).is_some());
    }

    #[test]
    fn large_messages_use_it_up_sooner() {
        let some = admitted(&Strangers::default(), Some(address(1)), 250_000);
        assert!((3..5).contains(&some), "{some}");
    }

    #[test]
    fn all_together_have_a_budget_too() {
        let (strangers, began) = (Strangers::default(), Instant::now());
        let some: usize = (0..100).map(|last| admitted(&strangers, Some(address(last)), 0)).sum();
        // 256 a second, however slow this machine is.
        let back = usize::try_from(began.elapsed().as_millis()).unwrap() * 256 / 1000 + 1;
        assert!((1024..=1024 + back).contains(&some), "{some} of 16 KiB each, {back} came back meanwhile");
    }

    #[test]
    fn what_waits_for_the_database_is_bounded_and_does_not_cost_what_others_may_send() {
        let strangers = Strangers::default();
        let waiting: Vec<_> =
            (0..15).filter_map(|last| strangers.admit(Some(address(last)), 256 << 10)).collect();
        assert_eq!(waiting.len(), 15);
        assert!(strangers.admit(Some(address(99)), 256 << 10).is_none());
        drop(waiting);
        assert!(strangers.admit(Some(address(99)), 256 << 10).is_some());
    }

    #[test]
    fn behind_a_proxy_that_is_trusted_each_sender_is_a_client_of_its_own() {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 4711))));
        let sent_by = |strangers: &Strangers, sender: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", sender.parse().unwrap());
            strangers.client(&extensions, &headers)
        };
        let (told, untold) = (Strangers::behind(vec!["10.0.0.0/8".parse().unwrap()]), Strangers::default());
        assert_eq!(sent_by(&told, "192.0.2.1"), Some(address(1)));
        assert_eq!(sent_by(&told, "192.0.2.2"), Some(address(2)));
        assert_eq!(sent_by(&untold, "192.0.2.1"), sent_by(&untold, "192.0.2.2"));
    }

    #[test]
    fn one_network_of_ipv6_is_one_client() {
        let [one, other, third] =
            ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"].map(|text| network(text.parse().unwrap()));
        assert_eq!(one, other);
        assert_ne!(one, third);
    }
}
