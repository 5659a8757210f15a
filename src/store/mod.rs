//! All SQL. One folder or file per table, one function per query, checked against the migrations at compile time.
//!
//! Functions that belong into a larger transaction take `&mut PgConnection`; the caller owns the transaction. A row
//! that is not there is `Ok(None)` or `false`, never an error. Nothing in here decides: decisions are in `model`.

pub mod access_token;
mod again;
pub mod api_process;
pub mod api_token;
pub mod attempt;
mod cause;
pub mod connecting;
pub mod constraint;
pub mod credentials;
pub mod delivery;
pub mod dispatcher;
pub mod due;
pub mod endpoint;
pub mod erasure;
mod error;
pub mod event;
pub mod figures;
pub mod gap;
pub mod gap_repair;
pub mod idempotency;
pub mod installation;
pub mod list;
pub mod listener;
pub mod maintenance_lock;
pub mod master_key;
pub mod migration;
pub mod order;
pub mod partition;
pub mod partner;
pub mod payload;
pub mod pool;
pub mod quarantine;
pub mod reconcile;
pub mod recovery;
pub mod retention;
pub mod session;
pub mod sighting;
mod silence;
pub mod statistics;
pub mod token_refresh;
pub mod wake;
pub mod watch;

pub use again::{again, begin, commit};
pub use cause::cause;
pub use error::{Error, Result, within};
