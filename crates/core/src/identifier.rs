//! Personal identifiers, and whether a value or a text contains one.
//!
//! Erasure uses this to find a person however a name, an address or a number is written: in any case, with any
//! separators between the digits, with composed or decomposed accents. It must not match other people's data: a bare
//! number in running text is not an identifier, because amounts, dates and other people's numbers are written with the
//! same digits. Rules: `docs/guides/erase-a-customer.md`.

mod fold;
mod phone;
mod words;

use serde_json::Value;

pub use fold::fold;
use phone::PhoneNumber;

/// Minimum length of an identifier, in characters.
pub const IDENTIFIER_CHARS_MIN: usize = 4;

/// A mail address, a phone number, a name, or a word that is used for one person alone.
#[derive(Clone, Debug)]
pub struct Identifier {
    folded: String,
    kind: IdentifierKind,
}

#[derive(Clone, Debug)]
enum IdentifierKind {
    Mail,
    Phone(PhoneNumber),
    Name,
    /// An id of letters and digits, which must not be part of a longer one.
    Code,
}

impl Identifier {
    /// Creates an identifier. Returns `None` if the text could also stand for others: it has fewer than
    /// [`IDENTIFIER_CHARS_MIN`] characters, is a number but not a phone number, or reads as a date or an amount.
    pub fn of(text: &str) -> Option<Self> {
        let folded = fold(text);
        let kind = if let Some(phone) = PhoneNumber::of(&folded) {
            IdentifierKind::Phone(phone)
        } else if folded.chars().count() < IDENTIFIER_CHARS_MIN || !folded.chars().any(char::is_alphabetic) {
            return None;
        } else if folded.contains('@') {
            IdentifierKind::Mail
        } else {
            IdentifierKind::Name
        };
        Some(Self { folded, kind })
    }

    /// Returns an id that is unambiguous in running text: a mail address, a phone number with its country, or letters
    /// and digits that are not an amount or a date. A bare number or a plain word is not.
    fn of_id(id: &str) -> Option<Self> {
        let folded = fold(id);
        let kind = if folded.contains('@') {
            return Self::of(id);
        } else if let Some(phone) = PhoneNumber::of(&folded) {
            folded.starts_with('+').then_some(IdentifierKind::Phone(phone))?
        } else {
            words::is_code(&folded).then_some(IdentifierKind::Code)?
        };
        Some(Self { folded, kind })
    }

    /// Returns whether a whole value equals this identifier.
    pub fn matches(&self, text: &str) -> bool {
        self.is_folded(&fold(text))
    }

    fn is_folded(&self, text: &str) -> bool {
        match &self.kind {
            IdentifierKind::Phone(phone) => PhoneNumber::of(text).is_some_and(|other| phone.is_same(&other)),
            IdentifierKind::Mail | IdentifierKind::Name | IdentifierKind::Code => *text == self.folded,
        }
    }

    /// Returns whether a folded text contains this identifier as whole words: a mail address as a whole address; a
    /// phone number by its digits, not adjacent to another digit or letter, and not part of a date, an amount or a
    /// fraction.
    fn occurs_in(&self, text: &str) -> bool {
        match &self.kind {
            // A text that is nothing but a number is compared as a whole, so that it does not match another number at
            // its end.
            IdentifierKind::Phone(phone) => {
                PhoneNumber::of(text).map_or_else(|| phone.occurs_in(text), |other| phone.is_same(&other))
            }
            IdentifierKind::Mail => words::has_address(text, &self.folded),
            IdentifierKind::Name => words::has_words(text, &self.folded),
            IdentifierKind::Code => words::has_code(text, &self.folded),
        }
    }
}

/// Returns whether a text (parsed as JSON if possible) contains these words as whole words, whatever they are,
/// including numbers.
pub fn contains_words(text: &str, words: &str) -> bool {
    let words = fold(words);
    let is_in = |text: &str| !words.is_empty() && words::has_words(&fold(text), &words);
    match serde_json::from_str(text) {
        Ok(value) => any_text(&value, &is_in),
        Err(_) => is_in(text),
    }
}

fn any_text(value: &Value, is_so: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => is_so(&number.to_string()),
        Value::String(text) => is_so(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is_so)),
        Value::Object(fields) => fields.iter().any(|(name, value)| is_so(name) || any_text(value, is_so)),
    }
}

/// Matches texts and values against one person.
#[derive(Clone, Debug)]
pub struct PersonMatcher {
    id: String,
    also: Vec<Identifier>,
    id_in_text: Option<Identifier>,
}

