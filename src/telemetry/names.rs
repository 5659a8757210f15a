//! Every metric by its name, and what it says. Labels are those of [`LABELS`], and bounded: their values are named in this
//! program, and whose trouble it is stands in [`PARTNER`] only if the operator wants it (`RELAY_METRICS_PARTNERS`), for
//! `/metrics` asks for no token.
//!
//! What is not per process but true of the whole database is shown by every process: take the maximum, not the sum.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Counters: what happened since the process began.
pub const COUNTERS: &[(&str, &str)] = &[
    ("relay_stream_frames_total", "Frames of the stream, by kind."),
    ("relay_stream_unreadable_frames_total", "Frames of the stream that could not be read."),
    ("relay_stream_reconnects_total", "Connections of the stream that ended, by reason."),
    ("relay_intake_messages_total", "Messages heard, by what became of them."),
    ("relay_intake_refused_total", "Messages lost: neither kept nor spooled."),
    ("relay_spool_damaged_total", "Records of the spool that could not be read back."),
    ("relay_quarantine_refused_total", "Messages that a full quarantine did not take, by source."),
    (
        "relay_quarantine_evicted_total",
        "Messages of strangers that newer ones of strangers took the place of.",
    ),
    ("relay_access_token_refreshes_total", "Access tokens asked for at Transak, by outcome."),
    ("relay_credentials_checks_total", "Access tokens shown to Transak, by what it said."),
    ("relay_reconcile_errors_total", "Answers of Transak's REST API that could not be used, by kind."),
    ("relay_reconcile_found_total", "Events first learned from Transak's REST API."),
    ("relay_gaps_repaired_total", "Gaps of which everything that the REST API tells was read."),
    ("relay_deliveries_total", "Attempts written back, by outcome."),
    ("relay_delivery_late_write_backs_total", "Attempts whose delivery had passed to another process."),
    (
        "relay_delivery_shortages_total",
        "Callbacks not attempted because this machine had no file, port or memory left.",
    ),
    ("relay_http_connections_refused_total", "Connections closed at once because there were too many."),
    ("relay_maintenance_runs_total", "Runs of maintenance, by outcome."),
    ("relay_retention_orders_total", "Orders deleted by age."),
    ("relay_retention_partitions_total", "Partitions dropped by age."),
];

/// Histograms.
pub const HISTOGRAMS: &[(&str, Unit, &str)] = &[
    ("http_request_duration_seconds", Unit::Seconds, "Requests to the HTTP interface, by route and status."),
    ("relay_intake_batch_events", Unit::Count, "Events that one transaction kept."),
    ("relay_intake_commit_duration_seconds", Unit::Seconds, "How long keeping one batch took."),
    ("relay_attempt_duration_seconds", Unit::Seconds, "How long one callback took."),
    (
        "relay_heard_to_answered_seconds",
        Unit::Seconds,
        "From hearing an event until a receiver had answered it.",
    ),
];

/// Gauges of this process; and what the operating system says of it, under the names of Prometheus' own clients.
pub const GAUGES: &[(&str, &str)] = &[
    ("relay_stream_connected", "1: this process hears the stream."),
    ("relay_stream_stands_by", "1: others listen, and this process would take over."),
    ("relay_stream_channels", "Channels of the stream that are confirmed."),
    ("relay_stream_last_heard_timestamp_seconds", "When this process last heard something on the stream."),
    ("relay_spool_max_bytes", "The most bytes that may wait on disk, aside ones included."),
    ("relay_aside_bytes", "Bytes that wait on disk because the database takes others, but not these."),
    ("relay_spool_bytes", "Bytes that wait on disk for the database."),
    ("relay_pool_connections", "Connections to the database, by state."),
    ("relay_pool_connections_max", "The most connections to the database."),
    (
        "relay_clock_ahead_seconds",
        "How far this machine's clock is ahead, of the database's and of Transak's.",
    ),
    ("relay_maintenance_last_success_timestamp_seconds", "When this process last maintained the database."),
    ("relay_build_info", "1, with the version that runs."),
    ("process_cpu_seconds_total", "Time on the processors, of the user and the system, in seconds."),
    ("process_resident_memory_bytes", "Memory that is in use."),
    ("process_virtual_memory_bytes", "Memory that is addressed."),
    ("process_open_fds", "Files, sockets and the like that are open."),
    ("process_max_fds", "How many may be open."),
    ("process_start_time_seconds", "When the process began."),
    ("process_threads", "Threads of the process."),
];

