//! Who the partners are, which channels are theirs, and what verifies their messages: a picture of the tables that is
//! renewed whenever they change, so that a message is decoded without asking the database.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;

use super::keys::Keys;
use crate::model::channel::key_parts;
use crate::model::fault::Fault;
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

/// One picture of the partners. Every partner is added before the first watch.
#[derive(Debug, Default)]
pub struct Directory {
    keys: HashMap<PartnerId, Vec<VerifyingKey>>,
    /// Tokens that other partners have too, and that do not say whose they are.
    shared: HashMap<PartnerId, Vec<VerifyingKey>>,
    /// Partners with a token that could not be opened.
    damaged: BTreeSet<PartnerId>,
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

    /// What would verify the messages of a partner, if it were certain that they are this one's.
    pub fn shared_keys(&self, partner: PartnerId) -> &[VerifyingKey] {
        self.shared.get(&partner).map_or(&[], Vec::as_slice)
    }

    /// How often the partner had been given an access token when these keys were read: at least so many are in the
    /// picture, for it is read first.
    pub fn generation(&self, partner: PartnerId) -> i64 {
        self.generations.get(&partner).copied().unwrap_or_default()
    }

    /// The partners that a channel belongs to. Usually one; two if the same key was registered for both environments,
    /// or if two watch the same order. The channel of an API key belongs to nobody else, whoever watches it.
    pub fn owners(&self, channel: &str) -> &[Owner] {
        self.channels.get(channel).map_or(&[], Vec::as_slice)
    }

    /// The channels to listen on.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.channels.keys()
    }

    /// The channels of partners: those whose messages are signed. The others are watched.
    pub fn partner_channels(&self) -> impl Iterator<Item = &Arc<str>> {
        let partners = self.channels.iter().filter(|(_, owners)| owners.iter().any(|owner| owner.signed));
        partners.map(|(channel, _)| channel)
    }

    /// The partners that are heard on a channel, those that watch it not among them.
    pub fn heard_on(&self, channel: &str) -> Vec<PartnerId> {
        self.owners(channel).iter().filter(|owner| owner.signed).map(|owner| owner.partner_id).collect()
    }

    /// Adds a partner.
    pub fn add(&mut self, partner_id: PartnerId, api_key: &str, keys: Vec<VerifyingKey>) {
        self.keys.insert(partner_id, keys);
        self.channels.entry(Arc::from(api_key)).or_default().push(Owner { partner_id, signed: true });
    }

    /// Adds a watched channel, unless another partner's API key says that it is theirs: the key may have been
    /// registered after the watch was made, and what comes on its channels is not for the watcher.
    pub fn watch(&mut self, partner_id: PartnerId, channel: &str) {
        if self.may_watch(partner_id, channel) {
            self.channels.entry(Arc::from(channel)).or_default().push(Owner { partner_id, signed: false });
        }
    }

    fn may_watch(&self, partner_id: PartnerId, channel: &str) -> bool {
        let holders = |key: &str| self.owners(key).iter().filter(|owner| owner.signed);
        holders(channel).next().is_none()
            && key_parts(channel).all(|key| {
                holders(key).next().is_none() || holders(key).any(|holder| holder.partner_id == partner_id)
            })
    }

    /// Says what is wrong and was not in the picture before.
    pub fn tell(&self, before: &Self) {
        for partner in self.damaged.difference(&before.damaged) {
            tracing::error!(partner.id = %partner, "an access token cannot be opened");
        }
        for partner in self.shared.keys().filter(|partner| !before.shared.contains_key(partner)) {
            tracing::error!(
                partner.id = %partner,
                "another partner has the same access token, which does not say whose it is: what it signs is put aside until \
                 the token is taken from one of them with `accessToken: null`"
            );
        }
    }
}

/// The newest picture.
pub type Watch = watch::Receiver<Arc<Directory>>;

/// How often the tables are looked at without being told to.
const POLL: Duration = Duration::from_secs(15);

/// How long changes gather before the tables are read: thousands of watches made at once are read a few times.
const GATHER: Duration = Duration::from_millis(100);

