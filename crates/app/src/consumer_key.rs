//! The model API key that a consumer supplies for its own runs. It is read from the environment or a pipe, never from
//! an argument, because any user of the machine could read an argument.

use std::io::{IsTerminal, Read};

use baton_ports::models::ConsumerKey;
use serde_json::{Map, Value};

use crate::UsageError;

/// The environment variable that holds the key.
pub const VARIABLE: &str = "BATON_CONSUMER_KEY";
/// Maximum size of a key, in bytes.
const KEY_BYTES_MAX: u64 = 4_096;

/// Returns the key in the environment, if there is one.
pub fn from_environment() -> Option<String> {
    std::env::var(VARIABLE).ok().map(|key| key.trim().to_owned()).filter(|key| !key.is_empty())
}

/// Reads the key from the environment, else from standard input.
pub fn read() -> anyhow::Result<ConsumerKey> {
    if let Some(key) = from_environment() {
        return Ok(ConsumerKey::new(key));
    }
    let missing = || {
        UsageError::new("no key is given")
            .hint(format!("pipe it in (`… < KEYFILE`), or set {VARIABLE}; it is kept nowhere"))
    };
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(missing().into());
    }
    let mut text = String::new();
    stdin.lock().take(KEY_BYTES_MAX + 1).read_to_string(&mut text).map_err(|_| missing())?;
    let key = text.trim();
    if text.len() as u64 > KEY_BYTES_MAX {
        return Err(UsageError::new(format!("a key has at most {KEY_BYTES_MAX} bytes")).into());
    }
    if key.is_empty() {
        return Err(missing().into());
    }
    Ok(ConsumerKey::new(key))
}

/// Puts the key of the environment into a run's context. The engine removes it from there. A key that is already in the
/// context takes precedence.
pub fn into_context(context: &mut Value) {
    let Some(key) = from_environment() else { return };
    if context.is_null() {
        *context = Value::Object(Map::new());
    }
    if let Value::Object(fields) = context {
        fields.entry("api_key").or_insert(Value::String(key));
    }
}