/// Gauges of the database, the same in every process.
pub const DATABASE_GAUGES: &[(&str, &str)] = &[
    ("relay_database_up", "1: the database answered when it was last asked."),
    ("relay_queue_due", "Deliveries that could be sent now, counted up to 100000."),
    ("relay_queue_held", "Deliveries kept for disabled endpoints, counted up to 100000."),
    (
        "relay_held_ends_seconds",
        "In how many seconds the oldest delivery that is held for a disabled endpoint is given up; only while one is held.",
    ),
    ("relay_endpoints_holding", "Disabled endpoints for which deliveries are held."),
    ("relay_queue_oldest_due_seconds", "How long the oldest due delivery has been waiting."),
    (
        "relay_queue_oldest_stuck_seconds",
        "For how long no dispatcher has looked at an endpoint that has something due.",
    ),
    ("relay_quarantine_messages", "Messages in quarantine, counted up to 100000."),
    ("relay_gaps_open", "Partners that nobody hears right now."),
    ("relay_gaps_open_seconds", "How long these have not been heard, together."),
    (
        "relay_partner_unheard_seconds",
        "How long nobody has heard the channel of the partner that waits longest; 0: everybody is heard.",
    ),
    ("relay_gaps_unrepaired", "Gaps that are over and not repaired yet."),
    ("relay_endpoints", "Endpoints, by what they are doing."),
    (
        "relay_access_token_expiry_timestamp_seconds",
        "When the first of the partners' newest access tokens ends; only if that is known of one.",
    ),
    (
        "relay_access_tokens_worrying",
        "Partners whose access token ends within 24 hours, or has ended, and is not replaced.",
    ),
    (
        "relay_reconcile_partners_without_token",
        "Partners that cannot be compared because they have no access token.",
    ),
    ("relay_database_bytes", "The size of the database."),
    ("relay_database_dead_rows", "Dead versions of rows, by table, by Postgres' estimate."),
    ("relay_database_oldest_transaction_seconds", "How long the oldest transaction has been open."),
    ("relay_database_default_partition_rows", "Rows outside of the partitions made ahead of time."),
];

/// The label that says whose trouble it is.
pub const PARTNER: &str = "partner";

/// All labels there are.
pub const LABELS: &[&str] = &[
    "fate", "kind", "of", "outcome", PARTNER, "reason", "route", "source", "state", "status", "table",
    "version",
];

/// A label and all its values.
type Label = (&'static str, &'static [&'static str]);

/// Counters that are shown from the start on, so that their first increase is one: each with its label and all its
/// values.
pub const ZEROES: &[(&str, Option<Label>)] = &[
    ("relay_stream_unreadable_frames_total", None),
    (
        "relay_intake_messages_total",
        Some(("fate", &["new", "sighted", "quarantined", "unverified", "refused", "spooled", "erased"])),
    ),
    ("relay_intake_refused_total", None),
    ("relay_spool_damaged_total", None),
    ("relay_quarantine_evicted_total", None),
    ("relay_quarantine_refused_total", Some(("source", &["stream", "webhook", "reconcile"]))),
    ("relay_access_token_refreshes_total", Some(("outcome", &["refreshed"]))),
    ("relay_credentials_checks_total", Some(("outcome", &["valid", "mismatched", "invalid", "unchecked"]))),
    ("relay_reconcile_found_total", None),
    ("relay_gaps_repaired_total", None),
    ("relay_deliveries_total", Some(("outcome", &["succeeded", "failed", "exhausted", "gone"]))),
    ("relay_delivery_late_write_backs_total", None),
    ("relay_delivery_shortages_total", None),
    ("relay_http_connections_refused_total", None),
    ("relay_maintenance_runs_total", Some(("outcome", &["done", "put_off", "failed"]))),
    ("relay_retention_orders_total", None),
    ("relay_retention_partitions_total", None),
];

/// What a figure says that is looked at.
pub(super) fn help(figure: &str) -> Option<&'static str> {
    GAUGES.iter().chain(DATABASE_GAUGES).find(|(name, _)| *name == figure).map(|(_, help)| *help)
}

/// Shows the [`ZEROES`].
pub(super) fn begin() {
    for (name, labels) in ZEROES {
        match labels {
            None => metrics::counter!(*name).increment(0),
            Some((label, values)) => {
                for value in *values {
                    metrics::counter!(*name, *label => *value).increment(0);
                }
            }
        }
    }
}

/// Tells the recorder all of them.
pub(super) fn describe() {
    for (name, help) in COUNTERS {
        describe_counter!(*name, *help);
    }
    for (name, unit, help) in HISTOGRAMS {
        describe_histogram!(*name, *unit, *help);
    }
    for (name, help) in GAUGES.iter().chain(DATABASE_GAUGES) {
        describe_gauge!(*name, *help);
    }
}
