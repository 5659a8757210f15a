//! What the relay talks about: ids, orders and their statuses, events, endpoints, deliveries, secrets.
//!
//! Pure: no I/O, no async, no clock of its own. Every decision that matters for a promise is a function in here.

pub mod address;
pub mod amount;
pub mod announcement;
pub mod attempt;
pub mod breaker;
pub mod callback_url;
pub mod canonical;
pub mod change;
pub mod channel;
pub mod clock;
pub mod coverage;
pub mod dedupe;
pub mod delivery;
pub mod endpoint;
pub mod event;
pub mod gap;
pub mod header;
pub mod hops;
pub mod id;
pub mod mention;
pub mod order;
pub mod origin;
pub mod pace;
pub mod pages;
pub mod partition;
pub mod partner;
pub mod quarantine;
pub mod queue;
pub mod rate;
pub mod reconcile;
pub mod recovery;
pub mod redact;
pub mod retry;
pub mod seal;
pub mod signing;
pub mod sqlstate;
pub mod standing;
pub mod status;
pub mod target;
pub mod timeline;
pub mod tls_identity;
pub mod token;
pub mod token_care;
pub mod trace;
