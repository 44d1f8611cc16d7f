//! A number: an exact decimal where possible, otherwise a double.

use std::cmp::Ordering;

use serde_json::{Number as JsonNumber, Value};

/// Maximum number of decimal places of an exact number.
const SCALE_MAX: u32 = 28;
/// The largest exponent that is computed exactly; beyond it the power is a double.
const EXACT_EXPONENT_MAX: u128 = 128;

type NumberResult = Result<ExactNumber, String>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ExactNumber {
    /// `units / 10^scale`, without trailing zeros after the decimal point.
    Exact {
        units: i128,
        scale: u32,
    },
    Double(f64),
}

impl ExactNumber {
    pub(super) const fn whole(units: i128) -> Self {
        Self::Exact { units, scale: 0 }
    }

    /// Parses `12`, `0.5`, `1e-3`.
    pub(super) fn parse(text: &str) -> NumberResult {
        if let Some(exact) = Self::exact(text) {
            return Ok(exact);
        }
        match text.parse::<f64>() {
            Ok(double) if double.is_finite() => Ok(Self::Double(double)),
            Ok(_) => Err(format!("`{text}` is too large a number")),
            Err(_) => Err(format!("`{text}` is not a number")),
        }
    }

    fn exact(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        let mut units: i128 = 0;
        for digit in whole.bytes().chain(part.bytes()) {
            let digit = digit.is_ascii_digit().then(|| i128::from(digit - b'0'))?;
            units = units.checked_mul(10)?.checked_add(digit)?;
        }
        let point = i32::try_from(part.len()).ok()?.checked_sub(exponent.parse().ok()?)?;
        match u32::try_from(point) {
            Ok(scale) => Self::decimal(sign * units, scale),
            Err(_) => Some(Self::whole((sign * units).checked_mul(ten_to(point.unsigned_abs())?)?)),
        }
    }

    /// Removes trailing zeros; `None` if too many decimal places remain.
    fn decimal(mut units: i128, mut scale: u32) -> Option<Self> {
        if units == 0 {
            return Some(Self::whole(0));
        }
        while scale > 0 && units % 10 == 0 {
            (units, scale) = (units / 10, scale - 1);
        }
        (scale <= SCALE_MAX).then_some(Self::Exact { units, scale })
    }

    pub(super) fn of_json(number: &JsonNumber) -> NumberResult {
        match number.as_i64() {
            Some(whole) => Ok(Self::whole(whole.into())),
            None => Self::parse(&number.to_string()),
        }
    }

    /// Returns an integer where possible; `None` if no JSON number can hold the value.
    pub(super) fn to_json(self) -> Option<Value> {
        if let Self::Exact { units, scale: 0 } = self {
            if let Ok(small) = i64::try_from(units) {
                return Some(small.into());
            }
            if let Ok(large) = u64::try_from(units) {
                return Some(large.into());
            }
        }
        JsonNumber::from_f64(self.to_double()).map(Value::Number)
    }

    pub(super) fn to_double(self) -> f64 {
        match self {
            Self::Double(double) => double,
            // Parsing the decimal text rounds once; a division would round twice.
            Self::Exact { units, scale } => format!("{units}e-{scale}").parse().unwrap_or(f64::NAN),
        }
    }

    fn is_zero(self) -> bool {
        match self {
            Self::Exact { units, .. } => units == 0,
            Self::Double(double) => double == 0.0,
        }
    }

    fn double(double: f64) -> NumberResult {
        if double.is_finite() { Ok(Self::Double(double)) } else { Err("the result overflows".to_owned()) }
    }

