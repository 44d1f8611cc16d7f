//! Errors for a file that parses but does not have the expected shape: the place of the incorrect word, and the closest
//! known name.

use std::path::Path;

use baton_core::definition::source::{self, SourceSpan, YamlNode, YamlValue};
use baton_core::friendly_error::friendly_at;
use baton_expr::nearest;
use serde::de::DeserializeOwned;

use super::files::{display_path, read};
use crate::UsageError;

/// Deserializes a value. On failure the error gives the place in the file and the problem in plain words.
pub fn read_as<T: DeserializeOwned>(file: &Path, value: serde_json::Value, otherwise: &str) -> Result<T, UsageError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (place, reason) = friendly_at(&error.path().to_string(), &error.inner().to_string());
        let message = if place.is_empty() { reason } else { format!("at `{place}`: {reason}") };
        shape_error(file, &message, otherwise)
    })
}

/// `message` is an error of a deserializer: ``unknown field `replys`, expected `agent` or `replies` ``. The first word
/// in backticks of its last part is the incorrect one. The others are the known names.
pub fn shape_error(file: &Path, message: &str, otherwise: &str) -> UsageError {
    let text = read(file).unwrap_or_default();
    let tree = source::read(&text).ok();
    let span = tree.and_then(|tree| place(&tree, backticked(message)?)).unwrap_or_default();
    let misuse =
        UsageError::new(if span.line == 0 { format!("{}: {message}", display_path(file)) } else { message.to_owned() });
    misuse.at(span, &display_path(file), &String::from_utf8_lossy(&text)).hint(hint(message, otherwise))
}

/// The error for a tool definition with an unexpected shape. `path` is the place in the definition.
pub fn tool_shape_error(file: &Path, tool: &str, path: &str, message: &str, otherwise: &str) -> UsageError {
    let Some(node) = tool_at(file, tool, path) else { return shape_error(file, message, otherwise) };
    // An unknown word is reported at its container. The word itself is inside it.
    let inner = backticked(message).and_then(|word| place(&node, word).or_else(|| span_containing(&node, word)));
    let text = read(file).unwrap_or_default();
    let misuse =
        UsageError::new(message).at(inner.unwrap_or(node.span), &display_path(file), &String::from_utf8_lossy(&text));
    // The reader of one kind of tool lists only its own fields. The author may have meant a field that every tool has.
    let near = backticked(message).filter(|_| message.contains("unknown field"));
    let of_all = near.and_then(|wrong| nearest(wrong, baton_tools::TOOL_FIELDS.iter().copied()));
    misuse.hint(match of_all {
        Some(near) => hint(message, &format!("did you mean `{near}`?")),
        None => hint(message, otherwise),
    })
}

/// The location of a part of a tool's definition, in the form in which findings begin: `tools/shop.yaml:3:12`.
pub fn tool_location(file: &str, tool: &str, path: &str) -> String {
    let node = tool_at(Path::new(file), tool, path);
    node.map_or_else(|| file.to_owned(), |node| format!("{file}:{}:{}", node.span.line, node.span.column))
}

/// The location of the first text that contains a word.
pub fn text_location(file: &str, word: &str) -> String {
    let tree = read(Path::new(file)).ok().and_then(|text| source::read(&text).ok());
    let span = tree.and_then(|tree| span_containing(&tree, word));
    span.map_or_else(|| file.to_owned(), |span| format!("{file}:{}:{}", span.line, span.column))
}

/// The words in backticks in the last part of a message that has some.
fn quoted_words(message: &str) -> impl Iterator<Item = &str> {
    let last = message.rsplit(": ").find(|part| part.contains('`')).unwrap_or(message);
    last.split('`').skip(1).step_by(2)
}

fn backticked(message: &str) -> Option<&str> {
    quoted_words(message).next()
}

/// Suggests the closest known name to the incorrect word, which is the first in the message.
fn hint(message: &str, otherwise: &str) -> String {
    let mut words = quoted_words(message);
    let wrong = words.next().unwrap_or_default();
    match nearest(wrong, words) {
        Some(near) => format!("did you mean `{near}`?"),
        None => otherwise.to_owned(),
    }
}

/// The node at a path of a tool's definition, or its closest ancestor that exists.
fn tool_at(file: &Path, tool: &str, path: &str) -> Option<YamlNode> {
    let tree = source::read(&read(file).ok()?).ok()?;
    let mut node = definition_of(&tree, tool)?;
    let mut rest = path;
    while let Some((inner, left)) = step(node, rest) {
        (node, rest) = (inner, left);
    }
    Some(node.clone())
}

/// The only definition of a file, or the one with this name in a list.
fn definition_of<'t>(tree: &'t YamlNode, tool: &str) -> Option<&'t YamlNode> {
    let items = match &tree.value {
        YamlValue::List(items) => items,
        YamlValue::Map(map) => match map.iter().find(|(key, _)| key.name == "tools").map(|(_, value)| &value.value) {
            Some(YamlValue::List(items)) => items,
            _ => return Some(tree),
        },
        _ => return Some(tree),
    };
    let is_named = |item: &&YamlNode| match &item.value {
        YamlValue::Map(map) => map.iter().any(|(key, value)| {
            key.name == "name" && matches!(&value.value, YamlValue::String(text) if text.text == tool)
        }),
        _ => false,
    };
    items.iter().find(is_named)
}

/// One step down a path of keys and indices. A key may contain dots.
fn step<'t, 'p>(node: &'t YamlNode, path: &'p str) -> Option<(&'t YamlNode, &'p str)> {
    let behind = |key: &str| {
        let rest = path.strip_prefix(key)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
    };
    match &node.value {
        YamlValue::Map(map) => {
            let fits = map.iter().filter_map(|(key, value)| Some((value, behind(&key.name)?)));
            fits.min_by_key(|(_, rest)| rest.len())
        }
        YamlValue::List(items) => {
            let number = path.split('.').next()?;
            Some((items.get(number.parse::<usize>().ok()?)?, behind(number)?))
        }
        YamlValue::String(_) | YamlValue::Number { .. } | YamlValue::Null | YamlValue::Bool(_) => None,
    }
}

/// The first place where a word stands alone, as a key or as a value.
fn place(tree: &YamlNode, word: &str) -> Option<SourceSpan> {
    match &tree.value {
        YamlValue::String(text) => (text.text == word).then_some(tree.span),
        YamlValue::List(items) => items.iter().find_map(|item| place(item, word)),
        YamlValue::Map(map) => {
            map.iter().find_map(|(key, value)| if key.name == word { Some(key.span) } else { place(value, word) })
        }
        YamlValue::Number { text, .. } => (text == word).then_some(tree.span),
        YamlValue::Null | YamlValue::Bool(_) => None,
    }
}

/// The first place where text contains a word.
fn span_containing(tree: &YamlNode, word: &str) -> Option<SourceSpan> {
    match &tree.value {
        YamlValue::String(text) => text.text.contains(word).then_some(tree.span),
        YamlValue::List(items) => items.iter().find_map(|item| span_containing(item, word)),
        YamlValue::Map(map) => map.iter().find_map(|(_, value)| span_containing(value, word)),
        YamlValue::Number { .. } | YamlValue::Null | YamlValue::Bool(_) => None,
    }
}
