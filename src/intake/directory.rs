//! Who the partners are, which channels are theirs, and what verifies their messages: a picture of the tables that is
//! renewed whenever they change, so that a message is decoded without asking the database.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::watch;

use crate::model::id::PartnerId;
use crate::transak::jws::VerifyingKey;

/// One picture of the partners.
#[derive(Debug, Default)]
pub struct Directory {
    keys: HashMap<PartnerId, Vec<VerifyingKey>>,
    channels: HashMap<Arc<str>, Vec<PartnerId>>,
}

impl Directory {
    /// What verifies the messages of a partner, the newest token first.
    pub fn keys(&self, partner: PartnerId) -> &[VerifyingKey] {
        self.keys.get(&partner).map_or(&[], Vec::as_slice)
    }

    /// The partners whose API key this channel is. Usually one; two if the same key was registered for both
    /// environments.
    pub fn owners(&self, channel: &str) -> &[PartnerId] {
        self.channels.get(channel).map_or(&[], Vec::as_slice)
    }

    /// The channels to listen on.
    pub fn channels(&self) -> BTreeSet<Arc<str>> {
        self.channels.keys().map(Arc::clone).collect()
    }

    /// Adds a partner.
    pub fn add(&mut self, partner: PartnerId, api_key: &str, keys: Vec<VerifyingKey>) {
        self.keys.insert(partner, keys);
        self.channels.entry(Arc::from(api_key)).or_default().push(partner);
    }
}

/// The newest picture.
pub type Watch = watch::Receiver<Arc<Directory>>;
