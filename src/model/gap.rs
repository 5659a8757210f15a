//! How far a gap is on its way to being repaired.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// What is done about a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GapState {
    /// The stream is still not heard.
    Open,
    /// It is over, and what was missed is read from Transak later: the next try has its time.
    Waiting,
    /// What was missed is being read from Transak.
    Repairing,
    /// Everything that Transak tells of the span was read.
    Repaired,
}

/// What is known of a gap's repair.
#[derive(Debug, Clone, Copy)]
pub struct Repair {
    /// The gap is over.
    pub is_over: bool,
    /// Something of it is read, or was.
    pub has_begun: bool,
    /// When the next try may begin.
    pub next_at: DateTime<Utc>,
    /// Everything was read.
    pub is_done: bool,
}

impl Repair {
    /// Where it stands at the moment `now`.
    pub fn state(&self, now: DateTime<Utc>) -> GapState {
        match self {
            Self { is_done: true, .. } => GapState::Repaired,
            Self { is_over: false, .. } => GapState::Open,
            Self { has_begun: true, next_at, .. } if *next_at <= now => GapState::Repairing,
            _ => GapState::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_gap_is_open_waits_is_being_repaired_and_is_repaired() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let state = |is_over, has_begun, seconds, is_done| {
            Repair { is_over, has_begun, next_at: now + TimeDelta::seconds(seconds), is_done }.state(now)
        };
        assert_eq!(state(false, false, 0, false), GapState::Open);
        assert_eq!(state(true, false, 0, false), GapState::Waiting, "nobody has begun");
        assert_eq!(state(true, true, 1, false), GapState::Waiting, "the last try failed");
        assert_eq!(state(true, true, 0, false), GapState::Repairing);
        assert_eq!(state(true, true, 0, true), GapState::Repaired);
    }
}
