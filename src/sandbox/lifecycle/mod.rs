//! Whole lives of orders, as Transak plays them: which statuses follow each other, when, and what an order says of
//! itself at each.
//!
//! Pure: the clock and the randomness are handed in, so the same seed and times give the same bytes.
//! The sequences are those of the public samples and tables (`docs.transak.com/features/webhooks`,
//! `docs.transak.com/features/websockets`, `docs.transak.com/guides/track-order-status`): a card order has two
//! `ORDER_PROCESSING` events with different statuses, and a refund is announced on no stream table, so it is only to be
//! found by REST. Nothing here claims to be every transition Transak may make.

mod decimal;
mod snapshot;
mod snapshot_rest;

use std::time::Duration;

use chrono::{DateTime, Utc};

pub use decimal::Decimal;
pub(super) use snapshot::iso;
pub use snapshot::{HistoryRow, Snapshot};

/// What kind of order it is and how it is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journey {
    /// Crypto bought by bank transfer.
    BankBuy,
    /// Crypto bought by card.
    CardBuy,
    /// Crypto sold for a bank payout.
    Sell,
    /// The same, but the payout meets an obstacle first.
    SellOnHold,
    /// An NFT bought by card.
    Nft,
}

/// How an order ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything was delivered.
    Completed,
    /// A third party declined, after the payment was seen.
    Failed,
    /// The user never paid.
    Expired,
    /// The user called it off.
    Cancelled,
    /// Failed, and the money went back.
    Refunded,
}

/// One life an order may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The kind of order.
    pub journey: Journey,
    /// Its last status.
    pub ending: Ending,
}

/// A point of a plan: the event, the status it announces, and the time since the point before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// `ORDER_…`, the name of the event.
    pub event: &'static str,
    /// The order's status from here on.
    pub status: &'static str,
    /// Time since the point before, as on Transak's staging.
    pub delay: Duration,
    /// Whether the stream announces it. A refund is only known to REST.
    pub on_stream: bool,
}

/// An event as it happened: the point and the order as it stood then.
#[derive(Debug, Clone)]
pub struct Step {
    /// `ORDER_…`, the name of the event.
    pub event: &'static str,
    /// The order's status.
    pub status: &'static str,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Whether the stream announces it.
    pub on_stream: bool,
    /// The order as the stream shows it, without its history.
    pub order: Snapshot,
}

const fn point(event: &'static str, status: &'static str, seconds: u64) -> Point {
    Point { event, status, delay: Duration::from_secs(seconds), on_stream: true }
}

const CREATED: Point = point("ORDER_CREATED", "AWAITING_PAYMENT_FROM_USER", 0);
const PAID: Point = point("ORDER_PAYMENT_VERIFYING", "PAYMENT_DONE_MARKED_BY_USER", 20);
const PROCESSING: Point = point("ORDER_PROCESSING", "PROCESSING", 15);
const DELIVERING: Point = point("ORDER_PROCESSING", "PENDING_DELIVERY_FROM_TRANSAK", 30);
const ON_HOLD: Point = point("ORDER_PROCESSING", "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK", 20);
const COMPLETED: Point = point("ORDER_COMPLETED", "COMPLETED", 25);
const FAILED: Point = point("ORDER_FAILED", "FAILED", 25);
const EXPIRED: Point = point("ORDER_FAILED", "EXPIRED", 60);
const CANCELLED: Point = point("ORDER_FAILED", "CANCELLED", 40);
const REFUNDED: Point = Point { on_stream: false, ..point("ORDER_REFUNDED", "REFUNDED", 60) };

impl Journey {
    /// What happens between the creation and the end of an order that is paid.
    const fn middle(self) -> &'static [Point] {
        match self {
            Self::BankBuy | Self::Sell => &[PAID, DELIVERING],
            Self::CardBuy | Self::Nft => &[PROCESSING, DELIVERING],
            Self::SellOnHold => &[PAID, DELIVERING, ON_HOLD],
        }
    }
}

impl Plan {
    /// A round of plans: all three products in the first four, then every other ending.
    pub const ROUND: [Self; 10] = [
        Self::new(Journey::BankBuy, Ending::Completed),
        Self::new(Journey::Sell, Ending::Completed),
        Self::new(Journey::Nft, Ending::Completed),
        Self::new(Journey::CardBuy, Ending::Completed),
        Self::new(Journey::CardBuy, Ending::Failed),
        Self::new(Journey::BankBuy, Ending::Expired),
        Self::new(Journey::SellOnHold, Ending::Completed),
        Self::new(Journey::Sell, Ending::Cancelled),
        Self::new(Journey::BankBuy, Ending::Refunded),
        Self::new(Journey::Nft, Ending::Failed),
    ];

