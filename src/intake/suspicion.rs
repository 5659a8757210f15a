//! Hurrying the care of access tokens, where it runs in this process.
//!
//! Guarantees nothing: whether messages wait for another token stands in the tables, and the care of any process finds it
//! there by looking. A call here only has it look sooner.

use std::sync::Arc;

use tokio::sync::Notify;

/// Says that there may be something to look at. Cheap to clone; never waits.
#[derive(Debug, Clone, Default)]
pub struct Suspicion(Arc<Notify>);

impl Suspicion {
    /// A message that another token could cure was put aside, or Transak did not accept a token.
    pub fn raise(&self) {
        self.0.notify_one();
    }

    /// Completes when something was raised since it last did.
    pub(super) async fn raised(&self) {
        self.0.notified().await;
    }
}
