//! Table `event`: one row per observed change of an order.

pub mod admit;
pub mod announce;
pub mod before;
pub mod feed;
pub mod keep;
pub mod kept;
pub mod read;
pub mod webhooks;
pub mod write;
