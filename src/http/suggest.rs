//! What somebody who misspelt a name has probably meant.

use super::problem::{FieldError, Problem};

/// A text longer than this is no misspelt name.
const LONGEST: usize = 100;

/// `; did you mean …?`, or nothing if no known name is near. Capital letters make no difference, nor do hyphens.
pub fn did_you_mean<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> String {
    let given = plain(given);
    if given.len() > LONGEST {
        return String::new();
    }
    let measured = known.map(|name| (strsim::damerau_levenshtein(&given, &plain(name)), name));
    let nearest = measured.min_by_key(|(distance, _)| *distance);
    match nearest.filter(|(distance, name)| *distance <= name.len() / 3) {
        Some((_, name)) => format!("; did you mean `{name}`?"),
        None => String::new(),
    }
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '-', ' '], "")
}

/// A filter whose values Transak documents: its name, what was asked for, and the documented values.
pub type Asked<'a> = (&'static str, Option<&'a str>, &'static [&'static str]);

/// Refuses a filter for a value that nobody knows and nothing here has. One that Transak has invented since is found, if
/// anything has it: what was heard is never hidden.
pub fn refuse_unknown(found_nothing: bool, asked: &[Asked<'_>]) -> Result<(), Problem> {
    let unknown = |(name, given, known): &Asked<'_>| {
        let given = given.filter(|given| !known.contains(given))?;
        let meant = did_you_mean(given, known.iter().copied());
        Some(FieldError::new(*name, format!("must be one of {}{meant}", known.join(", "))))
    };
    let errors: Vec<_> = asked.iter().filter_map(unknown).collect();
    if found_nothing && !errors.is_empty() { Err(Problem::Validation(errors)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::endpoint::{EVENTS, STATUSES};

    #[test]
    fn what_is_near_is_suggested_and_what_is_not_is_not() {
        for (given, meant) in [
            ("completed", Some("COMPLETED")),
            ("Canceled", Some("CANCELLED")),
            ("awaiting-payment-from-user", Some("AWAITING_PAYMENT_FROM_USER")),
            ("done", None),
            ("", None),
        ] {
            let expected = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            assert_eq!(did_you_mean(given, STATUSES.into_iter()), expected, "{given}");
        }
    }

    #[test]
    fn a_value_that_something_has_is_never_refused() {
        let asked: Asked<'_> = ("status", Some("INVENTED_YESTERDAY"), &STATUSES);
        assert!(refuse_unknown(false, &[asked]).is_ok());
        assert!(matches!(refuse_unknown(true, &[asked]), Err(Problem::Validation(_))));
        assert!(refuse_unknown(true, &[("status", Some("COMPLETED"), &STATUSES)]).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_known_name_in_other_capitals_or_with_one_letter_wrong_is_suggested_itself(
            (at, place, letter, upper) in (0..EVENTS.len(), 0_usize..40, "[a-z]", any::<bool>())
        ) {
            let known = EVENTS[at];
            let mut given = if upper { known.to_uppercase() } else { known.to_lowercase() };
            let place = place % given.len();
            given.replace_range(place..=place, &letter);
            prop_assert_eq!(did_you_mean(&given, EVENTS.into_iter()), format!("; did you mean `{known}`?"));
        }
    }
}
