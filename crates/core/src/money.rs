//! Money, exact: whole nano-dollars, so that prices per million tokens add up without rounding drift.

mod quote;
mod window;

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use serde::{Deserialize, Serialize};

pub use quote::Quote;
pub use window::Window;

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

    /// From a price as people write it, rounded to the nearest nano-dollar; not-a-number is zero.
    #[expect(clippy::cast_possible_truncation, reason = "a float-to-integer `as` saturates")]
    pub fn from_f64(usd: f64) -> Self {
        Self((usd * NANOS_PER_USD).round() as i64)
    }

    /// For people and JSON.
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

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.4}", self.as_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_per_token_adds_up_exactly() {
        let per_token = Usd::from_f64(0.25 / 1e6);
        assert_eq!((0..1_000_000).map(|_| per_token).sum::<Usd>(), Usd::from_f64(0.25));
    }
}
