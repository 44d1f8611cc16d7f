//! YAML (and JSON, a subset of YAML) as a tree with source positions.
//!
//! The reader is bounded: it checks the size before the text and the text before the grammar, and it counts every value
//! it makes, so that an alias bomb costs no more than the limit at which it is refused. Scalars follow the core schema
//! of YAML 1.2: `on` and `yes` are strings.

mod build;
mod scalar;
mod text;

use serde_json::{Map as Object, Number, Value as Json};

use super::diagnostic::{Diagnostic, DiagnosticCode};

/// Maximum size of a definition, in bytes.
pub const SOURCE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Maximum nesting depth of values.
pub const DEPTH_MAX: usize = 64;
/// Maximum number of values in one definition, including those that aliases stand for.
pub const VALUES_MAX: usize = 200_000;
/// Maximum size of all text in one definition, in bytes, including the text that aliases stand for.
pub const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A position in a file. Lines and columns count from 1, columns and lengths in characters. A definition that was read
/// from a bundle has no positions: all are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct SourceSpan {
    pub line: u32,
    pub column: u32,
    pub len: u32,
}

/// A value and its position.
#[derive(Clone, Debug, PartialEq)]
pub struct YamlNode {
    pub span: SourceSpan,
    pub value: YamlValue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum YamlValue {
    Null,
    Bool(bool),
    /// `text` is the source text, so that a version `1.10` keeps its spelling.
    Number {
        number: Number,
        text: String,
    },
    String(YamlString),
    List(Vec<YamlNode>),
    Map(YamlMapping),
}

/// A string. `verbatim` if its characters appear in the file one for one, from the span's column on.
#[derive(Clone, Debug, PartialEq)]
pub struct YamlString {
    pub text: String,
    pub verbatim: bool,
}

/// A mapping in source order, without duplicate keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct YamlMapping {
    entries: Vec<(YamlKey, YamlNode)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct YamlKey {
    pub name: String,
    pub span: SourceSpan,
}

/// A value with its source position.
#[derive(Clone, Debug, PartialEq)]
pub struct SpannedValue<T> {
    pub value: T,
    pub span: SourceSpan,
}

/// Reads one document.
///
/// # Errors
/// The reason why the text is not a definition, as one diagnostic (two for a duplicate key): too large, not UTF-8 text,
/// not YAML, over a limit, or more than one document.
pub fn read(source: &[u8]) -> Result<YamlNode, Vec<Diagnostic>> {
    let text = text::check(source).map_err(|diagnostic| vec![diagnostic])?;
    match text::join_surrogates(text) {
        Some(joined) => build::tree(&joined),
        None => build::tree(text),
    }
}

impl<T> SpannedValue<T> {
    pub(crate) fn new(value: T, span: SourceSpan) -> Self {
        Self { value, span }
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> SpannedValue<U> {
        SpannedValue { value: change(self.value), span: self.span }
    }
}

impl SourceSpan {
    /// Returns the position `offset` bytes into a verbatim text that starts here.
    pub(crate) fn within(self, text: &YamlString, offset: usize) -> Self {
        let before = text.text.get(..offset).map(|before| before.chars().count());
        match before.and_then(|chars| u32::try_from(chars).ok()) {
            Some(chars) if text.verbatim => Self { column: self.column.saturating_add(chars), len: 1, ..self },
            _ => self,
        }
    }

    pub(crate) fn error(self, code: DiagnosticCode, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self, message)
    }
}

impl YamlNode {
    /// Creates a tree without positions, from a bundle.
    pub fn from_json(value: &Json) -> Self {
        let value = match value {
            Json::Null => YamlValue::Null,
            Json::Bool(is) => YamlValue::Bool(*is),
            Json::Number(number) => YamlValue::Number { number: number.clone(), text: number.to_string() },
            Json::String(text) => YamlValue::String(YamlString { text: text.clone(), verbatim: false }),
            Json::Array(items) => YamlValue::List(items.iter().map(Self::from_json).collect()),
            Json::Object(fields) => {
                let entry = |(name, value): (&String, &Json)| {
                    (YamlKey { name: name.clone(), span: SourceSpan::default() }, Self::from_json(value))
                };
                YamlValue::Map(YamlMapping { entries: fields.iter().map(entry).collect() })
            }
        };
        Self { span: SourceSpan::default(), value }
    }

