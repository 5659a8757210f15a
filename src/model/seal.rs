//! Secrets at rest: an authenticated seal (AES-256-GCM, random nonce) around what must never be readable in the
//! database: access tokens, API secrets, signing secrets, callback headers.
//!
//! Guarantees: a sealed value opens only with the same master key and the same context (the table, column and row it
//! was made for), so that a value copied to another row does not open there. While the key is being changed, what either
//! of two keys has sealed opens. Does not guarantee: protection from somebody who holds the master key.
//!
//! Layout: version (1 byte) · key id (4 bytes) · nonce (12) · ciphertext and tag.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

const VERSION: u8 = 1;
const KEY_ID_LEN: usize = 4;
const HEAD_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// Names the key a value was sealed with, without telling anything about the key.
pub type KeyId = [u8; KEY_ID_LEN];

/// Why a value was not opened or a key not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the master key must be 32 bytes in base64 (make one with `openssl rand -base64 32`)")]
    InvalidKey,
    #[error("the value was sealed with another master key: start with the key that was used before")]
    OtherKey,
    #[error("the sealed value is damaged or was moved from another row")]
    Damaged,
}

/// One key.
#[derive(Clone)]
struct Key {
    id: KeyId,
    key: Arc<RandomizedNonceKey>,
}

/// The key that seals, and perhaps the one before it, which still opens. Cheap to clone, and the clones agree on which of
/// the two seals; its `Debug` is silent.
#[derive(Clone)]
pub struct MasterKey {
    key: Key,
    previous: Option<Key>,
    previous_seals: Arc<AtomicBool>,
}

impl Key {
    fn parse(text: &str) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| SealError::InvalidKey)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| SealError::InvalidKey)?;
        let hash = digest(&SHA256, &[b"transak-relay master key id".as_slice(), &bytes].concat());
        let mut id = KeyId::default();
        id.copy_from_slice(&hash.as_ref()[..KEY_ID_LEN]);
        Ok(Self { id, key: Arc::new(key) })
    }
}

impl MasterKey {
    /// Reads a key of 32 bytes in base64.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        Ok(Self { key: Key::parse(text)?, previous: None, previous_seals: Arc::default() })
    }

    /// Opens what `previous` sealed, too.
    #[must_use]
    pub fn and_previous(self, previous: Self) -> Self {
        Self { previous: Some(previous.key), ..self }
    }

    /// The key that is to stay.
    pub fn id(&self) -> KeyId {
        self.key.id
    }

    /// Every key that opens.
    pub fn ids(&self) -> Vec<KeyId> {
        self.keys().map(|key| key.id).collect()
    }

    /// From now on seals with this one of its keys. `false`: it has no such key.
    pub fn seal_with(&self, id: KeyId) -> bool {
        let is_previous = self.previous.as_ref().is_some_and(|previous| previous.id == id);
        let known = is_previous || self.key.id == id;
        if known {
            self.previous_seals.store(is_previous, Ordering::Relaxed);
        }
        known
    }

    /// The key that seals now.
    pub fn seals_with(&self) -> KeyId {
        self.sealing().id
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.key).chain(&self.previous)
    }

    fn sealing(&self) -> &Key {
        match &self.previous {
            Some(previous) if self.previous_seals.load(Ordering::Relaxed) => previous,
            _ => &self.key,
        }
    }

    /// Seals `plain` for one place; only [`MasterKey::open`] with the same `context` gives it back.
    pub fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let sealing = self.sealing();
        let mut body = plain.to_vec();
        let nonce = sealing
            .key
            .seal_in_place_append_tag(Aad::from(context.as_bytes()), &mut body)
            .expect("sealing fails only beyond 64 GiB");
        let mut sealed = Vec::with_capacity(HEAD_LEN + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&sealing.id);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.extend_from_slice(&body);
        sealed
    }

    /// Opens what [`MasterKey::seal`] made.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (head, body) = sealed.split_at_checked(HEAD_LEN).ok_or(SealError::Damaged)?;
        if head[0] != VERSION {
            return Err(SealError::Damaged);
        }
        let key = self.keys().find(|key| head[1..=KEY_ID_LEN] == key.id).ok_or(SealError::OtherKey)?;
        let nonce =
            Nonce::try_assume_unique_for_key(&head[1 + KEY_ID_LEN..]).map_err(|_| SealError::Damaged)?;
        let mut body = body.to_vec();
        let plain = key
            .key
            .open_in_place(nonce, Aad::from(context.as_bytes()), &mut body)
            .map_err(|_| SealError::Damaged)?;
        Ok(plain.to_vec())
    }

    /// Seals a text.
    pub fn seal_text(&self, context: &str, plain: &SecretString) -> Vec<u8> {
        self.seal(context, plain.expose_secret().as_bytes())
    }

    /// Opens a text.
    pub fn open_text(&self, context: &str, sealed: &[u8]) -> Result<SecretString, SealError> {
        let plain = String::from_utf8(self.open(context, sealed)?).map_err(|_| SealError::Damaged)?;
        Ok(SecretString::from(plain))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fill: u8) -> MasterKey {
        MasterKey::parse(&STANDARD.encode([fill; 32])).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_with_its_key_and_context_only() {
        let sealed = key(1).seal("partner/1", b"secret");
        assert_eq!(key(1).open("partner/1", &sealed).unwrap(), b"secret");
        assert_eq!(key(1).open("partner/2", &sealed), Err(SealError::Damaged));
        assert_eq!(key(2).open("partner/1", &sealed), Err(SealError::OtherKey));
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
    }

    #[test]
    fn while_the_key_changes_both_open_and_one_seals() {
        let (old, both) = (key(1), key(2).and_previous(key(1)));
        let clone = both.clone();
        let before = old.seal("c", b"secret");
        assert_eq!(both.open("c", &before).unwrap(), b"secret");
        assert!(both.seal_with(old.id()), "the one before may go on sealing");
        assert_eq!(old.open("c", &clone.seal("c", b"secret")).unwrap(), b"secret", "clones agree");
        assert!(both.seal_with(key(2).id()) && !both.seal_with(key(3).id()));
        let after = clone.seal("c", b"secret");
        assert_eq!(old.open("c", &after), Err(SealError::OtherKey));
        assert_eq!(key(2).open("c", &after).unwrap(), b"secret");
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        let sealed = key(1).seal("c", b"secret");
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(key(1).open("c", &bent).is_err(), "byte {at}");
        }
        assert_eq!(key(1).open("c", &sealed[..10]), Err(SealError::Damaged));
    }

    #[test]
    fn a_key_of_another_length_or_form_is_refused() {
        for text in ["", "short", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33]), "////"] {
            assert_eq!(MasterKey::parse(text).err(), Some(SealError::InvalidKey), "{text}");
        }
    }
}
