//! Table `event`: one row per observed change of an order.

pub mod announce;
pub mod before;
pub mod candidates;
pub mod feed;
pub mod keep;
pub mod kept;
pub mod of_orders;
pub mod read;
pub mod webhooks;
pub mod write;
