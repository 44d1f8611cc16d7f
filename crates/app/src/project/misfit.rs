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
    let tree = source::read(&text).ok();
    let span = tree.and_then(|tree| place(&tree, backticked(message)?)).unwrap_or_default();
    let misuse = Misuse::new(if span.line == 0 { format!("{}: {message}", shown(file)) } else { message.to_owned() });
    misuse.at(span, &shown(file), &String::from_utf8_lossy(&text)).hint(hint(message, otherwise))
}

/// A tool's definition that is not what it should be: `path` is where in the definition.
pub fn misfit_of_tool(file: &Path, tool: &str, path: &str, message: &str, otherwise: &str) -> Misuse {
    let Some(node) = tool_at(file, tool, path) else { return misfit(file, message, otherwise) };
    // What nobody knows is told by what holds it, and stands in it.
    let inner = backticked(message).and_then(|word| place(&node, word).or_else(|| holding(&node, word)));
    let text = read(file).unwrap_or_default();
    let misuse = Misuse::new(message).at(inner.unwrap_or(node.span), &shown(file), &String::from_utf8_lossy(&text));
    // The reader of a kind knows its own fields; those that every tool has may have been meant as well.
    let near = backticked(message).filter(|_| message.contains("unknown field"));
    let of_all = near.and_then(|wrong| nearest(wrong, baton_tools::TOOL_FIELDS.iter().copied()));
    misuse.hint(match of_all {
        Some(near) => hint(message, &format!("did you mean `{near}`?")),
        None => hint(message, otherwise),
    })
}

/// Where a part of a tool's definition stands, as findings begin: `tools/shop.yaml:3:12`.
pub fn place_of_tool(file: &str, tool: &str, path: &str) -> String {
    let node = tool_at(Path::new(file), tool, path);
    node.map_or_else(|| file.to_owned(), |node| format!("{file}:{}:{}", node.span.line, node.span.column))
}

/// Where text that holds a word stands in a file.
pub fn place_of_text(file: &str, word: &str) -> String {
    let tree = read(Path::new(file)).ok().and_then(|text| source::read(&text).ok());
    let span = tree.and_then(|tree| holding(&tree, word));
    span.map_or_else(|| file.to_owned(), |span| format!("{file}:{}:{}", span.line, span.column))
}

/// The words in backticks of a message's last part that has some.
fn words(message: &str) -> impl Iterator<Item = &str> {
    let last = message.rsplit(": ").find(|part| part.contains('`')).unwrap_or(message);
    last.split('`').skip(1).step_by(2)
}

fn backticked(message: &str) -> Option<&str> {
    words(message).next()
}

/// What is wrong is the first of a message's words; the nearest of the others may have been meant.
fn hint(message: &str, otherwise: &str) -> String {
    let mut words = words(message);
    let wrong = words.next().unwrap_or_default();
    match nearest(wrong, words) {
        Some(near) => format!("did you mean `{near}`?"),
        None => otherwise.to_owned(),
    }
}

/// What stands at a path of a tool's definition, or the nearest thing that holds it.
fn tool_at(file: &Path, tool: &str, path: &str) -> Option<Node> {
    let tree = source::read(&read(file).ok()?).ok()?;
    let mut node = definition_of(&tree, tool)?;
    let mut rest = path;
    while let Some((inner, left)) = step(node, rest) {
        (node, rest) = (inner, left);
    }
    Some(node.clone())
}

/// The definition in a file that is alone in it, or has this name in a list.
fn definition_of<'t>(tree: &'t Node, tool: &str) -> Option<&'t Node> {
    let items = match &tree.value {
        Value::List(items) => items,
        Value::Map(map) => match map.iter().find(|(key, _)| key.name == "tools").map(|(_, value)| &value.value) {
            Some(Value::List(items)) => items,
            _ => return Some(tree),
        },
        _ => return Some(tree),
    };
    let is_named = |item: &&Node| match &item.value {
        Value::Map(map) => map
            .iter()
            .any(|(key, value)| key.name == "name" && matches!(&value.value, Value::String(text) if text.text == tool)),
        _ => false,
    };
    items.iter().find(is_named)
}

/// One step down a path of keys and places; a key may have dots in it.
fn step<'t, 'p>(node: &'t Node, path: &'p str) -> Option<(&'t Node, &'p str)> {
    let behind = |key: &str| {
        let rest = path.strip_prefix(key)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('.') }
    };
    match &node.value {
        Value::Map(map) => {
            let fits = map.iter().filter_map(|(key, value)| Some((value, behind(&key.name)?)));
            fits.min_by_key(|(_, rest)| rest.len())
        }
        Value::List(items) => {
            let number = path.split('.').next()?;
            Some((items.get(number.parse::<usize>().ok()?)?, behind(number)?))
        }
        Value::String(_) | Value::Number { .. } | Value::Null | Value::Bool(_) => None,
    }
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

/// Where text first stands that holds a word.
fn holding(tree: &Node, word: &str) -> Option<Span> {
    match &tree.value {
        Value::String(text) => text.text.contains(word).then_some(tree.span),
        Value::List(items) => items.iter().find_map(|item| holding(item, word)),
        Value::Map(map) => map.iter().find_map(|(_, value)| holding(value, word)),
        Value::Number { .. } | Value::Null | Value::Bool(_) => None,
    }
}
