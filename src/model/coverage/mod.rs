//! Which spans of time a partner's stream was heard in, and which not: a gap is every moment of a partner's term in which
//! no connection was subscribed to its channel and proven alive.
//!
//! Guarantees: the answer depends on the spans alone, not on who asks, in which order facts came in, or which process takes
//! whose place. What one connection heard is no gap, whatever happened to the others.
//! Does not guarantee: a gap where every moment was heard all the same. What a process heard shortly before it died, and
//! had no time to write down, counts as unheard: repairing a gap that was none costs a few requests, missing one an event.

pub mod logbook;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A connection shows at least this often that it lives: after so much silence it is pinged. What is published on a
/// connection that has gone mute is missed for no longer than this and the wait for the answer before it is found out.
pub const PROOF_INTERVAL: Duration = Duration::from_secs(10);

/// How often the owner of a connection writes down until when it is proven.
pub const RENEW: Duration = Duration::from_secs(2);

/// What was published this shortly before a connection's last sign of life may still have been on its way.
pub const UNREAD: TimeDelta = TimeDelta::seconds(1);

/// A partner is promised to be heard from the confirmation of its channel on, or, should that take longer, from its
/// registration on: subscribing takes a few round trips, and a gap for each of them would say nothing. Whoever is heard by
/// then, on another channel, is not to be missed for a moment.
pub const ENTRY: TimeDelta = TimeDelta::seconds(2);

/// An owner that has not renewed for so long hangs, even if its session with Postgres is still there.
const HUNG: TimeDelta = TimeDelta::seconds(15);

/// An owner whose session with Postgres has ended and that has not renewed for so long is dead. One that lives has a new
/// session by then.
const GONE: TimeDelta = TimeDelta::seconds(5);

/// A process that cannot reach Postgres for a moment is not the only one: whoever is back first gives the others this long
/// to say what they heard meanwhile, before it takes them for dead.
pub const STEADY: Duration = Duration::from_secs(8);

/// What a partner is to be heard on, and from when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// Its registration, or the change to its present channel.
    pub began: DateTime<Utc>,
    /// Its deletion, or the change to the next channel.
    pub ended: Option<DateTime<Utc>>,
    /// It follows a term of the same partner, without a break.
    pub follows: bool,
    /// Everything before was judged and needs no spans any more.
    pub decided: DateTime<Utc>,
}

/// A subscription of one connection to the term's channel, for the term's partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it was confirmed.
    pub from: DateTime<Utc>,
    /// Until when everything on its connection was heard and is safe.
    pub proven: DateTime<Utc>,
    /// When it was over.
    pub ended: Option<DateTime<Utc>>,
    /// Its owner lives and may yet prove more.
    pub may_grow: bool,
}

/// Moments in which nobody heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    pub from: DateTime<Utc>,
    /// `None`: it lasts.
    pub to: Option<DateTime<Utc>>,
    /// The span that ended where it begins, by its place in the list.
    pub after: Option<usize>,
}

/// What is known of a term by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Oldest first; only the last may last.
    pub holes: Vec<Hole>,
    /// Everything before is judged for good. A hole that lasts is judged anew each time, from its beginning.
    pub decided: DateTime<Utc>,
}

/// Whether the owner of a connection lives, seen by a process for which the database has been there for long enough
/// (`steady`) or not. In doubt it does.
pub fn is_alive(renewed_ago: TimeDelta, has_session: bool, steady: bool) -> bool {
    !steady || (renewed_ago < HUNG && (has_session || renewed_ago < GONE))
}

impl Span {
    /// Until when it counts. Its confirmation is a proof by itself.
    fn safe(&self) -> DateTime<Utc> {
        self.ended.map_or(self.proven, |ended| ended.min(self.proven)).max(self.from)
    }

    /// Whether the moment after `at` may still turn out to have been heard.
    fn may_cover(&self, at: DateTime<Utc>) -> bool {
        self.may_grow && self.from <= at && self.ended.is_none_or(|ended| at < ended)
    }
}

/// Judges a term from where it was last decided up to `now`, or up to the first moment of which nothing is known yet.
pub fn judge(term: &Term, spans: &[Span], now: DateTime<Utc>) -> Judgement {
    let until = term.ended.map_or(now, |ended| ended.min(now));
    let (mut at, mut holes) = (term.decided, Vec::new());
    while at < until {
        if let Some(safe) = covered_until(spans, at) {
            at = safe.min(until);
            continue;
        }
        if spans.iter().any(|span| span.may_cover(at)) {
            break;
        }
        let after = spans.iter().position(|span| span.from <= at && span.safe() == at);
        let next = spans.iter().map(|span| span.from).filter(|from| at < *from && *from < until).min();
        let to = next.or(term.ended.filter(|ended| *ended == until));
        let entering = !term.follows && at == term.began && to.unwrap_or(now) - at <= ENTRY;
        if !entering {
            holes.push(Hole { from: at, to, after });
        }
        let Some(to) = to else { break };
        at = to;
    }
    Judgement { holes, decided: at }
}

/// The furthest moment up to which everything from `at` on was heard by one connection.
fn covered_until(spans: &[Span], at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    spans.iter().filter(|span| span.from <= at).map(Span::safe).filter(|safe| at < *safe).max()
}

/// What is to be done with the gaps that are written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The open gap is over: from when to when it was.
    pub close: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The open gap began earlier than is written.
    pub widen: Option<DateTime<Utc>>,
    /// Gaps to be written down; only the last may be open.
    pub add: Vec<Hole>,
}

impl Changes {
    /// When the gap that is open once these are made began, if one is.
    pub fn open_after(&self, open: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let open = if self.close.is_some() { None } else { self.widen.or(open) };
        self.add.last().filter(|hole| hole.to.is_none()).map(|hole| hole.from).or(open)
    }
}

/// What a judgement means for the gap that is open by now, if one is: its beginning. A gap is never taken back, it is only
/// closed: in doubt it was one.
pub fn changes(judgement: &Judgement, open: Option<DateTime<Utc>>) -> Changes {
    let (mut open, mut changes) = (open, Changes::default());
    for hole in &judgement.holes {
        match (open, hole.to) {
            (Some(began), Some(to)) if began <= to => {
                changes.close = Some((began.min(hole.from), to));
                open = None;
            }
            (Some(began), None) => {
                changes.widen = (hole.from < began).then_some(hole.from);
                return changes;
            }
            _ => changes.add.push(*hole),
        }
    }
    // Everything that was taken for a gap turned out to be heard: by a process that was cut off from the database.
    if let Some(began) = open.filter(|began| *began < judgement.decided) {
        changes.close = Some((began, began));
    }
    changes
}
