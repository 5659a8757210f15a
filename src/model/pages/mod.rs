//! Reading a list page by page, by offset, while it may move.
//!
//! Guarantees: [`Next::Done`] only if everything that stood in the list all the while was on a page, whatever number of
//! rows the server gives a page, and whatever total it tells. A page counts only if it overlaps what was read, because
//! rows that leave the list move all others forward, past whoever reads. The end is believed if a page there is empty and
//! the one before it, read again, ends there; or if the server gives one page wherever it is asked, and tells no more rows.
//! Rows that change places are looked for in further rounds.
//! Does not guarantee: rows that came while it was read.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The most pages in a row that show nothing new: steps back over a million rows take twenty.
const PATIENCE: usize = 32;

/// The longest list that is read: a bound for one that never ends.
const LONGEST: usize = 1_000_000;

/// After so many rounds more, a list whose rows go on changing places is given up for now.
const ROUNDS: usize = 6;

/// What comes after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The page at [`Pages::skip`].
    Ask,
    /// Everything was read.
    Done,
    /// It cannot be said that everything was read.
    Given(Why),
}

/// Why it cannot be said that everything was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The list moves faster than it is read, goes round in circles, never ends, or comes row by row.
    Moves,
    /// It ends before the number of rows that it tells.
    TooShort,
}

/// A list that is being read.
#[derive(Debug)]
pub struct Pages {
    at: Place,
    /// The rows of the pages that count, each with the round in which it was last read.
    read: HashMap<String, usize>,
}

/// How far a reading has come: all that is needed to go on with it later, elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    skip: usize,
    /// The row that the list began with.
    first: Option<String>,
    /// The last row that was read. Where it stands, what was read ends.
    after: Option<String>,
    /// The most rows of a page so far, and the most that one is taken for able to hold.
    largest: usize,
    most: usize,
    /// Where the page was empty, when it was last asked for one behind the end.
    ends_at: Option<usize>,
    /// Where a page did not overlap what was read.
    apart_at: Option<usize>,
    /// How far the last step back went.
    step: usize,
    /// One row came at a time, so nothing could overlap.
    is_loose: bool,
    /// Pages in a row that showed nothing new.
    idle: usize,
    /// How many different rows were seen, by now and before this round; and how many rounds there were before it.
    seen: usize,
    seen_before: usize,
    rounds: usize,
    /// How many rows the list had at its end.
    length: usize,
    /// A page far behind any end is asked for, to see whether the server leaves out anything at all; and where to go on.
    probing_from: Option<usize>,
}

impl Pages {
    /// The whole list, asked for so many rows a page.
    pub fn new(limit: usize) -> Self {
        Self::resume(Place { most: limit, ..Place::default() })
    }

    /// What is left of it behind a place that was reached before.
    pub fn resume(mut at: Place) -> Self {
        at.skip = at.probing_from.take().unwrap_or(at.skip);
        let read = at.after.iter().map(|row| (row.clone(), at.rounds)).collect();
        Self { at, read }
    }

    /// How many rows the next page is to leave out.
    pub const fn skip(&self) -> usize {
        self.at.skip
    }

    /// Where to go on, should it be broken off now.
    pub const fn place(&self) -> &Place {
        &self.at
    }

    /// Takes the page at [`Pages::skip`]: the names of its rows, and the length of the list if it tells one.
    ///
    /// Rows that change places with others while the list is read may be met twice, and others never. So as many different
    /// rows must have been seen as the list has places; if they were not, it is read once more from the beginning.
    pub fn take(&mut self, rows: Vec<String>, total: Option<usize>) -> Next {
        let next = self.step(rows, total);
        let at = &self.at;
        // A list that names a row twice has fewer: then a round shows nothing new.
        let is_whole = at.seen >= at.length || (at.rounds > 0 && at.seen == at.seen_before);
        if next != Next::Done || is_whole {
            return next;
        }
        if at.rounds >= ROUNDS {
            return Next::Given(Why::Moves);
        }
        let (most, seen, rounds) = (at.most.max(at.largest), at.seen, at.rounds + 1);
        self.at = Place { most, seen, seen_before: seen, rounds, ..Place::default() };
        Next::Ask
    }

