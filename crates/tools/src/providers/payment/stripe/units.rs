//! Amounts in Stripe's units: mostly, but not always, the smallest unit: <https://docs.stripe.com/currencies>.

use crate::providers::payment::amount::{MinorUnits, places};

/// Number of decimal places of Stripe's integers, where they differ from ISO's.
fn stripe_places(currency: &str) -> usize {
    match currency {
        // These have no smaller unit, but Stripe counts hundredths.
        "ISK" | "UGX" => 2,
        // Its smaller unit is a fifth; Stripe counts whole units.
        "MGA" => 0,
        other => places(other),
    }
}

/// Converts to Stripe's integer; the error states why it cannot be represented.
pub(super) fn to_stripe_units(amount: MinorUnits, currency: &str) -> Result<i64, String> {
    let (ours, theirs) = (places(currency), stripe_places(currency));
    let unit = |digits: usize| 10_i64.pow(u32::try_from(digits).unwrap_or(0));
    let units = if theirs >= ours {
        amount.0.saturating_mul(unit(theirs - ours))
    } else if amount.0 % unit(ours - theirs) == 0 {
        amount.0 / unit(ours - theirs)
    } else {
        return Err(format!("`amount`: Stripe charges {currency} in whole units"));
    };
    // With three decimal places, the last digit must be zero.
    if theirs == 3 && units % 10 != 0 {
        return Err(format!("`amount`: Stripe charges {currency} in hundredths"));
    }
    Ok(units)
}

/// Converts from Stripe's integer.
pub(super) fn from_stripe_units(units: i64, currency: &str) -> MinorUnits {
    let (ours, theirs) = (places(currency), stripe_places(currency));
    let unit = |digits: usize| 10_i64.pow(u32::try_from(digits).unwrap_or(0));
    MinorUnits(if ours >= theirs { units.saturating_mul(unit(ours - theirs)) } else { units / unit(theirs - ours) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn units(amount: &Value, currency: &str) -> Result<i64, String> {
        let Value::Number(number) = amount else { panic!("not a number") };
        to_stripe_units(MinorUnits::read(number, currency)?, currency)
    }

    #[test]
    fn an_amount_is_told_in_stripes_units_and_read_back() {
        for (amount, currency, expect) in [
            (json!(10.5), "EUR", 1_050),
            (json!(500), "JPY", 500),
            (json!(5), "ISK", 500),
            (json!(5), "UGX", 500),
            (json!(5), "MGA", 5),
            (json!(5.12), "KWD", 5_120),
            (json!(300), "KRW", 300),
        ] {
            assert_eq!(units(&amount, currency), Ok(expect), "{currency}");
            assert_eq!(from_stripe_units(expect, currency).to_json(currency).as_f64(), amount.as_f64(), "{currency}");
        }
    }

    #[test]
    fn what_stripe_cannot_charge_is_refused() {
        for (amount, currency) in
            [(json!(5.123), "KWD"), (json!(5.5), "MGA"), (json!(0.5), "JPY"), (json!(1.005), "EUR")]
        {
            assert!(units(&amount, currency).is_err(), "{currency}");
        }
    }
}
