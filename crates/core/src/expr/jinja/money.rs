//! Amounts of money, written the same in every place unless told otherwise.

/// Currencies without a smaller unit, by ISO 4217.
const WHOLE_CURRENCIES: &[&str] =
    &["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"];

/// The most places behind the point.
const DECIMALS_MAX: usize = 8;

/// How an amount is to be written.
pub(super) struct MoneyFormat<'s> {
    /// Written behind the amount.
    pub(super) currency: Option<&'s str>,
    /// Places behind the point; what the currency has if nobody says.
    pub(super) decimals: Option<usize>,
    pub(super) point: &'s str,
    /// Between each three digits.
    pub(super) thousands: &'s str,
}

pub(super) fn format_money(amount: f64, style: &MoneyFormat<'_>) -> String {
    let usual = if style.currency.is_some_and(|currency| WHOLE_CURRENCIES.contains(&currency)) { 0 } else { 2 };
    let decimals = style.decimals.unwrap_or(usual).min(DECIMALS_MAX);
    let plain = format!("{:.decimals$}", amount.abs());
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let negative = amount < 0.0 && plain.contains(|c: char| c.is_ascii_digit() && c != '0');
    let mut text = if negative { "-".to_owned() } else { String::new() };
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push_str(style.thousands);
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push_str(style.point);
        text.push_str(fraction);
    }
    if let Some(currency) = style.currency {
        text.push(' ');
        text.push_str(currency);
    }
    text
}