    fn step(&mut self, rows: Vec<String>, total: Option<usize>) -> Next {
        let round = self.at.rounds;
        let at = &mut self.at;
        let is_read = |row: &String| self.read.get(row) == Some(&round);
        at.idle += 1;
        if at.idle > PATIENCE || at.skip > LONGEST {
            return Next::Given(Why::Moves);
        }
        if let Some(end) = at.probing_from.take() {
            let is_same = !rows.is_empty() && rows.iter().all(is_read);
            return at.probed(is_same.then_some(rows.len()), end, total);
        }
        if rows.is_empty() {
            at.ends_at = Some(at.skip);
            return if at.skip == 0 { at.finish(0, total) } else { at.step_back() };
        }
        // The list has grown since.
        at.ends_at = at.ends_at.filter(|end| at.skip + rows.len() <= *end);
        let last_read = rows.iter().rposition(is_read);
        let follows = at.skip == 0 || (at.is_loose && at.apart_at == Some(at.skip));
        if last_read.is_none() && !follows {
            (at.apart_at, at.most) = (Some(at.skip), at.largest);
            return at.step_back();
        }
        let (count, end) = (rows.len(), at.skip + rows.len());
        at.largest = at.largest.max(count);
        at.after = rows.last().cloned();
        let begins_anew = at.skip > 0 && rows.first() == at.first.as_ref();
        if at.skip == 0 {
            at.first = rows.first().cloned();
        }
        for row in rows {
            at.seen += usize::from(self.read.insert(row, round).is_none());
        }
        if last_read.is_none_or(|last| last + 1 < count) {
            return at.go_on((count, end), total);
        }
        if begins_anew && at.ends_at.is_none() {
            (at.probing_from, at.skip) = (Some(end), LONGEST);
            return Next::Ask;
        }
        // A page as long as any could go on behind its end.
        let is_end = count < at.largest || end == 1 || at.is_loose;
        if is_end && at.ends_at == Some(end) { at.finish(end, total) } else { at.look_behind(end) }
    }
}

impl Place {
    /// There is more, or this was the last page.
    fn go_on(&mut self, (count, end): (usize, usize), total: Option<usize>) -> Next {
        (self.idle, self.step) = (0, 0);
        let was_wrong = self.apart_at.is_some();
        let may_be_last = count < self.most || (!was_wrong && total.is_some_and(|total| end >= total));
        let guess = self.apart_at != Some(end) && may_be_last;
        let overlap = if self.is_loose || guess { 0 } else { (count / 10).max(1).min(count - 1) };
        self.skip = end - overlap;
        Next::Ask
    }

    /// The server has answered for a place far behind any end: with so many rows that were read before, if it gives one page
    /// whatever it is asked to leave out.
    fn probed(&mut self, same: Option<usize>, end: usize, total: Option<usize>) -> Next {
        match (same, total) {
            (None, _) => {
                self.ends_at = Some(LONGEST);
                self.look_behind(end)
            }
            // There may be more than the one page, and nobody can ask for it.
            (Some(_), None) => Next::Given(Why::Moves),
            (Some(length), total) => self.finish(length, total),
        }
    }

    /// The page showed nothing new: what is behind it?
    fn look_behind(&mut self, end: usize) -> Next {
        let is_apart = self.apart_at == Some(end);
        // Row by row nothing can overlap: go on all the same, to see the rest at least.
        self.is_loose |= is_apart && self.largest == 1;
        let knows_no_size = self.largest == 1 && self.ends_at == Some(end);
        if !self.is_loose && (is_apart || knows_no_size) {
            return self.step_back();
        }
        (self.skip, self.step) = (end, 0);
        Next::Ask
    }

    /// Twice as far as the time before, until a page overlaps.
    fn step_back(&mut self) -> Next {
        self.step = (self.step * 2).max(1);
        self.skip = self.skip.saturating_sub(self.step);
        Next::Ask
    }

    fn finish(&mut self, length: usize, total: Option<usize>) -> Next {
        self.length = length;
        if self.is_loose {
            Next::Given(Why::Moves)
        } else if total.is_some_and(|total| total > length) {
            Next::Given(Why::TooShort)
        } else {
            Next::Done
        }
    }
}

#[cfg(test)]
mod tests;
