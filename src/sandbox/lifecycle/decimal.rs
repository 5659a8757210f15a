//! Amounts, exact. Binary floating point would change them on the way, and a relay is judged by not doing that.

use std::fmt;

use serde::{Serialize, Serializer, ser::Error};
use serde_json::value::RawValue;

/// `units` / 10^`scale`, written as JavaScript writes a number: without needless zeros, `30` rather than `30.00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    units: u128,
    scale: u32,
}

impl Decimal {
    /// `units` / 10^`scale`.
    pub const fn new(units: u128, scale: u32) -> Self {
        Self { units, scale }
    }

    /// The exact product, cut (not rounded) to `scale` digits after the point.
    #[must_use]
    pub const fn times(self, other: Self, scale: u32) -> Self {
        let (units, from) = (self.units * other.units, self.scale + other.scale);
        let units =
            if from > scale { units / 10_u128.pow(from - scale) } else { units * 10_u128.pow(scale - from) };
        Self { units, scale }
    }

    /// The exact difference of two amounts of the same scale; zero where it would be less.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        debug_assert!(self.scale == other.scale, "amounts of different scales");
        Self { units: self.units.saturating_sub(other.units), scale: self.scale }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10_u128.pow(self.scale);
        let (whole, rest) = (self.units / one, self.units % one);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:0width$}", width = self.scale as usize);
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_written_without_needless_zeros() {
        for (units, scale, text) in [
            (3000, 2, "30"),
            (3050, 2, "30.5"),
            (5, 2, "0.05"),
            (6_130_127_560_164_107, 19, "0.0006130127560164107"),
        ] {
            assert_eq!(Decimal::new(units, scale).to_string(), text);
            assert_eq!(serde_json::to_string(&Decimal::new(units, scale)).unwrap(), text);
        }
    }

    #[test]
    fn sums_and_products_are_exact() {
        let net = Decimal::new(3000, 2).minus(Decimal::new(130, 2));
        assert_eq!(net.to_string(), "28.7");
        let price = Decimal::new(6_130_127_560_164_107, 19);
        assert_eq!(net.times(price, 8).to_string(), "0.01759346");
        assert_eq!(Decimal::new(1, 0).times(Decimal::new(2, 0), 2).to_string(), "2");
        assert_eq!(Decimal::new(1, 2).minus(Decimal::new(2, 2)).to_string(), "0");
    }
}
