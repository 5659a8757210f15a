//! Events: the observed changes of orders.

pub mod read;
pub mod webhooks;
