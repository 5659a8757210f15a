//! Table `endpoint_due`: which endpoints have something due, found by one step along an index.
//!
//! A row is a promise to look at an endpoint, at the latest then. Guarantees: of everything pending of an endpoint that may
//! be sent to, nothing is due before its first row, unless that has passed already. So an endpoint may be looked at in vain,
//! but never too late. It holds because
//! - whoever makes a delivery due, or ends an endpoint's pause, [notes](note()) it in the same transaction: it locks a row
//!   that is soon enough, so that nobody takes that away before the commit, or adds one. Neither waits for others who do
//!   the same, however many deliveries of one endpoint are being written.
//! - whoever takes a row away has locked it alone first, and only then looks what is due: it has seen the deliveries of
//!   all who had relied on the row, and who comes later finds it gone.
//!
//! Does not guarantee: that a process of an earlier version notes anything. See [`adopt`] and [`sweep()`].

mod look;
mod note;
mod sweep;

pub use look::{Looked, look, settle};
pub use note::{Due, adopt, note, note_now};
pub use sweep::{Sweep, sweep};