    /// A plan of this kind and end.
    pub const fn new(journey: Journey, ending: Ending) -> Self {
        Self { journey, ending }
    }

    /// All its points, in order.
    pub fn points(self) -> Vec<Point> {
        let (paid, end): (bool, &[Point]) = match self.ending {
            Ending::Completed => (true, &[COMPLETED]),
            Ending::Failed => (true, &[FAILED]),
            Ending::Expired => (false, &[EXPIRED]),
            Ending::Cancelled => (false, &[CANCELLED]),
            Ending::Refunded => (true, &[FAILED, REFUNDED]),
        };
        let middle = if paid { self.journey.middle() } else { &[] };
        [&[CREATED], middle, end].concat()
    }
}

/// An order being played, point by point.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    points: std::vec::IntoIter<Point>,
    order: Snapshot,
}

impl Lifecycle {
    /// An order that has not happened yet. Its id, amounts and people come from `random`.
    pub fn new(plan: Plan, random: &mut fastrand::Rng) -> Self {
        Self { points: plan.points().into_iter(), order: Snapshot::draw(plan.journey, random) }
    }

    /// The order's id.
    pub fn order_id(&self) -> &str {
        &self.order.id
    }

    /// The partner's own name for the order.
    pub fn partner_order_id(&self) -> &str {
        &self.order.partner_order_id
    }

    /// How long after the last step the next one is due; `None` at the end.
    pub fn next_delay(&self) -> Option<Duration> {
        self.points.as_slice().first().map(|point| point.delay)
    }

    /// The next step happens, at `at`; `None` at the end.
    pub fn advance(&mut self, at: DateTime<Utc>) -> Option<Step> {
        let point = self.points.next()?;
        self.order.enter(&point, at);
        let Point { event, status, on_stream, .. } = point;
        Some(Step { event, status, at, on_stream, order: self.order.clone() })
    }

    /// Plays all that is left at the pace of the plan, the first step at `start`.
    pub fn play_from(mut self, start: DateTime<Utc>) -> Vec<Step> {
        let mut at = start;
        let mut steps = Vec::new();
        while let Some(delay) = self.next_delay() {
            at += delay;
            steps.extend(self.advance(at));
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(journey: Journey, ending: Ending) -> Vec<&'static str> {
        Plan::new(journey, ending).points().iter().map(|point| point.status).collect()
    }

    #[test]
    fn a_card_order_is_processing_twice_with_different_statuses() {
        for journey in [Journey::CardBuy, Journey::Nft] {
            let points = Plan::new(journey, Ending::Completed).points();
            let processing: Vec<_> =
                points.iter().filter(|point| point.event == "ORDER_PROCESSING").collect();
            assert_eq!(processing.len(), 2);
            assert_ne!(processing[0].status, processing[1].status);
        }
    }

    #[test]
    fn an_off_ramp_order_never_has_the_status_processing() {
        for journey in [Journey::Sell, Journey::SellOnHold] {
            assert!(!statuses(journey, Ending::Completed).contains(&"PROCESSING"));
        }
        assert!(statuses(Journey::SellOnHold, Ending::Completed).contains(&ON_HOLD.status));
    }

    #[test]
    fn every_end_is_reached_and_only_a_refund_is_kept_from_the_stream() {
        for (ending, last) in [
            (Ending::Completed, "COMPLETED"),
            (Ending::Failed, "FAILED"),
            (Ending::Expired, "EXPIRED"),
            (Ending::Cancelled, "CANCELLED"),
            (Ending::Refunded, "REFUNDED"),
        ] {
            let points = Plan::new(Journey::BankBuy, ending).points();
            assert_eq!(points.last().map(|point| point.status), Some(last));
            assert!(points.iter().all(|point| point.on_stream == (point.status != "REFUNDED")));
        }
    }

    #[test]
    fn the_first_four_plans_of_a_round_complete_all_three_products() {
        let journeys: Vec<_> = Plan::ROUND[..4].iter().map(|plan| (plan.journey, plan.ending)).collect();
        for journey in [Journey::BankBuy, Journey::CardBuy, Journey::Sell, Journey::Nft] {
            assert!(journeys.contains(&(journey, Ending::Completed)), "{journey:?}");
        }
    }

    #[test]
    fn the_same_seed_and_times_give_the_same_order() {
        let play = || {
            let life = Lifecycle::new(Plan::ROUND[0], &mut fastrand::Rng::with_seed(7));
            life.play_from(DateTime::UNIX_EPOCH).iter().map(|step| step.order.to_json()).collect::<Vec<_>>()
        };
        assert_eq!(play(), play());
        let other = Lifecycle::new(Plan::ROUND[0], &mut fastrand::Rng::with_seed(8));
        assert!(!play()[0].contains(other.order_id()));
    }
}
