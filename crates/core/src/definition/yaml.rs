//! JSON as YAML for people: block style, with quotes only where they are needed.

use std::fmt::Write as _;

use serde_json::Value;

/// Identifying keys, in the order in which people write them; the others follow alphabetically.
const LEADING_KEYS: [&str; 5] = ["name", "id", "description", "type", "input"];
/// Words that YAML readers would not read as text.
const AMBIGUOUS_WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

pub fn to_yaml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => block(&mut text, value, 0),
        Value::Array(items) if !items.is_empty() => block(&mut text, value, 0),
        _ => write_inline(&mut text, value),
    }
    text
}

/// Renames a definition: the name is at the top level, or under `workflow`. Returns `false` if it is not a mapping.
pub fn rename_workflow(definition: &mut Value, name: &str) -> bool {
    let below = definition.get("workflow").is_some_and(Value::is_object);
    let within = if below { definition.get_mut("workflow") } else { Some(definition) };
    let fields = within.and_then(Value::as_object_mut);
    fields.map(|fields| fields.insert("name".to_owned(), Value::from(name))).is_some()
}

/// A mapping or list that is not empty, one entry per line. The first line is already indented to `depth`.
fn block(text: &mut String, value: &Value, depth: usize) {
    let mut margin = "";
    let indent = " ".repeat(depth);
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| {
                LEADING_KEYS.iter().position(|first| first == name).unwrap_or(LEADING_KEYS.len())
            });
            for (name, value) in fields {
                text.push_str(margin);
                text.push_str(&scalar(name));
                text.push(':');
                write_value(text, value, depth);
                margin = &indent;
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push_str(margin);
                text.push_str("- ");
                match is_block(item) {
                    true => block(text, item, depth + 2),
                    false => write_inline(text, item),
                }
                margin = &indent;
            }
        }
        _ => write_inline(text, value),
    }
}

/// Writes the value after a key.
fn write_value(text: &mut String, value: &Value, depth: usize) {
    if is_block(value) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{}", " ".repeat(depth + 2));
        block(text, value, depth + 2);
    } else {
        text.push(' ');
        write_inline(text, value);
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn write_inline(text: &mut String, value: &Value) {
    match value {
        Value::String(word) => text.push_str(&scalar(word)),
        other => text.push_str(&other.to_string()),
    }
    text.push('\n');
}

/// Formats a text: plain if no reader can take it for another type, otherwise quoted as in JSON, which YAML reads, too.
fn scalar(word: &str) -> String {
    let begins = word.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' ');
    let is_word = AMBIGUOUS_WORDS.iter().any(|known| known.eq_ignore_ascii_case(word));
    // `.inf`, `1e5` and dates do not start with a letter; `e5` is text.
    if begins && word.chars().all(is_plain) && !word.ends_with(' ') && !is_word {
        return word.to_owned();
    }
    let mut quoted = String::new();
    for char in Value::from(word).to_string().chars() {
        match char {
            // Characters that JSON allows and that YAML rejects or reads as a line break.
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(char));
            }
            other => quoted.push(other),
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use crate::definition::source;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let hard = json!({
            "name": "a b", "empty": {}, "none": [], "null": null, "text": "null", "no": "no", "number": "12", "n": 1.5e300,
            "big": 12_345_678_901_234_567_u64, "minus": -3, "colon": "a: b", "hash": "a #b", "lines": "one\ntwo\n",
            "template": "{{ input.x }}", "quote": "\"'\\", "dash": "- a", "space": " a ", "unicode": "mañana \u{2028}\u{7f}",
            "list": [[1, [2, []]], {"a": {"b": [{"c": "d", "e": null}]}}, "x", {}],
            "odd: key": true, "": false, "~": "~", "date": "2025-01-01", "time": "10:00", "true": "True", "tab": "a\tb",
        });
        for value in [hard, json!([]), json!("x"), json!([{"a": 1, "b": [1]}, [3]])] {
            let text = to_yaml(&value);
            let read = source::read(text.as_bytes()).unwrap_or_else(|found| panic!("{found:?}\n{text}"));
            assert_eq!(read.to_json(), value, "\n{text}");
        }
    }

    #[test]
    fn it_is_written_as_people_write_it() {
        let value = json!({"edges": [{"from": "a", "to": "b"}], "name": "w", "nodes": [{"id": "a", "tool": "find"}]});
        assert_eq!(to_yaml(&value), "name: w\nedges:\n  - from: a\n    to: b\nnodes:\n  - id: a\n    tool: find\n");
    }
}
