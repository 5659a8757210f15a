//! What a request says about a field: nothing, back to the default, or a new value.

use serde::{Deserialize, Deserializer};

/// The change of one field. In JSON an absent field keeps (with `#[serde(default)]`), `null` clears, a value sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// Stays as it is.
    #[default]
    Keep,
    /// Back to the default.
    Clear,
    /// Becomes this.
    Set(T),
}

impl<T> Change<T> {
    /// It is not [`Change::Keep`].
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    /// The new value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Changes the value, if there is one.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(f(value)),
        }
    }
}

/// An absent value keeps.
impl<T> From<Option<T>> for Change<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_keeps_null_clears_and_a_value_sets() {
        #[derive(Deserialize)]
        struct Patch {
            #[serde(default)]
            field: Change<u8>,
        }
        for (json, change) in
            [("{}", Change::Keep), (r#"{"field":null}"#, Change::Clear), (r#"{"field":7}"#, Change::Set(7))]
        {
            assert_eq!(serde_json::from_str::<Patch>(json).unwrap().field, change);
        }
    }
}
