//! What is wrong for longer than a moment, told once: loops come round every second or quarter of a minute, and the same
//! line each time would hide everything else.

use std::collections::BTreeSet;
use std::fmt::Display;

/// One thing that can be wrong in a loop.
#[derive(Debug, Default)]
pub struct Fault(Option<String>);

impl Fault {
    /// What is to be told of how it went this time: an error that it did not have the time before, or that it goes on.
    pub fn news<'e, T, E: Display>(&mut self, went: &'e Result<T, E>) -> Option<Result<(), &'e E>> {
        match went {
            Ok(_) => self.is_over().then_some(Ok(())),
            Err(error) => self.is(error.to_string()).then_some(Err(error)),
        }
    }

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
        let mut fault = Fault::default();
        let mut news =
            |went: Result<u8, &str>| fault.news(&went).map(|news| news.map_err(|error| (*error).to_owned()));
        assert_eq!([news(Ok(1)), news(Err("away"))], [None, Some(Err("away".to_owned()))]);
        assert_eq!([news(Err("away")), news(Ok(1)), news(Ok(1))], [None, Some(Ok(())), None]);
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
