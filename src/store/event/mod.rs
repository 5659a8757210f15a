//! Table `event`: one row per observed change of an order.

pub mod feed;
pub mod read;
pub mod webhooks;
pub mod write;
