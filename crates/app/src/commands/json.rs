//! JSON given on the command line: in place, from a file, or as `KEY=VALUE`.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{Misuse, project};

/// `JSON` or `@FILE`; `what` names the option in messages.
pub fn given(what: &str, text: &str) -> anyhow::Result<Value> {
    if let Some(file) = text.strip_prefix('@') {
        return project::read_value(Path::new(file));
    }
    serde_json::from_str(text).map_err(|error| {
        Misuse::new(format!("{what} is not JSON: {error}"))
            .hint("quote it for the shell, or put it into a file and say @FILE")
            .into()
    })
}

/// Lays `KEY=VALUE` pairs over an object. A value that is JSON keeps its type; anything else is text.
pub fn with_sets(value: Value, sets: &[String]) -> anyhow::Result<Value> {
    if sets.is_empty() {
        return Ok(value);
    }
    let mut object = match value {
        Value::Object(object) => object,
        Value::Null => Map::new(),
        _ => return Err(Misuse::new("--set needs an input that is an object").into()),
    };
    object.extend(pairs(sets)?);
    Ok(Value::Object(object))
}

pub fn pairs(sets: &[String]) -> anyhow::Result<Vec<(String, Value)>> {
    let pair = |set: &String| {
        let (key, text) = set.split_once('=').ok_or_else(|| Misuse::new(format!("`{set}` is not KEY=VALUE")))?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
        Ok((key.to_owned(), value))
    };
    sets.iter().map(pair).collect()
}
