//! What a test waits for happens, or the test fails: none of them waits for ever.

use std::time::Duration;

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// What comes of something that happens soon.
#[track_caller]
pub(crate) fn soon<F: Future>(what: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        let waited = tokio::time::timeout(PATIENCE, what).await;
        waited.unwrap_or_else(|_| panic!("{place}: it did not happen in {} seconds", PATIENCE.as_secs()))
    }
}
