//! Amounts of any currency, in its smallest unit.

use serde_json::{Number, Value};

/// The largest amount of one charge, in whole units of its currency.
pub(super) const MAJOR_MAX: u32 = 1_000_000_000;

/// An amount in the smallest unit: cents, pence, or yen, which have no smaller unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MinorUnits(pub(super) i64);

/// Number of decimal places (ISO 4217), if not two.
pub(super) fn places(currency: &str) -> usize {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

impl MinorUnits {
    /// Parses `49.99` exactly, by its decimal digits.
    pub(super) fn read(amount: &Number, currency: &str) -> Result<Self, String> {
        let text = amount.to_string();
        let places = places(currency);
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let part = part.trim_end_matches('0');
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return Err(format!("`amount` is {text}; write it without an exponent"));
        }
        if part.len() > places {
            return Err(format!("`amount` is {text}; {currency} has {places} digits behind the point"));
        }
        let minor = format!("{whole}{part:0<places$}").parse();
        minor.map(Self).map_err(|_| format!("`amount` is {text}, more than can be charged"))
    }

    /// Returns the amount as a JSON number in whole units: `49.99`, `50`.
    #[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^53 of the smallest unit")]
    pub(super) fn to_json(self, currency: &str) -> Value {
        let unit = 10_i64.pow(u32::try_from(places(currency)).unwrap_or(2));
        if self.0 % unit == 0 { Value::from(self.0 / unit) } else { Value::from(self.0 as f64 / unit as f64) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(given: &Value, currency: &str, expect: i64) {
        let Value::Number(number) = given else { panic!("not a number") };
        let minor = MinorUnits::read(number, currency).unwrap();
        assert_eq!(minor, MinorUnits(expect));
        assert_eq!(minor.to_json(currency).as_f64(), number.as_f64());
    }

    #[test]
    fn an_amount_is_read_to_its_smallest_unit_and_back() {
        check(&json!(100), "USD", 10_000);
        check(&json!(49.99), "EUR", 4_999);
        check(&json!(0.1), "EUR", 10);
        check(&json!(1_000_000_000), "EUR", 100_000_000_000);
        check(&json!(1500), "JPY", 1_500);
        check(&json!(1.234), "KWD", 1_234);
        check(&json!(100.0), "EUR", 10_000);
    }

    #[test]
    fn what_a_currency_cannot_express_is_refused() {
        for (given, currency) in [(json!(0.001), "EUR"), (json!(1.5), "JPY"), (json!(1e-7), "EUR"), (json!(-1), "EUR")]
        {
            let Value::Number(number) = &given else { panic!("not a number") };
            assert!(MinorUnits::read(number, currency).is_err(), "{given} {currency}");
        }
    }
}
