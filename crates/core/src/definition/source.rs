//! YAML (and JSON, which is YAML) as a tree that remembers where everything stood.
//!
//! The reader is bounded: it looks at the size before the text, at the text before the grammar, and counts every
//! value it makes, so that an alias bomb costs no more than the budget it is refused at. Scalars follow the core
//! schema of YAML 1.2: `on` and `yes` are strings.

mod build;
mod scalar;
mod text;

use serde_json::{Map as Object, Number, Value as Json};

use super::diagnostic::{Code, Diagnostic};

/// The largest definition, in bytes.
pub const SOURCE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How deep values may nest.
pub const DEPTH_MAX: usize = 64;
/// Values of one definition, those that aliases stand for included.
pub const VALUES_MAX: usize = 200_000;
/// Bytes of text of one definition, those that aliases stand for included.
pub const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Where something stands in a file. Lines and columns count from 1, columns and lengths in characters.
/// A definition that was read from a bundle has no places: all zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Span {
    pub line: u32,
    pub column: u32,
    pub len: u32,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub span: Span,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// `text` is as written, so that a version `1.10` stays what it was.
    Number {
        number: Number,
        text: String,
    },
    String(Text),
    List(Vec<Node>),
    Map(Map),
}

/// A string; `verbatim` when its characters stand in the file one for one, from the span's column on.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    pub text: String,
    pub verbatim: bool,
}

/// A mapping in the order it was written; no key twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    entries: Vec<(Key, Node)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub name: String,
    pub span: Span,
}

/// A value with the place it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    pub value: T,
    pub span: Span,
}

/// Reads one document.
///
/// # Errors
/// What makes the text no definition at all, as one diagnostic (two for a key that is written twice): too large,
/// not UTF-8 text, not YAML, over a limit, more than one document.
pub fn read(source: &[u8]) -> Result<Node, Vec<Diagnostic>> {
    let text = text::check(source).map_err(|diagnostic| vec![diagnostic])?;
    match text::join_surrogates(text) {
        Some(joined) => build::tree(&joined),
        None => build::tree(text),
    }
}

impl<T> Located<T> {
    pub(crate) fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), span: self.span }
    }
}

impl Span {
    /// The place `offset` bytes into a verbatim text that starts here.
    pub(crate) fn within(self, text: &Text, offset: usize) -> Self {
        let before = text.text.get(..offset).map(|before| before.chars().count());
        match before.and_then(|chars| u32::try_from(chars).ok()) {
            Some(chars) if text.verbatim => Self { column: self.column.saturating_add(chars), len: 1, ..self },
            _ => self,
        }
    }

    pub(crate) fn error(self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self, message)
    }
}

impl Node {
    /// A tree without places, from a bundle.
    pub fn from_json(value: &Json) -> Self {
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(is) => Value::Bool(*is),
            Json::Number(number) => Value::Number { number: number.clone(), text: number.to_string() },
            Json::String(text) => Value::String(Text { text: text.clone(), verbatim: false }),
            Json::Array(items) => Value::List(items.iter().map(Self::from_json).collect()),
            Json::Object(fields) => {
                let entry = |(name, value): (&String, &Json)| {
                    (Key { name: name.clone(), span: Span::default() }, Self::from_json(value))
                };
                Value::Map(Map { entries: fields.iter().map(entry).collect() })
            }
        };
        Self { span: Span::default(), value }
    }

    /// The same as JSON, keys sorted.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(is) => Json::Bool(*is),
            Value::Number { number, .. } => Json::Number(number.clone()),
            Value::String(text) => Json::String(text.text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(map) => Json::Object(
                map.entries.iter().map(|(key, value)| (key.name.clone(), value.to_json())).collect::<Object<_, _>>(),
            ),
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(&text.text),
            _ => None,
        }
    }

    /// Where a word first stands in a string; the whole string where that cannot be told.
    pub(crate) fn span_of_word(&self, word: &str) -> Span {
        self.span_where(word, |before| !before.ends_with('.'))
    }

    /// Where a field stands that is read of something, the first time; else the whole text.
    pub(crate) fn span_of_field(&self, field: &str) -> Span {
        self.span_where(field, |before| before.ends_with(['.', '[', '"', '\'']))
    }

    fn span_where(&self, word: &str, may_follow: impl Fn(&str) -> bool) -> Span {
        let Value::String(text) = &self.value else { return self.span };
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let stands = |at: &usize| {
            let (before, after) = (&text.text[..*at], &text.text[*at + word.len()..]);
            !before.ends_with(is_part) && may_follow(before) && !after.starts_with(is_part)
        };
        let found = text.text.match_indices(word).map(|(at, _)| at).find(stands);
        match found.filter(|_| text.verbatim) {
            Some(at) => Span { len: u32::try_from(word.chars().count()).unwrap_or(1), ..self.span.within(text, at) },
            None => self.span,
        }
    }

    /// Every string in it.
    pub(crate) fn leaves(&self) -> Vec<(&Self, &Text)> {
        match &self.value {
            Value::String(text) => vec![(self, text)],
            Value::List(items) => items.iter().flat_map(Self::leaves).collect(),
            Value::Map(map) => map.entries.iter().flat_map(|(_, value)| value.leaves()).collect(),
            Value::Null | Value::Bool(_) | Value::Number { .. } => Vec::new(),
        }
    }

    pub(crate) fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What it is, for messages.
    pub(crate) fn word(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number { .. } => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The value at the end of a path of keys and list positions, or as far along it as there is one.
    pub(crate) fn nearest<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> &Self {
        let mut here = self;
        for step in path {
            let next = match &here.value {
                Value::Map(map) => map.get(step).map(|(_, value)| value),
                Value::List(items) => step.parse::<usize>().ok().and_then(|place| items.get(place)),
                Value::Null | Value::Bool(_) | Value::Number { .. } | Value::String(_) => None,
            };
            match next {
                Some(next) => here = next,
                None => break,
            }
        }
        here
    }
}

impl Map {
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Node)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    pub fn get(&self, name: &str) -> Option<(&Key, &Node)> {
        self.iter().find(|(key, _)| key.name == name)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests;
