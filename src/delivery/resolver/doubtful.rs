//! Names that had no good answer the last time.
//!
//! Guarantees: what it takes of memory is fixed, whatever strangers call their hosts, and a name costs the same to look for.
//! Does not guarantee: that a doubtful name is remembered. Each has one place, chosen by a hash that differs from process
//! to process, and the next name for the same place takes it.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

/// How many are remembered at most; 128 KiB.
const PLACES: usize = 16 * 1024;

pub(super) struct Doubtful {
    hasher: RandomState,
    /// The hash of the name that has the place; 0: nobody.
    places: Box<[u64]>,
}

impl Default for Doubtful {
    fn default() -> Self {
        Self { hasher: RandomState::new(), places: vec![0; PLACES].into() }
    }
}

impl Doubtful {
    pub(super) fn contains(&self, name: &str) -> bool {
        let (hash, place) = self.place(name);
        self.places[place] == hash
    }

    pub(super) fn remember(&mut self, name: &str) {
        let (hash, place) = self.place(name);
        self.places[place] = hash;
    }

    pub(super) fn forget(&mut self, name: &str) {
        if self.contains(name) {
            let (_, place) = self.place(name);
            self.places[place] = 0;
        }
    }

    fn place(&self, name: &str) -> (u64, usize) {
        let hash = self.hasher.hash_one(name).max(1);
        (hash, usize::try_from(hash % PLACES as u64).unwrap_or_default())
    }
}

impl fmt::Debug for Doubtful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doubtful(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_doubtful_until_it_is_forgotten() {
        let mut doubtful = Doubtful::default();
        assert!(!doubtful.contains("a.example"));
        doubtful.remember("a.example");
        assert!(doubtful.contains("a.example") && !doubtful.contains("b.example"));
        doubtful.forget("b.example");
        assert!(doubtful.contains("a.example"));
        doubtful.forget("a.example");
        assert!(!doubtful.contains("a.example"));
    }

    #[test]
    fn a_flood_of_names_takes_no_more_memory_than_one() {
        let mut doubtful = Doubtful::default();
        for number in 0..4 * PLACES {
            doubtful.remember(&format!("{number}.example"));
        }
        let last = format!("{}.example", 4 * PLACES - 1);
        assert!(doubtful.contains(&last));
        assert_eq!(doubtful.places.len(), PLACES);
    }
}
