//! Who the partners are, which channels are theirs, and what verifies their messages: a picture of the tables that is
//! renewed whenever they change, so that a message is decoded without asking the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::model::id::PartnerId;
use crate::model::seal::MasterKey;
use crate::store;
use crate::transak::jws::VerifyingKey;

/// Whose a channel is, and whether what comes on it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The partner.
    pub partner_id: PartnerId,
    /// The channel of an API key, whose messages are signed; otherwise a watched channel, which anybody could know.
    pub signed: bool,
}

/// One picture of the partners.
#[derive(Debug, Default)]
pub struct Directory {
    keys: HashMap<PartnerId, Vec<VerifyingKey>>,
    generations: HashMap<PartnerId, i64>,
    channels: HashMap<Arc<str>, Vec<Owner>>,
}

impl Directory {
    /// Whether there is such a partner.
    pub fn knows(&self, partner: PartnerId) -> bool {
        self.keys.contains_key(&partner)
    }

    /// What verifies the messages of a partner, the newest token first.
    pub fn keys(&self, partner: PartnerId) -> &[VerifyingKey] {
        self.keys.get(&partner).map_or(&[], Vec::as_slice)
    }

    /// How often the partner had been given an access token when these keys were read: at least so many are in the
    /// picture, for it is read first.
    pub fn generation(&self, partner: PartnerId) -> i64 {
        self.generations.get(&partner).copied().unwrap_or_default()
    }

    /// The partners that a channel belongs to. Usually one; two if the same key was registered for both environments,
    /// or if two watch the same order.
    pub fn owners(&self, channel: &str) -> &[Owner] {
        self.channels.get(channel).map_or(&[], Vec::as_slice)
    }

    /// The channels to listen on.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.channels.keys()
    }

    /// Adds a partner.
    pub fn add(&mut self, partner_id: PartnerId, api_key: &str, keys: Vec<VerifyingKey>) {
        self.keys.insert(partner_id, keys);
        self.channels.entry(Arc::from(api_key)).or_default().push(Owner { partner_id, signed: true });
    }

    /// Adds a watched channel.
    pub fn watch(&mut self, partner_id: PartnerId, channel: &str) {
        self.channels.entry(Arc::from(channel)).or_default().push(Owner { partner_id, signed: false });
    }
}

/// The newest picture.
pub type Watch = watch::Receiver<Arc<Directory>>;

/// How often the tables are looked at without being told to.
const POLL: Duration = Duration::from_secs(15);

/// How long changes gather before the tables are read: thousands of watches made at once are read a few times.
const GATHER: Duration = Duration::from_millis(100);

/// Reads the partners.
///
/// # Errors
/// The database is not available. A token that does not open is left out and logged, so that one damaged row does not
/// silence everybody.
pub async fn load(pool: &PgPool, key: &MasterKey) -> store::Result<Directory> {
    let mut conn = pool.acquire().await?;
    // Before the tokens: a token that is added in between is known and not counted, which costs a try and no message.
    let generations = store::access_token::generations(&mut conn).await?.into_iter().collect();
    let mut tokens: HashMap<PartnerId, Vec<VerifyingKey>> = HashMap::new();
    for sealed in store::access_token::recent_of_all(&mut conn).await? {
        match key.open_text(&store::access_token::context(sealed.partner_id), &sealed.token) {
            Ok(token) => tokens.entry(sealed.partner_id).or_default().push(VerifyingKey::new(&token)),
            Err(error) => {
                tracing::error!(partner.id = %sealed.partner_id, %error, "an access token cannot be opened");
            }
        }
    }
    let mut directory = Directory { generations, ..Directory::default() };
    for (partner, api_key) in store::partner::api_keys(&mut conn).await? {
        directory.add(partner, &api_key, tokens.remove(&partner).unwrap_or_default());
    }
    store::watch::end_finished(&mut conn).await?;
    for (partner, channel) in store::watch::channels(&mut conn).await? {
        directory.watch(partner, &channel);
    }
    Ok(directory)
}

/// Keeps a picture up to date until told to stop.
pub async fn follow(
    (pool, key): (PgPool, MasterKey),
    changed: Arc<Notify>,
    picture: watch::Sender<Arc<Directory>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = changed.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(POLL) => {}
        }
        match load(&pool, &key).await {
            Ok(directory) => drop(picture.send_replace(Arc::new(directory))),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the partners cannot be read right now; the last picture stands"
            ),
        }
    }
}
