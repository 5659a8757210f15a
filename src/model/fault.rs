//! What is wrong for longer than a moment, told once: loops come round every second or quarter of a minute, and the same
//! line each time would hide everything else.

use std::collections::BTreeSet;

/// One thing that can be wrong in a loop.
#[derive(Debug, Default)]
pub struct Fault(Option<String>);

impl Fault {
    /// It is wrong in this way. `true`: it was not, or in another way; it is to be told.
    pub fn is(&mut self, what: String) -> bool {
        let is_news = self.0.as_ref() != Some(&what);
        self.0 = Some(what);
        is_news
    }

    /// It is not wrong. `true`: it was, and that it is over is to be told.
    pub fn is_over(&mut self) -> bool {
        self.0.take().is_some()
    }
}

/// Things that are wrong at the same time, each told when it begins to be.
#[derive(Debug)]
pub struct Faults<T>(BTreeSet<T>);

impl<T> Default for Faults<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Ord + Clone> Faults<T> {
    /// These are wrong now. Answers those that were not before.
    pub fn are(&mut self, now: BTreeSet<T>) -> Vec<T> {
        let news = now.difference(&self.0).cloned().collect();
        self.0 = now;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_when_it_begins_and_when_it_changes_and_its_end_once() {
        let mut fault = Fault::default();
        let told: Vec<bool> =
            ["away", "away", "slow", "away"].map(|what| fault.is(what.to_owned())).into_iter().collect();
        assert_eq!(told, [true, false, true, true]);
        assert_eq!([fault.is_over(), fault.is_over()], [true, false]);
        assert!(fault.is("away".to_owned()), "it begins again");
    }

    #[test]
    fn of_several_things_that_are_wrong_those_are_told_that_were_not() {
        let mut faults = Faults::default();
        let mut are = |now: &[i32]| faults.are(now.iter().copied().collect());
        assert_eq!(
            [are(&[1, 2]), are(&[1, 2]), are(&[2, 3]), are(&[]), are(&[3])],
            [vec![1, 2], vec![], vec![3], vec![], vec![3]]
        );
    }
}