    /// Returns the tree as JSON, keys sorted.
    pub fn to_json(&self) -> Json {
        match &self.value {
            YamlValue::Null => Json::Null,
            YamlValue::Bool(is) => Json::Bool(*is),
            YamlValue::Number { number, .. } => Json::Number(number.clone()),
            YamlValue::String(text) => Json::String(text.text.clone()),
            YamlValue::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            YamlValue::Map(map) => Json::Object(
                map.entries.iter().map(|(key, value)| (key.name.clone(), value.to_json())).collect::<Object<_, _>>(),
            ),
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            YamlValue::String(text) => Some(&text.text),
            _ => None,
        }
    }

    /// Returns the first position of a word in a string, or the whole string if it cannot be located.
    pub(crate) fn span_of_word(&self, word: &str) -> SourceSpan {
        self.span_where(word, |before| !before.ends_with('.'))
    }

    /// Returns the first position where a field is read from a value, or the whole text if it cannot be located.
    pub(crate) fn span_of_field(&self, field: &str) -> SourceSpan {
        self.span_where(field, |before| before.ends_with(['.', '[', '"', '\'']))
    }

    fn span_where(&self, word: &str, may_follow: impl Fn(&str) -> bool) -> SourceSpan {
        let YamlValue::String(text) = &self.value else { return self.span };
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let stands = |at: &usize| {
            let (before, after) = (&text.text[..*at], &text.text[*at + word.len()..]);
            !before.ends_with(is_part) && may_follow(before) && !after.starts_with(is_part)
        };
        let found = text.text.match_indices(word).map(|(at, _)| at).find(stands);
        match found.filter(|_| text.verbatim) {
            Some(at) => {
                SourceSpan { len: u32::try_from(word.chars().count()).unwrap_or(1), ..self.span.within(text, at) }
            }
            None => self.span,
        }
    }

    /// Returns every string in the tree.
    pub(crate) fn string_leaves(&self) -> Vec<(&Self, &YamlString)> {
        match &self.value {
            YamlValue::String(text) => vec![(self, text)],
            YamlValue::List(items) => items.iter().flat_map(Self::string_leaves).collect(),
            YamlValue::Map(map) => map.entries.iter().flat_map(|(_, value)| value.string_leaves()).collect(),
            YamlValue::Null | YamlValue::Bool(_) | YamlValue::Number { .. } => Vec::new(),
        }
    }

    pub(crate) fn as_map(&self) -> Option<&YamlMapping> {
        match &self.value {
            YamlValue::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.value == YamlValue::Null
    }

    /// Returns a description of its type, for messages.
    pub(crate) fn type_description(&self) -> &'static str {
        match &self.value {
            YamlValue::Null => "nothing",
            YamlValue::Bool(_) => "true or false",
            YamlValue::Number { .. } => "a number",
            YamlValue::String(_) => "a string",
            YamlValue::List(_) => "a list",
            YamlValue::Map(_) => "a mapping",
        }
    }

    /// Returns the value at the end of a path of keys and list positions, or the deepest one that exists on the path.
    pub(crate) fn deepest_at<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> &Self {
        let mut here = self;
        for step in path {
            let next = match &here.value {
                YamlValue::Map(map) => map.get(step).map(|(_, value)| value),
                YamlValue::List(items) => step.parse::<usize>().ok().and_then(|place| items.get(place)),
                YamlValue::Null | YamlValue::Bool(_) | YamlValue::Number { .. } | YamlValue::String(_) => None,
            };
            match next {
                Some(next) => here = next,
                None => break,
            }
        }
        here
    }
}

impl YamlMapping {
    pub fn iter(&self) -> impl Iterator<Item = (&YamlKey, &YamlNode)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    pub fn get(&self, name: &str) -> Option<(&YamlKey, &YamlNode)> {
        self.iter().find(|(key, _)| key.name == name)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests;
