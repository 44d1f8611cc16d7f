//! What tells one person from others, and whether a value or a text says it.
//!
//! Whoever erases a person asks here, so that one way of writing a name, an address or a number is as good as another: in
//! any case, with any signs between the digits, with its accents composed or not. And nobody else's words are taken for
//! theirs: a bare number is no identifier in running text, for amounts, dates and other people's numbers are written with the
//! same digits. Rules: `docs/guides/erase-a-customer.md`.

mod fold;
mod phone;
mod words;

use serde_json::Value;

pub use fold::fold;
use phone::PhoneNumber;

/// Characters of something that tells one person from others.
pub const IDENTIFIER_CHARS_MIN: usize = 4;

/// A mail address, a phone number, a name, or a word that is written for one person alone.
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
    /// An id of letters and digits, which is no part of a longer one.
    Code,
}

impl Identifier {
    /// Nothing where others are called so too: by fewer than [`IDENTIFIER_CHARS_MIN`] characters, by a number that is no phone
    /// number, or by what reads as a date or an amount.
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

    /// An id that running text says of nobody else: a mail address, a phone number with its country, or letters and digits
    /// that are no amount and no date. A bare number and a plain word are none.
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

    /// Whether a value as a whole is this.
    pub fn matches(&self, text: &str) -> bool {
        self.is_folded(&fold(text))
    }

    fn is_folded(&self, text: &str) -> bool {
        match &self.kind {
            IdentifierKind::Phone(phone) => PhoneNumber::of(text).is_some_and(|other| phone.is_same(&other)),
            IdentifierKind::Mail | IdentifierKind::Name | IdentifierKind::Code => *text == self.folded,
        }
    }

    /// Whether a folded text says this as a whole word or words: a mail address as a whole address; a phone number by its
    /// digits, with no other digit or letter touching them, where they are no date, no amount and no part of a fraction.
    fn occurs_in(&self, text: &str) -> bool {
        match &self.kind {
            // A text that is nothing but a number is that number, and not another at its end.
            IdentifierKind::Phone(phone) => {
                PhoneNumber::of(text).map_or_else(|| phone.occurs_in(text), |other| phone.is_same(&other))
            }
            IdentifierKind::Mail => words::has_address(text, &self.folded),
            IdentifierKind::Name => words::has_words(text, &self.folded),
            IdentifierKind::Code => words::has_code(text, &self.folded),
        }
    }
}

/// Whether a text, as JSON where it is that, says these words as whole words, whatever they are: a number too.
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

/// A person, as what others wrote is held against them.
#[derive(Clone, Debug)]
pub struct PersonMatcher {
    id: String,
    also: Vec<Identifier>,
    id_in_text: Option<Identifier>,
}

impl PersonMatcher {
    /// What is no identifier of `also` is left out.
    pub fn of<'a>(id: &str, also: impl IntoIterator<Item = &'a str>) -> Self {
        let also = also.into_iter().filter_map(Identifier::of).collect();
        Self { id: id.to_owned(), also, id_in_text: Identifier::of_id(id) }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether a value that says whose something is, as a whole, is their id or what else they are called.
    pub fn matches_name(&self, text: &str) -> bool {
        text == self.id || self.matches_alias(text)
    }

    /// Whether a value as a whole is what they are called beside their id.
    pub fn matches_alias(&self, text: &str) -> bool {
        let folded = fold(text);
        self.also.iter().any(|known| known.is_folded(&folded))
    }

    /// Whether a value as a whole is theirs alone, whatever field it stands in: one of the other identifiers, or their id where
    /// that is no number and no plain word.
    pub fn matches_identifier(&self, text: &str) -> bool {
        let folded = fold(text);
        self.identifiers().any(|known| known.is_folded(&folded))
    }

    /// Whether running text says them.
    pub fn is_mentioned_in(&self, text: &str) -> bool {
        if self.identifiers().next().is_none() {
            return false;
        }
        let folded = fold(text);
        self.identifiers().any(|known| known.occurs_in(&folded))
    }

    /// Whether a value names them: a text in it or the name of a field says one of their identifiers, or a field that names a
    /// customer has their id and nothing else.
    pub fn is_named_in_json(&self, value: &Value) -> bool {
        self.is_in_field(None, false, value)
    }

    /// The same of a text, as JSON where it is that.
    pub fn is_named_in_json_text(&self, text: &str) -> bool {
        match serde_json::from_str(text) {
            Ok(value) => self.is_named_in_json(&value),
            Err(_) => self.is_mentioned_in(text),
        }
    }

    /// Whether a field that may name a customer, `id` within such a field included, names this one.
    pub fn is_id_in_field(&self, name: &str, of_customer: bool, value: &Value) -> bool {
        let is_theirs = || match value {
            Value::String(text) => text.trim() == self.id,
            Value::Number(number) => number.to_string() == self.id,
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
        };
        (is_customer_field(name) || of_customer && name == "id") && is_theirs()
    }

    /// A number is a phone number only where the field is one for them.
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

    /// JSON that is kept as text, as bodies of deliveries are.
    fn is_in_nested(&self, text: &str) -> bool {
        text.trim_start().starts_with(['{', '['])
            && serde_json::from_str(text).is_ok_and(|value: Value| self.is_named_in_json(&value))
    }

    fn identifiers(&self) -> impl Iterator<Item = &Identifier> {
        self.also.iter().chain(&self.id_in_text)
    }
}

/// Fields that name a customer, without what parts their words.
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

/// Whether a field of this name names a customer: `customer_id`, `customerId` and `Customer-ID` are one.
pub fn is_customer_field(field: &str) -> bool {
    CUSTOMER_FIELDS.contains(&normalized_field(field).as_str())
}

/// Whether a number in a field of this name is a phone number.
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