    /// Scales both numbers to a common power of ten.
    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let (Self::Exact { units: one, scale: of_one }, Self::Exact { units: two, scale: of_two }) = (self, other)
        else {
            return None;
        };
        let scale = of_one.max(of_two);
        Some((one.checked_mul(ten_to(scale - of_one)?)?, two.checked_mul(ten_to(scale - of_two)?)?, scale))
    }

    fn compare(self, other: Self) -> Ordering {
        match self.aligned(other) {
            Some((one, two, _)) => one.cmp(&two),
            None => self.to_double().total_cmp(&other.to_double()),
        }
    }

    fn both(
        self,
        other: Self,
        exact: impl Fn(i128, i128) -> Option<i128>,
        double: impl Fn(f64, f64) -> f64,
    ) -> NumberResult {
        let sum = self.aligned(other).and_then(|(one, two, scale)| Self::decimal(exact(one, two)?, scale));
        sum.map_or_else(|| Self::double(double(self.to_double(), other.to_double())), Ok)
    }

    pub(super) fn add(self, other: Self) -> NumberResult {
        self.both(other, i128::checked_add, |one, two| one + two)
    }

    pub(super) fn subtract(self, other: Self) -> NumberResult {
        self.both(other, i128::checked_sub, |one, two| one - two)
    }

    pub(super) fn multiply(self, other: Self) -> NumberResult {
        let exact = match (self, other) {
            (Self::Exact { units: one, scale: of_one }, Self::Exact { units: two, scale: of_two }) => {
                one.checked_mul(two).and_then(|units| Self::decimal(units, of_one + of_two))
            }
            (Self::Double(_), _) | (_, Self::Double(_)) => None,
        };
        exact.map_or_else(|| Self::double(self.to_double() * other.to_double()), Ok)
    }

    pub(super) fn divide(self, other: Self) -> NumberResult {
        if other.is_zero() {
            return Err("division by zero".to_owned());
        }
        self.exact_quotient(other).map_or_else(|| Self::double(self.to_double() / other.to_double()), Ok)
    }

    /// Returns the quotient if its decimal expansion is finite.
    fn exact_quotient(self, other: Self) -> Option<Self> {
        let (mut one, two, _) = self.aligned(other)?;
        let mut scale = 0;
        while one.checked_rem(two)? != 0 {
            one = one.checked_mul(10)?;
            scale += 1;
            if scale > SCALE_MAX {
                return None;
            }
        }
        Self::decimal(one.checked_div(two)?, scale)
    }

    /// Floor division, like Python's `//`.
    pub(super) fn floor_divide(self, other: Self) -> NumberResult {
        if other.is_zero() {
            return Err("division by zero".to_owned());
        }
        let exact = self.aligned(other).and_then(|(one, two, _)| {
            let down = two < 0 && one.checked_rem(two)? != 0;
            one.checked_div_euclid(two)?.checked_sub(i128::from(down))
        });
        exact.map_or_else(
            || Self::double((self.to_double() / other.to_double()).floor()),
            |whole| Ok(Self::whole(whole)),
        )
    }

    /// The remainder with the sign of the divisor, like Python's `%`.
    pub(super) fn modulo(self, other: Self) -> NumberResult {
        self.subtract(self.floor_divide(other)?.multiply(other)?)
    }

    pub(super) fn negate(self) -> NumberResult {
        Self::whole(0).subtract(self)
    }

    pub(super) fn power(self, exponent: Self) -> NumberResult {
        if self.is_zero() && exponent.to_double() < 0.0 {
            return Err("division by zero".to_owned());
        }
        let exact = match exponent {
            Self::Exact { units, scale: 0 } if units.unsigned_abs() <= EXACT_EXPONENT_MAX => self.exact_power(units),
            Self::Exact { .. } | Self::Double(_) => None,
        };
        match exact {
            Some(exact) => Ok(exact),
            None => match self.to_double().powf(exponent.to_double()) {
                power if power.is_nan() => Err("a negative number has no such power".to_owned()),
                power => Self::double(power),
            },
        }
    }

    fn exact_power(self, exponent: i128) -> Option<Self> {
        let mut power = Self::whole(1);
        for _ in 0..exponent.unsigned_abs() {
            power = power.multiply(self).ok()?;
            if let Self::Double(_) = power {
                return None;
            }
        }
        if exponent < 0 { Self::whole(1).exact_quotient(power) } else { Some(power) }
    }

    pub(super) fn floor(self) -> NumberResult {
        self.floor_divide(Self::whole(1))
    }

    pub(super) fn ceil(self) -> NumberResult {
        self.negate()?.floor()?.negate()
    }

    pub(super) fn abs(self) -> NumberResult {
        if self.compare(Self::whole(0)).is_lt() { self.negate() } else { Ok(self) }
    }

    pub(super) fn sqrt(self) -> NumberResult {
        if let Self::Exact { units, scale: 0 } = self
            && units >= 0
            && units.isqrt().checked_mul(units.isqrt()) == Some(units)
        {
            return Ok(Self::whole(units.isqrt()));
        }
        match self.to_double().sqrt() {
            root if root.is_nan() => Err("a negative number has no square root".to_owned()),
            root => Self::double(root),
        }
    }

    /// Rounds to `places` decimal places, halves away from zero, as money is rounded.
    pub(super) fn round(self, places: Self) -> NumberResult {
        let Self::Exact { units: places @ 0..=28, scale: 0 } = places else {
            return Err("`round` takes 0 to 28 places".to_owned());
        };
        let places = u32::try_from(places).unwrap_or(0);
        let rounded = match self {
            Self::Exact { scale, .. } if scale <= places => Some(self),
            Self::Exact { units, scale } => ten_to(scale - places).and_then(|step| {
                let half = step / 2 * units.signum();
                Self::decimal(units.checked_add(half)? / step, places)
            }),
            Self::Double(double) => Self::exact(&format!("{double:.*}", places as usize)),
        };
        Ok(rounded.unwrap_or(self))
    }

    pub(super) fn max(self, other: Self) -> NumberResult {
        Ok(if other.compare(self).is_gt() { other } else { self })
    }

    pub(super) fn min(self, other: Self) -> NumberResult {
        Ok(if other.compare(self).is_lt() { other } else { self })
    }
}

fn ten_to(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}
