//! Exact money: whole nano-dollars, so that prices per million tokens add up without rounding drift.

mod quote;
mod window;

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use serde::{Deserialize, Serialize};

pub use quote::PriceQuote;
pub use window::BudgetWindow;

const NANOS_PER_USD: f64 = 1e9;

/// US dollars in steps of 10⁻⁹. Written to journals as an integer of nano-dollars.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Usd(i64);

impl Usd {
    pub const ZERO: Self = Self(0);

    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Converts a decimal price, rounded to the nearest nano-dollar; not-a-number is zero.
    #[expect(clippy::cast_possible_truncation, reason = "a float-to-integer `as` saturates")]
    pub fn from_f64(usd: f64) -> Self {
        Self((usd * NANOS_PER_USD).round() as i64)
    }

    /// Converts to a float, for people and JSON.
    #[expect(clippy::cast_precision_loss, reason = "shown, never added up")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_USD
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Usd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Usd {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

/// Four decimals, and for an amount below a hundredth of a cent as many more as needed to show two digits: a non-zero
/// amount is never shown as zero.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NANO_DIGITS: usize = 9;
        let decimals = match self.0.unsigned_abs() {
            0 | 100_000.. => 4,
            tiny => (NANO_DIGITS + 1).saturating_sub(tiny.ilog10() as usize).min(NANO_DIGITS),
        };
        write!(f, "${:.decimals$}", self.as_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_nothing_is_not_shown_as_nothing() {
        let shown = |nanos| Usd::from_nanos(nanos).to_string();
        assert_eq!([0, 1_250_000_000, 100_000].map(shown), ["$0.0000", "$1.2500", "$0.0001"]);
        assert_eq!(
            [99_900, 10_000, 1_234, 7, -40].map(shown),
            ["$0.000100", "$0.000010", "$0.0000012", "$0.000000007", "$-0.000000040"]
        );
    }

    #[test]
    fn a_price_per_token_adds_up_exactly() {
        let per_token = Usd::from_f64(0.25 / 1e6);
        assert_eq!((0..1_000_000).map(|_| per_token).sum::<Usd>(), Usd::from_f64(0.25));
    }
}
