//! The statuses of an order and what is known of the ways between them.
//!
//! Transak publishes the statuses (docs.transak.com, "Track order status") but no table of transitions. So nothing is
//! refused, and whatever is not known to be legal is flagged.

use std::fmt;

/// A status as Transak wrote it. Unknown ones are kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Status(String);

/// How far along its way an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
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

    /// Orders statuses of the same instant: the further one is larger, an unknown one the least.
    ///
    /// Where two are equally far, the one that somebody should look at is larger: an order on hold rather than one on its
    /// way, and of the three unsuccessful ends the one that says most of why. It matters only where Transak gives both
    /// one time; which one then counts must not depend on which was heard first.
    pub fn rank(&self) -> u8 {
        match self.0.as_str() {
            "AWAITING_PAYMENT_FROM_USER" => 1,
            "PAYMENT_DONE_MARKED_BY_USER" => 2,
            "PROCESSING" => 3,
            "PENDING_DELIVERY_FROM_TRANSAK" => 4,
            "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK" => 5,
            "EXPIRED" => 6,
            "CANCELLED" => 7,
            "FAILED" => 8,
            "COMPLETED" => 9,
            "REFUNDED" => 10,
            _ => 0,
        }
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

    pub(super) fn stage(&self) -> Stage {
        match self.rank() {
            1 => Stage::AwaitingPayment,
            2 => Stage::PaymentMarked,
            3 => Stage::Processing,
            4 | 5 => Stage::Delivering,
            6..=8 => Stage::Unsuccessful,
            9 => Stage::Completed,
            10 => Stage::Refunded,
            _ => Stage::Unknown,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_any_text_that_a_table_can_hold() {
        for (text, fits) in
            [("", false), ("A", true), (&*"A".repeat(100), true), (&*"A".repeat(101), false), ("A\0", false)]
        {
            assert_eq!(Status::parse(text).map(|status| status.to_string()), fits.then(|| text.to_owned()));
        }
    }

    #[test]
    fn each_known_status_has_a_rank_of_its_own() {
        let known = [
            "AWAITING_PAYMENT_FROM_USER",
            "PAYMENT_DONE_MARKED_BY_USER",
            "PROCESSING",
            "PENDING_DELIVERY_FROM_TRANSAK",
            "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK",
            "EXPIRED",
            "CANCELLED",
            "FAILED",
            "COMPLETED",
            "REFUNDED",
        ];
        let ranks: Vec<_> = known.iter().map(|status| Status::parse(status).unwrap().rank()).collect();
        assert!(ranks.is_sorted_by(|one, other| one < other));
        assert_eq!(Status::parse("SOMETHING_NEW").unwrap().rank(), 0);
    }

    #[test]
    fn a_source_without_event_names_gets_those_of_transaks_tables() {
        for (status, name) in [
            ("AWAITING_PAYMENT_FROM_USER", "ORDER_CREATED"),
            ("PAYMENT_DONE_MARKED_BY_USER", "ORDER_PAYMENT_VERIFYING"),
            ("PROCESSING", "ORDER_PROCESSING"),
            ("FAILED", "ORDER_FAILED"),
            ("COMPLETED", "ORDER_COMPLETED"),
            ("REFUNDED", "ORDER_REFUNDED"),
        ] {
            assert_eq!(Status::parse(status).unwrap().event_name(), name);
        }
    }

    #[test]
    fn what_is_over_is_listed() {
        for status in Status::TERMINAL {
            assert!(Status::parse(status).unwrap().is_terminal(), "{status}");
        }
        assert!(!Status::parse("ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK").unwrap().is_terminal());
    }
}
