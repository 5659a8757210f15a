//! The way out of a process, and which addresses it must not lead to.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;

use super::Relay;
use crate::app::listening::Presence;
use crate::delivery::dispatcher::{Dispatcher, Settings};
use crate::delivery::sender::{Sender, SenderSettings};
use crate::model::own_address::OwnAddresses;
use crate::model::queue::{HandOver, Most};
use crate::shutdown::Tasks;
use crate::store::wake::Wakes;

impl Relay {
    /// Shows the others where this process listens, and itself where they do; at once, for what it sends first.
    pub(super) async fn start_presence(&self, tasks: &mut Tasks) -> watch::Receiver<OwnAddresses> {
        let presence = Presence::new(self.pool.clone(), self.address());
        presence.look().await;
        let own = presence.own();
        tasks.spawn("own addresses", presence.run(tasks.stop_token()));
        own
    }

    pub(super) fn start_dispatcher(
        &self,
        tasks: &mut Tasks,
        (wakes, own): (&Wakes, watch::Receiver<OwnAddresses>),
        files: u64,
    ) -> anyhow::Result<HandOver> {
        // A half is for those who call, and some are for the database, the spool, and connections that are kept.
        let files = usize::try_from(files / 3).unwrap_or(usize::MAX);
        let settings = SenderSettings {
            addresses: self.addresses(),
            allow_http: self.config.callbacks.allow_http_callbacks,
            own,
            ..SenderSettings::default()
        };
        let (hand_over, dispatcher) = Dispatcher::new(Settings {
            pool: self.pool.clone(),
            key: self.config.master_key.clone(),
            sender: Sender::new(settings)
                .context("cannot read the certificate authorities of this system")?,
            most: Most::of_slots(usize::from(self.config.callbacks.dispatch_concurrency)).within(files),
            wake: Arc::clone(&wakes.deliveries),
        });
        tasks.spawn("dispatcher", dispatcher.run(tasks.stop_token()));
        Ok(hand_over)
    }
}
