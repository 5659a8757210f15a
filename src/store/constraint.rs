//! The constraints and indexes that our migrations made. Only they may say that a row is at fault: what an operator has
//! put on a table refuses what this program thinks is right. A test compares this list with the schema.

use super::partition::TABLES;
use crate::model::partition::Partition;

/// Those of each table; those of its partitions are [`of_partition`]'s.
pub const OWN: &[(&str, &[&str])] = &[
    ("access_token", &["access_token_by_fingerprint", "access_token_is_kept_once", "access_token_pkey"]),
    ("api_process", &["api_process_pkey", "api_process_port_range"]),
    (
        "api_token",
        &[
            "api_token_admin_has_no_partner",
            "api_token_by_partner",
            "api_token_hash_is_unique",
            "api_token_pkey",
        ],
    ),
    ("attempt", &["attempt_answered_or_failed", "attempt_pkey"]),
    (
        "delivery",
        &[
            "delivery_by_endpoint",
            "delivery_due",
            "delivery_exhausted",
            "delivery_finished_iff_finished_at",
            "delivery_held_in_order",
            "delivery_in_lane",
            "delivery_leased_is_pending",
            "delivery_not_noted",
            "delivery_one_per_event_and_endpoint",
            "delivery_pending_iff_next_attempt_at",
            "delivery_pkey",
        ],
    ),
    ("dispatcher", &["dispatcher_pkey"]),
    (
        "endpoint",
        &[
            "endpoint_disabled_has_reason",
            "endpoint_is_signed_for",
            "endpoint_max_in_flight_range",
            "endpoint_not_deleted",
            "endpoint_paused_has_tripped",
            "endpoint_pkey",
            "endpoint_rate_burst_range",
            "endpoint_rate_is_whole",
            "endpoint_rate_range",
            "endpoint_schedule_is_bounded",
            "endpoint_timeout_range",
        ],
    ),
    ("endpoint_change", &["endpoint_change_next", "endpoint_change_pkey"]),
    (
        "endpoint_due",
        &["endpoint_due_of_endpoint", "endpoint_due_of_partner", "endpoint_due_pkey", "endpoint_due_soonest"],
    ),
    ("endpoint_lease", &["endpoint_lease_of_dispatcher", "endpoint_lease_pkey"]),
    (
        "endpoint_secret",
        &["endpoint_secret_one_is_current", "endpoint_secret_pkey", "endpoint_secret_public_key_iff_pair"],
    ),
    ("erasure", &["erasure_by_order", "erasure_pkey", "erasure_token_hash_length"]),
    (
        "event",
        &[
            "event_about",
            "event_by_name",
            "event_by_occurrence",
            "event_by_order",
            "event_from_history",
            "event_hops_are_counted",
            "event_identity_is_unique",
            "event_identity_length",
            "event_in_commit_order",
            "event_pkey",
            "event_traceparent_length",
        ],
    ),
    (
        "gap",
        &[
            "gap_ends_after_it_starts",
            "gap_is_repaired_after_it_ends",
            "gap_open_once",
            "gap_pkey",
            "gap_repair_position",
            "gap_to_repair",
        ],
    ),
    ("gap_repair", &["gap_repair_pkey"]),
    (
        "gap_repair_days",
        &[
            "gap_repair_days_begin_before_they_end",
            "gap_repair_days_go_on_or_are_whole",
            "gap_repair_days_pkey",
        ],
    ),
    ("gap_repair_order", &["gap_repair_order_pkey"]),
    (
        "idempotency_key",
        &[
            "idempotency_key_by_age",
            "idempotency_key_fingerprint_length",
            "idempotency_key_pkey",
            "idempotency_key_token_hash_length",
        ],
    ),
    ("listener", &["listener_pkey"]),
    ("master_key_check", &["master_key_check_one_seals", "master_key_check_pkey"]),
    ("master_key_holder", &["master_key_holder_pkey"]),
    (
        "order",
        &[
            "order_by_partner_order_id",
            "order_by_wallet",
            "order_by_wallet_key",
            "order_newest",
            "order_pkey",
            "order_to_reconcile",
        ],
    ),
    (
        "partner",
        &[
            "partner_api_key_is_unique",
            "partner_api_key_not_blank",
            "partner_by_api_key",
            "partner_max_endpoints_range",
            "partner_name_not_blank",
            "partner_pkey",
            "partner_token_fruitless_is_counted",
        ],
    ),
    ("payload", &["payload_pkey"]),
    (
        "quarantine",
        &[
            "quarantine_by_age",
            "quarantine_hops_are_counted",
            "quarantine_is_kept_once",
            "quarantine_newest",
            "quarantine_pkey",
            "quarantine_to_try",
            "quarantine_unverified",
        ],
    ),
    ("quarantine_usage", &["quarantine_usage_of_one_room"]),
    (
        "recovery",
        &[
            "recovery_ends_after_it_begins",
            "recovery_finished_iff_finished_at",
            "recovery_pkey",
            "recovery_running",
        ],
    ),
    ("sighting", &["sighting_by_event"]),
    ("stream_connection", &["stream_connection_ends_after_it_opens", "stream_connection_pkey"]),
    (
        "stream_subscription",
        &[
            "stream_subscription_by_partner",
            "stream_subscription_ends_after_it_begins",
            "stream_subscription_pkey",
        ],
    ),
    (
        "stream_term",
        &[
            "stream_term_by_partner",
            "stream_term_ends_after_it_begins",
            "stream_term_one_is_present",
            "stream_term_pkey",
        ],
    ),
    ("watch", &["watch_channel_once", "watch_one_of_two", "watch_pkey"]),
];

/// Whether a constraint or an index of this name is ours.
pub(super) fn is_own(name: &str) -> bool {
    OWN.iter().any(|(_, names)| names.contains(&name)) || of_partition(name)
}

/// Whether this is the key of one of our partitions: nothing else of them can refuse a row by a name of its own.
pub fn of_partition(name: &str) -> bool {
    let Some(partition) = name.strip_suffix("_pkey") else { return false };
    let suffix = TABLES.iter().find_map(|table| partition.strip_prefix(table.name())?.strip_prefix('_'));
    suffix.is_some_and(|suffix| suffix == "default" || Partition::parse(suffix).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_our_migrations_named_is_ours_and_nothing_else() {
        for own in
            ["event_pkey", "attempt_answered_or_failed", "payload_default_pkey", "attempt_p20261122_pkey"]
        {
            assert!(is_own(own), "{own}");
        }
        for foreign in [
            "",
            "a_check",
            "one_event_a_second",
            "payload_default_key",
            "event_default_pkey",
            "payload_old_pkey",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }
}
