//! A file that can be read and is not what it should be: with the place of the word that is wrong, and the nearest
//! that is known.

use std::path::Path;

use baton_core::definition::source::{self, Node, Span, Value};
use baton_core::expr::nearest;
use baton_core::plain::plain_at;
use serde::de::DeserializeOwned;

use super::files::{read, shown};
use crate::Misuse;

/// A value as what it should be; the place in it and what is wrong there otherwise, in plain words.
pub fn read_as<T: DeserializeOwned>(file: &Path, value: serde_json::Value, otherwise: &str) -> Result<T, Misuse> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (place, reason) = plain_at(&error.path().to_string(), &error.inner().to_string());
        let message = if place.is_empty() { reason } else { format!("at `{place}`: {reason}") };
        misfit(file, &message, otherwise)
    })
}

/// `message` is a reader's: ``unknown field `replys`, expected `agent` or `replies` ``. What is wrong in it is the first
/// word in backticks of its last part; what is known are the others.
pub fn misfit(file: &Path, message: &str, otherwise: &str) -> Misuse {
    let text = read(file).unwrap_or_default();
    let last = message.rsplit(": ").find(|part| part.contains('`')).unwrap_or(message);
    let mut words = last.split('`').skip(1).step_by(2);
    let wrong = words.next().unwrap_or_default();
    let hint = match nearest(wrong, words) {
        Some(near) => format!("did you mean `{near}`?"),
        None => otherwise.to_owned(),
    };
    let tree = source::read(&text).ok();
    let span = tree.and_then(|tree| place(&tree, wrong)).unwrap_or_default();
    let misuse = Misuse::new(if span.line == 0 { format!("{}: {message}", shown(file)) } else { message.to_owned() });
    misuse.at(span, &shown(file), &String::from_utf8_lossy(&text)).hint(hint)
}

/// Where a word first stands alone, as a key or as a value.
fn place(tree: &Node, word: &str) -> Option<Span> {
    match &tree.value {
        Value::String(text) => (text.text == word).then_some(tree.span),
        Value::List(items) => items.iter().find_map(|item| place(item, word)),
        Value::Map(map) => {
            map.iter().find_map(|(key, value)| if key.name == word { Some(key.span) } else { place(value, word) })
        }
        Value::Number { text, .. } => (text == word).then_some(tree.span),
        Value::Null | Value::Bool(_) => None,
    }
}
