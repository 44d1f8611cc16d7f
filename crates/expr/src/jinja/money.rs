//! Amounts of money, formatted independently of the locale unless options are given.

/// Currencies without a minor unit, by ISO 4217.
const WHOLE_CURRENCIES: &[&str] =
    &["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"];

/// Maximum number of decimal places.
const DECIMALS_MAX: usize = 8;

/// The format of an amount.
pub(super) struct MoneyFormat<'s> {
    /// Written after the amount.
    pub(super) currency: Option<&'s str>,
    /// Number of decimal places; the currency's own by default.
    pub(super) decimals: Option<usize>,
    pub(super) point: &'s str,
    /// Separator between groups of three digits.
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
