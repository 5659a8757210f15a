//! Amounts: decimals as they came, never through a binary float.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON number, or a string where Transak wrote one, kept as its literal text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount(String);

impl Amount {
    /// Longer literals are no amounts of money.
    const MAX_LEN: usize = 100;

    /// Takes a JSON literal; anything but a number or a string is no amount.
    pub fn from_json(literal: &str) -> Option<Self> {
        let starts_well = literal.starts_with(|c: char| c == '-' || c == '"' || c.is_ascii_digit());
        let fits = literal.len() <= Self::MAX_LEN && !literal.contains("\\u0000");
        (starts_well && fits).then(|| Self(literal.to_owned()))
    }

    /// The literal, as it came.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_comes_out_as_it_went_in() {
        for literal in
            ["30", "0.0006130127560164107", "1.10", "1e-7", "\"1.03\"", "123456789012345678901234567890.5"]
        {
            let amount = Amount::from_json(literal).unwrap();
            assert_eq!(serde_json::to_string(&amount).unwrap(), literal);
        }
    }

    #[test]
    fn what_is_no_number_is_no_amount() {
        for literal in ["null", "true", "{}", "[1]", ""] {
            assert_eq!(Amount::from_json(literal), None, "{literal}");
        }
    }
}