/// How long reading the tables may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the partners.
///
/// # Errors
/// The database is not available. A token that does not open is left out, so that one damaged row does not silence
/// everybody.
pub async fn load(pool: &PgPool, key: &MasterKey) -> store::Result<Directory> {
    let mut conn = pool.acquire().await?;
    // Before the tokens: a token that is added in between is known and not counted, which costs a try and no message.
    let generations = store::access_token::generations(&mut conn).await?.into_iter().collect();
    let Keys { mut own, shared, damaged } =
        Keys::open(&store::access_token::recent_of_all(&mut conn).await?, key);
    let mut directory = Directory { shared, damaged, generations, ..Directory::default() };
    for (partner, api_key) in store::partner::api_keys(&mut conn).await? {
        directory.add(partner, &api_key, own.remove(&partner).unwrap_or_default());
    }
    store::watch::end_finished(&mut conn).await?;
    for (partner, channel) in store::watch::channels(&mut conn).await? {
        directory.watch(partner, &channel);
    }
    Ok(directory)
}

/// Renews a picture, one renewal after the other: an older one never takes the place of a newer. Clones are of the same.
#[derive(Clone)]
pub struct Pictures(Arc<Renewing>);

struct Renewing {
    pool: PgPool,
    key: MasterKey,
    picture: watch::Sender<Arc<Directory>>,
    /// How many renewals were begun.
    begun: AtomicU64,
    /// The number of the last one that succeeded; held while one is under way.
    good: Mutex<u64>,
}

impl Pictures {
    /// Those of these tables.
    pub fn new((pool, key): (PgPool, MasterKey), picture: watch::Sender<Arc<Directory>>) -> Self {
        Self(Arc::new(Renewing { pool, key, picture, begun: AtomicU64::default(), good: Mutex::default() }))
    }

    /// The newest picture, and those to come.
    pub fn subscribe(&self) -> Watch {
        self.0.picture.subscribe()
    }

    /// Reads the tables again, so that everything is in the picture which was committed before; and says what has become
    /// wrong with the partners' tokens.
    ///
    /// # Errors
    /// The database is not available; the last picture stands.
    pub async fn renew(&self) -> store::Result<()> {
        let Renewing { pool, key, picture, begun, good } = &*self.0;
        let before = begun.load(Ordering::Acquire);
        let mut good = good.lock().await;
        if *good > before {
            // Somebody else has begun since, and is done.
            return Ok(());
        }
        let number = begun.fetch_add(1, Ordering::AcqRel) + 1;
        let next = store::within(PATIENCE, load(pool, key)).await?;
        next.tell(&picture.borrow());
        picture.send_replace(Arc::new(next));
        *good = number;
        Ok(())
    }
}

/// Keeps a picture up to date until told to stop.
pub async fn follow(pictures: Pictures, changed: Arc<Notify>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut unread = Fault::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = changed.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(POLL) => {}
        }
        match unread.news(&pictures.renew().await) {
            Some(Ok(())) => tracing::info!("the partners can be read again"),
            Some(Err(error)) => tracing::warn!(
                error = error as &dyn std::error::Error,
                "the partners cannot be read right now; the last picture stands"
            ),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(directory: &Directory, channel: &str) -> Vec<(PartnerId, bool)> {
        directory.owners(channel).iter().map(|owner| (owner.partner_id, owner.signed)).collect()
    }

    #[test]
    fn the_channels_of_an_api_key_belong_to_the_partners_that_have_it_and_to_no_watcher() {
        let (ours, theirs, twin) = (PartnerId::new(), PartnerId::new(), PartnerId::new());
        let mut directory = Directory::default();
        directory.add(ours, "our_key", Vec::new());
        directory.add(theirs, "KEY", Vec::new());
        directory.add(twin, "KEY", Vec::new());
        for channel in ["KEY", "KEY_po-1", "KEY_", "our_key", "our_key_po-1", "order-1", "KEYS_po-1"] {
            directory.watch(ours, channel);
        }
        assert_eq!(owners(&directory, "KEY"), [(theirs, true), (twin, true)]);
        assert_eq!(owners(&directory, "our_key"), [(ours, true)]);
        for channel in ["KEY_po-1", "KEY_"] {
            assert!(owners(&directory, channel).is_empty(), "{channel}");
        }
        for channel in ["our_key_po-1", "order-1", "KEYS_po-1"] {
            assert_eq!(owners(&directory, channel), [(ours, false)], "{channel}");
        }
        assert_eq!(directory.channels().len(), 5, "nobody listens where nobody may");
    }
}
