//! The declared input of a workflow: the required keys, and their types.
//!
//! A key without a type or schema is optional. A key with a type or a schema is required and must match, unless its
//! schema has a `default`, which then applies. Undeclared keys are accepted: a caller may send more than the workflow
//! needs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use baton_expr::nearest;

/// Maximum number of errors listed in one refusal; the rest is counted.
const PROBLEMS_SHOWN_MAX: usize = 5;
/// Maximum size of one error's description, in bytes.
const PROBLEM_BYTES_MAX: usize = 300;

/// The declared keys; `None` if a workflow declares nothing and accepts anything.
#[derive(Clone, Debug, Default)]
pub struct InputDeclaration(pub Option<BTreeMap<String, InputKey>>);

/// The declaration of one key.
#[derive(Clone, Debug)]
pub enum InputKey {
    /// Optional, of any type.
    Any,
    Typed(InputType),
    /// Boxed, since few keys have one; shared, since a workflow is cloned.
    Schema(Arc<InputSchema>),
}

/// A JSON Schema that was compiled when its definition was read.
#[derive(Debug)]
pub struct InputSchema {
    pub document: Value,
    pub validator: Validator,
}

/// The types that a key may be declared with by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputType {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
    Null,
}

/// An invalid input, with its errors. Values are left out, because they may be a customer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    pub problems: Vec<String>,
}

impl InputDeclaration {
    /// Validates an input against its declaration. `Ok(None)`: it is valid as given. `Ok(Some)`: with the defaults of
    /// omitted keys.
    ///
    /// # Errors
    /// All errors of an invalid input.
    pub fn validate(&self, given: &Value) -> Result<Option<Value>, InputError> {
        let Some(declared) = &self.0 else { return Ok(None) };
        let Some(object) = given.as_object() else {
            let mistake = format!("it must be an object, found {}", word(given));
            return Err(InputError { problems: vec![mistake] });
        };
        let mut mistakes = Vec::new();
        let mut defaults = Map::new();
        for (name, key) in declared {
            match (object.get(name), key.default()) {
                (Some(value), _) => mistakes.extend(key.violation(name, value)),
                (None, Some(default)) => {
                    defaults.insert(name.clone(), default.clone());
                }
                (None, None) => mistakes.extend(key.is_required().then(|| self.missing(name, object))),
            }
        }
        if !mistakes.is_empty() {
            return Err(InputError { problems: mistakes });
        }
        Ok((!defaults.is_empty()).then(|| {
            defaults.extend(object.iter().map(|(name, value)| (name.clone(), value.clone())));
            Value::Object(defaults)
        }))
    }

    /// Returns the required keys, each with the word for its type if it has one.
    pub fn required_keys(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let declared = self.0.iter().flatten();
        let wanted = declared.filter(|(_, key)| key.is_required() && key.default().is_none());
        wanted.map(|(name, key)| (name.as_str(), key.word()))
    }

    /// Returns the input as a JSON Schema; `None` if a workflow accepts anything.
    pub fn schema(&self) -> Option<Value> {
        let declared = self.0.as_ref()?;
        let property = |key: &InputKey| match key {
            InputKey::Any => json!({}),
            InputKey::Typed(_) => json!({ "type": key.word() }),
            InputKey::Schema(schema) => schema.document.clone(),
        };
        let properties: Map<String, Value> = declared.iter().map(|(name, key)| (name.clone(), property(key))).collect();
        let required: Vec<&str> = self.required_keys().map(|(name, _)| name).collect();
        Some(json!({ "type": "object", "properties": properties, "required": required }))
    }

    /// Returns whether this key only accepts text: then a caller with only text need not name the type.
    pub fn accepts_only_text(&self, name: &str) -> bool {
        match self.0.as_ref().and_then(|declared| declared.get(name)) {
            Some(InputKey::Typed(of)) => *of == InputType::String,
            Some(InputKey::Schema(schema)) => is_text(&schema.document),
            Some(InputKey::Any) | None => false,
        }
    }

    /// Keys that are given but not declared, if anything is declared.
    pub fn undeclared<'g>(&self, given: &'g Value) -> Vec<&'g str> {
        let (Some(declared), Some(object)) = (&self.0, given.as_object()) else { return Vec::new() };
        object.keys().map(String::as_str).filter(|name| !declared.contains_key(*name)).collect()
    }

    /// Returns the error for a missing key; it mentions an undeclared key that may have been meant.
    fn missing(&self, name: &str, given: &Map<String, Value>) -> String {
        let is_declared = |given: &str| self.0.as_ref().is_some_and(|declared| declared.contains_key(given));
        let others = given.keys().map(String::as_str).filter(|given| !is_declared(given));
        match nearest(name, others) {
            Some(near) => format!("`{name}` is missing; there is `{near}`"),
            None => format!("`{name}` is missing"),
        }
    }
}

/// Returns whether a JSON Schema only accepts text, and possibly null.
pub fn is_text(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(word)) => word == "string",
        Some(Value::Array(words)) => {
            words.iter().any(|word| word == "string") && words.iter().all(|word| word == "string" || word == "null")
        }
        _ => false,
    }
}

impl InputKey {
    fn default(&self) -> Option<&Value> {
        match self {
            Self::Schema(schema) => schema.document.get("default"),
            Self::Any | Self::Typed(_) => None,
        }
    }

    fn word(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::Typed(of) => InputType::WORDS.into_iter().find(|(_, known)| known == of).map(|(word, _)| word),
            Self::Schema(schema) => schema.document.get("type").and_then(Value::as_str),
        }
    }

    fn is_required(&self) -> bool {
        !matches!(self, Self::Any)
    }

    fn violation(&self, name: &str, value: &Value) -> Option<String> {
        match self {
            Self::Any => None,
            Self::Typed(of) => {
                (!of.matches(value)).then(|| format!("`{name}` must be {}, found {}", of.with_article(), word(value)))
            }
            Self::Schema(schema) => schema.violation(name, value),
        }
    }
}

impl InputSchema {
    /// Returns the error for a value, without showing the value.
    pub fn violation(&self, name: &str, value: &Value) -> Option<String> {
        let error = self.validator.validate(value).err()?;
        let place = format!("{name}{}", error.instance_path().as_str().replace('/', "."));
        let mut what = error.masked_with("the value").to_string();
        what.truncate(what.floor_char_boundary(PROBLEM_BYTES_MAX));
        Some(format!("`{place}`: {what}"))
    }
}

impl InputType {
    /// By the words of a definition.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("string", Self::String),
        ("number", Self::Number),
        ("integer", Self::Integer),
        ("boolean", Self::Boolean),
        ("array", Self::Array),
        ("object", Self::Object),
        ("null", Self::Null),
    ];

    /// As JSON Schema counts: `2.0` is an integer, too.
    fn matches(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|float| float.fract() == 0.0)
            }
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Null => value.is_null(),
        }
    }

    fn with_article(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Number => "a number",
            Self::Integer => "an integer",
            Self::Boolean => "a boolean",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::Null => "null",
        }
    }
}

/// Returns the type of a value, as a word.
fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => InputType::Null,
        Value::Bool(_) => InputType::Boolean,
        Value::Number(_) => InputType::Number,
        Value::String(_) => InputType::String,
        Value::Array(_) => InputType::Array,
        Value::Object(_) => InputType::Object,
    }
    .with_article()
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.problems[..self.problems.len().min(PROBLEMS_SHOWN_MAX)];
        write!(f, "the input does not fit: {}", shown.join("; "))?;
        match self.problems.len() - shown.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for InputError {}

#[cfg(test)]
mod tests;
