//! The statuses of an order and what is known of the ways between them.
//!
//! Transak publishes the statuses (docs.transak.com, "Track order status") but no table of transitions. So nothing is
//! refused: the current status is the one that got furthest, and whatever is not known to be legal is flagged.

use std::cmp::Ordering;
use std::fmt;

use chrono::{DateTime, Utc};

/// A status as Transak wrote it. Unknown ones are kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(String);

/// How far along its way an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Unknown,
    AwaitingPayment,
    PaymentMarked,
    Processing,
    /// Pending delivery or on hold: an order goes back and forth between the two.
    Delivering,
    /// Failed, expired or cancelled: may still be refunded.
    Unsuccessful,
    Completed,
    Refunded,
}

impl Status {
    /// Takes any text that a table can hold: 1 to 100 bytes without NUL.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= 100 && !text.contains('\0');
        fits.then(|| Self(text.to_owned()))
    }

    /// The status as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The order is over. `FAILED`, `EXPIRED` and `CANCELLED` count as over although a refund may follow.
    pub fn is_terminal(&self) -> bool {
        self.stage() >= Stage::Unsuccessful
    }

    /// Every status that [`Status::is_terminal`] says is over.
    pub const TERMINAL: [&str; 5] = ["FAILED", "EXPIRED", "CANCELLED", "COMPLETED", "REFUNDED"];

    /// Transak's documents name it.
    pub fn is_known(&self) -> bool {
        self.stage() != Stage::Unknown
    }

    /// Orders two statuses of the same instant: the further one is larger.
    pub fn rank(&self) -> u8 {
        self.stage() as u8
    }

    /// The event name that Transak's tables give this status, for sources that send none.
    pub fn event_name(&self) -> &'static str {
        match self.0.as_str() {
            "AWAITING_PAYMENT_FROM_USER" => "ORDER_CREATED",
            "PAYMENT_DONE_MARKED_BY_USER" => "ORDER_PAYMENT_VERIFYING",
            "COMPLETED" => "ORDER_COMPLETED",
            "EXPIRED" | "FAILED" | "CANCELLED" => "ORDER_FAILED",
            "REFUNDED" => "ORDER_REFUNDED",
            _ => "ORDER_PROCESSING",
        }
    }

    fn stage(&self) -> Stage {
        match self.0.as_str() {
            "AWAITING_PAYMENT_FROM_USER" => Stage::AwaitingPayment,
            "PAYMENT_DONE_MARKED_BY_USER" => Stage::PaymentMarked,
            "PROCESSING" => Stage::Processing,
            "PENDING_DELIVERY_FROM_TRANSAK" | "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK" => Stage::Delivering,
            "FAILED" | "EXPIRED" | "CANCELLED" => Stage::Unsuccessful,
            "COMPLETED" => Stage::Completed,
            "REFUNDED" => Stage::Refunded,
            _ => Stage::Unknown,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A status at a time, and whether its source could be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The status.
    pub status: Status,
    /// When the order reached it, by Transak's clock where that is known.
    pub at: DateTime<Utc>,
    /// It came signed, or from Transak's REST API.
    pub verified: bool,
}

/// What an event does to the order it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The order's current status becomes the event's.
    pub moves: bool,
    /// Why somebody should look; `None` for a transition known to be legal.
    pub anomaly: Option<String>,
}

/// Decides whether `incoming` becomes the order's status.
///
/// The order of arrival does not matter: the furthest status wins, and among equals the later one. So a late event
/// never moves an order backwards, and two processes that heard in another order agree.
pub fn advance(current: Option<&Standing>, incoming: &Standing) -> Advance {
    let Some(current) = current else {
        return Advance { moves: true, anomaly: unknown(&incoming.status) };
    };
    if current.verified && !incoming.verified {
        return Advance { moves: false, anomaly: unknown(&incoming.status) };
    }
    if current.status == incoming.status {
        return Advance { moves: incoming.verified && !current.verified, anomaly: None };
    }
    let anomaly = unknown(&incoming.status).or_else(|| illegal(current, incoming));
    Advance { moves: outranks(incoming, current) || (incoming.verified && !current.verified), anomaly }
}

fn outranks(incoming: &Standing, current: &Standing) -> bool {
    let unknown = !incoming.status.is_known() || !current.status.is_known();
    if unknown {
        // Nothing is known of its place: the later one counts, unless the order is over.
        return !current.status.is_terminal() && incoming.at >= current.at;
    }
    match incoming.status.rank().cmp(&current.status.rank()) {
        Ordering::Greater => true,
        Ordering::Equal => incoming.at > current.at,
        Ordering::Less => false,
    }
}

