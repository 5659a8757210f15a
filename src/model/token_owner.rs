//! Whose an access token of Transak is that several partners were registered with.
//!
//! Transak makes a token for one API key, so all but one of them were registered with the wrong one. A message that it
//! signs, and what the REST API answers to it, would otherwise be kept for whichever partner it was looked at for.
//! Guarantees: at most one partner has a token, in whatever order they are looked at.

use super::credentials::named_key;
use super::id::PartnerId;

/// A partner that was registered with a token, as one of its newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub partner_id: PartnerId,
    pub api_key: String,
    /// It is the partner's newest, and not over by its own claim.
    pub is_current: bool,
}

/// The holder whose token it is: the only one, or the only one whose API key the token names. `None`: that cannot be told.
pub fn owner<'a>(token: &str, holders: &'a [Holder]) -> Option<&'a Holder> {
    if let [only] = holders {
        return Some(only);
    }
    let named = named_key(token)?;
    let mut of_the_key = holders.iter().filter(|holder| holder.api_key == named);
    of_the_key.next().filter(|_| of_the_key.next().is_none())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    fn token(named: Option<&str>) -> String {
        let claims = named.map_or_else(|| "{}".to_owned(), |key| format!(r#"{{"API_KEY":"{key}"}}"#));
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    fn holders(keys: &[&str]) -> Vec<Holder> {
        let holder = |key: &&str| Holder {
            partner_id: PartnerId::new(),
            api_key: (*key).to_owned(),
            is_current: true,
        };
        keys.iter().map(holder).collect()
    }

    #[test]
    fn a_token_is_its_only_holders_or_that_ones_whose_key_it_names() {
        for (named, keys, owner_at) in [
            (None, &["a"][..], Some(0)),
            (Some("b"), &["a"], Some(0)),
            (Some("b"), &["a", "b"], Some(1)),
            (Some("c"), &["a", "b"], None),
            (None, &["a", "b"], None),
            // One key, registered for both of Transak's environments.
            (Some("a"), &["a", "a"], None),
            (Some("b"), &["a", "b", "a"], Some(1)),
            (Some("a"), &[], None),
        ] {
            let holders = holders(keys);
            assert_eq!(
                owner(&token(named), &holders),
                owner_at.map(|at: usize| &holders[at]),
                "{named:?} {keys:?}"
            );
        }
        assert_eq!(owner("no token", &holders(&["a", "b"])), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_order_of_the_holders_changes_nothing_and_only_one_of_them_has_it(
            keys in prop::collection::vec("[ab]", 0..5), named in prop::option::of("[abc]"), turn in 0..5_usize,
        ) {
            let holders = holders(&keys.iter().map(String::as_str).collect::<Vec<_>>());
            let mut turned = holders.clone();
            turned.rotate_left(turn.min(holders.len()));
            let token = token(named.as_deref());
            let owner = owner(&token, &holders);
            prop_assert_eq!(owner, super::owner(&token, &turned));
            let others = holders.iter().filter(|holder| Some(*holder) != owner);
            prop_assert!(owner.is_none_or(|owner| holders.len() == 1
                || others.clone().all(|other| other.api_key != owner.api_key)));
        }
    }
}
