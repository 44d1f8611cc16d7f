//! JSON on the command line: inline, from a file, or as `KEY=VALUE`.

use serde_json::{Map, Value};

use crate::{UsageError, project};

/// Parses `JSON`, `@FILE`, or `@-` for standard input. `what` names the option in messages.
pub fn parse_argument(what: &str, text: &str) -> anyhow::Result<Value> {
    if let Some(file) = text.strip_prefix('@') {
        return project::read_argument(file);
    }
    serde_json::from_str(text).map_err(|error| {
        UsageError::new(format!("{what} is not JSON: {error}"))
            .hint("quote it for the shell, or put it into a file and say @FILE")
            .into()
    })
}

/// Applies `KEY=VALUE` pairs to an input. A value in JSON syntax keeps its type. Any other value is text, and so is the
/// value of a key that accepts only text: a telephone number is not a number.
pub fn apply_sets(value: Value, sets: &[String], takes_text: impl Fn(&str) -> bool) -> anyhow::Result<Value> {
    if sets.is_empty() {
        return Ok(value);
    }
    let mut object = match value {
        Value::Object(object) => object,
        Value::Null => Map::new(),
        _ => return Err(UsageError::new("--set needs an input that is an object").into()),
    };
    for set in sets {
        let (key, text) = split(set)?;
        let value = if takes_text(key) { Value::String(text.to_owned()) } else { typed(text) };
        object.insert(key.to_owned(), value);
    }
    Ok(Value::Object(object))
}

pub fn pairs(sets: &[String]) -> anyhow::Result<Vec<(String, Value)>> {
    sets.iter().map(|set| split(set).map(|(key, text)| (key.to_owned(), typed(text)))).collect()
}

fn split(set: &str) -> anyhow::Result<(&str, &str)> {
    set.split_once('=').ok_or_else(|| UsageError::new(format!("`{set}` is not KEY=VALUE")).into())
}

fn typed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