fn unknown(status: &Status) -> Option<String> {
    (!status.is_known()).then(|| format!("the status {status} is not one that Transak documents"))
}

/// A legal way goes forward, or from an unsuccessful end to a refund. An event that is only late took no way at all.
fn illegal(current: &Standing, incoming: &Standing) -> Option<String> {
    let (earlier, later) = if incoming.at < current.at { (incoming, current) } else { (current, incoming) };
    let (from, to) = (&earlier.status, &later.status);
    let legal = match (from.stage(), to.stage()) {
        (Stage::Unknown, _) | (_, Stage::Unknown) => true,
        (from, to) if from < Stage::Unsuccessful => to >= from,
        (Stage::Unsuccessful, Stage::Refunded) => true,
        _ => false,
    };
    (!legal).then(|| format!("{to} after {from} is not a transition that Transak is known to make"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(status: &str, minute: i64) -> Standing {
        let at = DateTime::from_timestamp(1_700_000_000 + minute * 60, 0).unwrap();
        Standing { status: Status::parse(status).unwrap(), at, verified: true }
    }

    fn step(from: (&str, i64), to: (&str, i64)) -> (bool, bool) {
        let advance = advance(Some(&standing(from.0, from.1)), &standing(to.0, to.1));
        (advance.moves, advance.anomaly.is_some())
    }

    const FORWARD: (bool, bool) = (true, false);
    const LATE: (bool, bool) = (false, false);

    #[test]
    fn the_documented_ways_are_forward() {
        for (from, to) in [
            ("AWAITING_PAYMENT_FROM_USER", "PAYMENT_DONE_MARKED_BY_USER"),
            ("AWAITING_PAYMENT_FROM_USER", "PENDING_DELIVERY_FROM_TRANSAK"),
            ("AWAITING_PAYMENT_FROM_USER", "EXPIRED"),
            ("PROCESSING", "PENDING_DELIVERY_FROM_TRANSAK"),
            ("PENDING_DELIVERY_FROM_TRANSAK", "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK"),
            ("ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK", "PENDING_DELIVERY_FROM_TRANSAK"),
            ("PENDING_DELIVERY_FROM_TRANSAK", "COMPLETED"),
            ("FAILED", "REFUNDED"),
            ("EXPIRED", "REFUNDED"),
            ("CANCELLED", "REFUNDED"),
        ] {
            assert_eq!(step((from, 0), (to, 1)), FORWARD, "{from} -> {to}");
        }
    }

    #[test]
    fn an_old_event_that_comes_late_moves_nothing_and_is_no_anomaly() {
        assert_eq!(step(("COMPLETED", 9), ("PROCESSING", 3)), LATE);
        assert_eq!(step(("REFUNDED", 9), ("FAILED", 3)), LATE);
        assert_eq!(step(("COMPLETED", 9), ("COMPLETED", 9)), LATE);
    }

    #[test]
    fn a_way_back_in_time_order_is_flagged_and_not_taken() {
        assert_eq!(step(("COMPLETED", 1), ("PROCESSING", 2)), (false, true));
        assert_eq!(step(("EXPIRED", 1), ("PAYMENT_DONE_MARKED_BY_USER", 2)), (false, true));
    }

    #[test]
    fn a_surprising_way_forward_is_taken_and_flagged() {
        assert_eq!(step(("EXPIRED", 1), ("COMPLETED", 2)), (true, true));
        assert_eq!(step(("COMPLETED", 1), ("REFUNDED", 2)), (true, true));
        assert_eq!(step(("PROCESSING", 1), ("SOMETHING_NEW", 2)), (true, true));
    }

    #[test]
    fn the_unverified_never_overrides_the_verified() {
        let mut rumour = standing("COMPLETED", 5);
        rumour.verified = false;
        assert!(!advance(Some(&standing("PROCESSING", 1)), &rumour).moves);
        assert!(advance(Some(&rumour), &standing("PROCESSING", 1)).moves);
    }

    #[test]
    fn every_order_of_arrival_ends_in_the_same_status() {
        let life = [
            "AWAITING_PAYMENT_FROM_USER",
            "PROCESSING",
            "PENDING_DELIVERY_FROM_TRANSAK",
            "FAILED",
            "REFUNDED",
        ];
        for seed in 0..200 {
            let mut events: Vec<_> = life.iter().zip(0..).map(|(s, minute)| standing(s, minute)).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut events);
            let mut current: Option<Standing> = None;
            for event in events {
                if advance(current.as_ref(), &event).moves {
                    current = Some(event);
                }
            }
            assert_eq!(current.unwrap().status.as_str(), "REFUNDED");
        }
    }
}