impl PersonMatcher {
    /// Entries of `also` that are not identifiers are left out.
    pub fn of<'a>(id: &str, also: impl IntoIterator<Item = &'a str>) -> Self {
        let also = also.into_iter().filter_map(Identifier::of).collect();
        Self { id: id.to_owned(), also, id_in_text: Identifier::of_id(id) }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns whether a whole value in an owner field is the person's id or another of their names.
    pub fn matches_name(&self, text: &str) -> bool {
        text == self.id || self.matches_alias(text)
    }

    /// Returns whether a whole value is one of the person's other names, not the id.
    pub fn matches_alias(&self, text: &str) -> bool {
        let folded = fold(text);
        self.also.iter().any(|known| known.is_folded(&folded))
    }

    /// Returns whether a whole value is unambiguously theirs, in any field: one of the other identifiers, or their id
    /// unless it is a number or a plain word.
    pub fn matches_identifier(&self, text: &str) -> bool {
        let folded = fold(text);
        self.identifiers().any(|known| known.is_folded(&folded))
    }

    /// Returns whether running text mentions the person.
    pub fn is_mentioned_in(&self, text: &str) -> bool {
        if self.identifiers().next().is_none() {
            return false;
        }
        let folded = fold(text);
        self.identifiers().any(|known| known.occurs_in(&folded))
    }

    /// Returns whether a JSON value names the person: a text or field name in it contains one of their identifiers, or
    /// a field that names a customer equals their id.
    pub fn is_named_in_json(&self, value: &Value) -> bool {
        self.is_in_field(None, false, value)
    }

    /// Same as `is_named_in_json`, for a text that is parsed as JSON if possible.
    pub fn is_named_in_json_text(&self, text: &str) -> bool {
        match serde_json::from_str(text) {
            Ok(value) => self.is_named_in_json(&value),
            Err(_) => self.is_mentioned_in(text),
        }
    }

    /// Returns whether a field that may name a customer, including `id` within such a field, names this person.
    pub fn is_id_in_field(&self, name: &str, of_customer: bool, value: &Value) -> bool {
        let is_theirs = || match value {
            Value::String(text) => text.trim() == self.id,
            Value::Number(number) => number.to_string() == self.id,
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
        };
        (is_customer_field(name) || of_customer && name == "id") && is_theirs()
    }

    /// Returns whether a phone field holds the person's number. In other fields a number is not a phone number.
    pub fn is_phone_in_field(&self, name: &str, value: &Value) -> bool {
        value.is_u64() && holds_phone(name) && self.matches_alias(&value.to_string())
    }

    fn is_in_field(&self, name: Option<&str>, of_customer: bool, value: &Value) -> bool {
        if name.is_some_and(|name| self.is_id_in_field(name, of_customer, value) || self.is_phone_in_field(name, value))
        {
            return true;
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
            Value::String(text) => self.is_mentioned_in(text) || self.is_in_nested(text),
            Value::Array(items) => items.iter().any(|item| self.is_in_field(name, of_customer, item)),
            Value::Object(fields) => {
                let of_customer = name.is_some_and(is_customer_field);
                fields
                    .iter()
                    .any(|(name, value)| self.is_mentioned_in(name) || self.is_in_field(Some(name), of_customer, value))
            }
        }
    }

    /// Returns whether JSON that is stored as text, as in bodies of deliveries, names the person.
    fn is_in_nested(&self, text: &str) -> bool {
        text.trim_start().starts_with(['{', '['])
            && serde_json::from_str(text).is_ok_and(|value: Value| self.is_named_in_json(&value))
    }

    fn identifiers(&self) -> impl Iterator<Item = &Identifier> {
        self.also.iter().chain(&self.id_in_text)
    }
}

/// Fields that name a customer, without word separators.
const CUSTOMER_FIELDS: [&str; 11] = [
    "userid",
    "user",
    "customerid",
    "customer",
    "clientid",
    "patientid",
    "patient",
    "contactid",
    "contact",
    "personid",
    "guestid",
];

/// Returns whether a field of this name names a customer: `customer_id`, `customerId` and `Customer-ID` are the same.
pub fn is_customer_field(field: &str) -> bool {
    CUSTOMER_FIELDS.contains(&normalized_field(field).as_str())
}

/// Returns whether a number in a field of this name is a phone number.
fn holds_phone(field: &str) -> bool {
    let name = normalized_field(field);
    ["phone", "mobile", "whatsapp", "telefon", "teléfon", "movil", "móvil", "celular", "msisdn"]
        .iter()
        .any(|part| name.contains(part))
        || ["tel", "cell", "sms", "fax"].contains(&name.as_str())
}

fn normalized_field(field: &str) -> String {
    field.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
