//! How many connections there may be, in all and of one address.
//!
//! Guarantees: never more than [`Bounds::in_all`], beside those that are just being ended; one address, or one IPv6
//! network of 64 bits, never has more than [`Bounds::per_address`], unless it is a proxy that is trusted; where all places
//! are taken, the oldest connection that has not asked for anything yet makes room for a new one.
//! Does not guarantee: a place, if all are taken by connections that have asked for something.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::model::client_address::{is_trusted, network};

/// How many connections are taken.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// At most so many.
    pub in_all: usize,
    /// At most so many of one address.
    pub per_address: usize,
    /// Proxies, whose connections are those of many: they are only bounded in all.
    pub proxies: Vec<IpNet>,
}

/// Most connections, however many files may be open: each costs memory too.
const MOST: usize = 20_000;

impl Bounds {
    /// For a process that may have so many files open: half of them for who calls, half of that for one address. The
    /// other half is for the database, the callbacks and the spool.
    pub fn of_open_files(files: u64, proxies: Vec<IpNet>) -> Self {
        let in_all = usize::try_from(files / 2).unwrap_or(MOST).clamp(16, MOST);
        Self { in_all, per_address: in_all / 2, proxies }
    }
}

/// The connections there are.
#[derive(Debug)]
pub(super) struct Places {
    bounds: Bounds,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Those that have not asked for anything yet, oldest first, and what ends them.
    silent: BTreeMap<u64, CancellationToken>,
    next: u64,
}

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: Option<IpAddr>,
    number: u64,
    /// The place is needed for somebody else.
    pub(super) unwanted: CancellationToken,
}

impl Places {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, taken: Mutex::default() })
    }

    /// A place for a connection from there; `None`: there is none.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let address = self.counted(peer);
        let mut taken = self.taken();
        if let Some(address) = address
            && taken.by_address.get(&address).is_some_and(|&of_it| of_it >= self.bounds.per_address)
        {
            return None;
        }
        if taken.in_all >= self.bounds.in_all {
            // It gives its place back when it has ended; until then there is one more than the bound.
            let (_, oldest) = taken.silent.pop_first()?;
            oldest.cancel();
        }
        taken.in_all += 1;
        if let Some(address) = address {
            *taken.by_address.entry(address).or_default() += 1;
        }
        let (number, unwanted) = (taken.next, CancellationToken::new());
        taken.next += 1;
        taken.silent.insert(number, unwanted.clone());
        Some(Place { places: Arc::clone(self), address, number, unwanted })
    }

    /// The address that a connection counts for; none for a proxy's.
    fn counted(&self, peer: IpAddr) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        (!is_trusted(peer, &self.bounds.proxies)).then(|| network(peer))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Its connection has asked for something: it is not ended for a newcomer.
    pub(super) fn has_asked(&self) {
        self.places.taken().silent.remove(&self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.in_all -= 1;
        taken.silent.remove(&self.number);
        if let Some(address) = self.address
            && let Some(of_it) = taken.by_address.get_mut(&address)
        {
            *of_it -= 1;
            if *of_it == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(in_all: usize, per_address: usize) -> Arc<Places> {
        Places::new(Bounds { in_all, per_address, proxies: vec!["10.0.0.0/8".parse().unwrap()] })
    }

    fn take(places: &Arc<Places>, peer: &str) -> Option<Place> {
        places.take(peer.parse().unwrap())
    }

    #[test]
    fn one_address_has_its_part_and_a_proxy_all() {
        let places = places(100, 2);
        for (one, same) in [("192.0.2.1", "::ffff:192.0.2.1"), ("2001:db8::1", "2001:db8::ffff:0:0:2")] {
            let held = [take(&places, one), take(&places, same)];
            assert!(held.iter().all(Option::is_some) && take(&places, one).is_none(), "{one}");
            drop(held);
            assert!(take(&places, one).is_some(), "{one}");
        }
        let of_a_proxy: Vec<_> = (0..50).map(|_| take(&places, "10.1.2.3")).collect();
        assert!(of_a_proxy.iter().all(Option::is_some));
    }

    #[test]
    fn the_oldest_silent_connection_makes_room_and_one_that_asked_does_not() {
        let places = places(3, 3);
        let held = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|peer| take(&places, peer).unwrap());
        held[0].has_asked();
        let newcomer = take(&places, "192.0.2.4").unwrap();
        assert_eq!(
            held.each_ref().map(|place| place.unwanted.is_cancelled()),
            [false, true, false],
            "the oldest that has asked for nothing"
        );
        held[2].has_asked();
        newcomer.has_asked();
        drop(held);
        let all: Vec<_> = (0..2).map(|_| take(&places, "192.0.2.5").unwrap()).collect();
        all.iter().for_each(Place::has_asked);
        assert!(take(&places, "192.0.2.6").is_none(), "everybody there has asked for something");
    }
}
