//! Which access tokens verify whose messages.

use std::collections::{BTreeSet, HashMap};

use secrecy::{ExposeSecret as _, SecretString};

use crate::model::id::PartnerId;
use crate::model::seal::MasterKey;
use crate::model::token_owner::{Holder, owner};
use crate::store::access_token::{SealedToken, context};
use crate::transak::jws::VerifyingKey;

/// Every partner's tokens, the newest first.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// What verifies its messages.
    pub(super) own: HashMap<PartnerId, Vec<VerifyingKey>>,
    /// What other partners have too, and is none's.
    pub(super) shared: HashMap<PartnerId, Vec<VerifyingKey>>,
    /// The partners with a token that cannot be opened.
    pub(super) damaged: BTreeSet<PartnerId>,
}

impl Keys {
    /// Opens them, and decides whose they are.
    pub(super) fn open(sealed: &[SealedToken], key: &MasterKey) -> Self {
        let mut keys = Self::default();
        let holders = holders(sealed);
        for one in sealed {
            let Ok(token) = key.open_text(&context(one.partner_id), &one.token) else {
                keys.damaged.insert(one.partner_id);
                continue;
            };
            let all = holders.get(one.fingerprint.as_slice()).map_or(&[][..], Vec::as_slice);
            keys.sort(one.partner_id, &token, all);
        }
        keys
    }

    fn sort(&mut self, partner: PartnerId, token: &SecretString, holders: &[Holder]) {
        let place = match owner(token.expose_secret(), holders) {
            Some(owner) if owner.partner_id == partner => &mut self.own,
            // It is another's, whatever it would verify here.
            Some(_) => return,
            None => &mut self.shared,
        };
        place.entry(partner).or_default().push(VerifyingKey::new(token));
    }
}

/// Who has each token, by its fingerprint.
fn holders(sealed: &[SealedToken]) -> HashMap<&[u8], Vec<Holder>> {
    let mut holders: HashMap<&[u8], Vec<Holder>> = HashMap::new();
    for one in sealed {
        let holder = Holder { partner_id: one.partner_id, api_key: one.api_key.clone(), is_current: false };
        holders.entry(&one.fingerprint).or_default().push(holder);
    }
    holders
}
