//! Table `delivery`: what is owed, to whom, and how it went.

pub mod by_hand;
pub mod claim;
pub mod finish;
pub mod hasten;
pub mod held;
pub mod lane;
pub mod read;
pub mod succeed;
pub mod trial;
pub mod write;
