//! The text protocol: `Thought`, `Action`, `Action Input`, `Final Answer`.

use baton_core::model::ToolOffer;
use baton_core::structured::extract;
use serde_json::{Value, json};

use super::read::OfferedTools;

/// A parsed reply in the text protocol.
#[derive(Debug, PartialEq)]
pub(super) enum ReactReply {
    Act {
        thought: String,
        action: String,
        input: Value,
        /// The reply up to its action. Anything the model wrote after it is imagined and is dropped.
        said: String,
    },
    Answer {
        thought: String,
        text: String,
    },
}

/// Longest first, so that `Action Input` is not taken for `Action`.
const LABELS: [(&str, ReactLabel); 5] = [
    ("action input", ReactLabel::Input),
    ("final answer", ReactLabel::Answer),
    ("observation", ReactLabel::Observation),
    ("thought", ReactLabel::Thought),
    ("action", ReactLabel::Action),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReactLabel {
    Thought,
    Action,
    Input,
    Observation,
    Answer,
}

/// One labelled part of a reply.
struct ReactPart<'a> {
    label: ReactLabel,
    /// The text on the label's line and on the lines up to the next label.
    text: &'a str,
    /// The byte offsets in the reply at which the text begins and ends.
    start: usize,
    end: usize,
}

/// Parses a reply in the protocol. Returns `None` if the reply does not use it.
pub(super) fn read(reply: &str, offered: &OfferedTools) -> Option<ReactReply> {
    let parts = parts(reply);
    let Some(first) = parts.iter().position(|part| matches!(part.label, ReactLabel::Action | ReactLabel::Answer))
    else {
        // A thought without an action is the answer.
        let begins_with_it = parts.first().is_some_and(|part| part.label == ReactLabel::Thought);
        return begins_with_it.then(|| ReactReply::Answer { thought: String::new(), text: thoughts(&parts) });
    };
    let thought = thoughts(&parts[..first]);
    if parts[first].label == ReactLabel::Answer {
        return Some(ReactReply::Answer { thought, text: reply[parts[first].start..].trim().to_owned() });
    }
    let action = parts[first].text.trim().trim_matches(['`', '"', '\'', '*', '.']).to_owned();
    let input = parts.get(first + 1).filter(|part| part.label == ReactLabel::Input);
    let tool = offered.find(&action);
    // An answer may contain a line that begins with "Action:". The line is an action only if it names a tool or has
    // an input.
    if tool.is_none() && input.is_none() {
        return None;
    }
    let end = input.unwrap_or(&parts[first]).end;
    let input = input.map_or_else(|| json!({}), |part| read_input(part.text.trim(), tool));
    Some(ReactReply::Act { thought, action, input, said: reply[..end].trim_end().to_owned() })
}

fn thoughts(parts: &[ReactPart<'_>]) -> String {
    let thoughts = parts.iter().filter(|part| part.label == ReactLabel::Thought);
    thoughts.map(|part| part.text.trim()).collect::<Vec<_>>().join("\n")
}

fn parts(reply: &str) -> Vec<ReactPart<'_>> {
    let mut parts: Vec<ReactPart<'_>> = Vec::new();
    let mut at = 0;
    for line in reply.split_inclusive('\n') {
        if let Some((label, skipped)) = label(line) {
            if let Some(last) = parts.last_mut() {
                last.end = at;
            }
            parts.push(ReactPart { label, text: "", start: at + skipped, end: reply.len() });
        }
        at += line.len();
    }
    for part in &mut parts {
        part.text = &reply[part.start..part.end];
    }
    parts
}

/// The label that a line begins with, bold or not, and its length in bytes.
fn label(line: &str) -> Option<(ReactLabel, usize)> {
    let bare = line.trim_start_matches([' ', '\t', '*']);
    let (name, label) =
        LABELS.iter().find(|(name, _)| bare.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)))?;
    let rest = bare[name.len()..].trim_start_matches([' ', '*']).strip_prefix(':')?;
    let rest = rest.trim_start_matches('*');
    Some((*label, line.len() - rest.len()))
}

/// Parses the input as an object: JSON, or bare text for a tool that takes one string.
fn read_input(text: &str, tool: Option<&ToolOffer>) -> Value {
    if text.is_empty() {
        return json!({});
    }
    if let Some(object) = extract::json_candidates(text).into_iter().find(Value::is_object) {
        return object;
    }
    let properties = tool.and_then(|tool| tool.parameters.get("properties")?.as_object());
    match properties.map(|properties| properties.iter().collect::<Vec<_>>()).as_deref() {
        Some([(name, schema)]) if schema.get("type").and_then(Value::as_str) == Some("string") => {
            json!({name.as_str(): text.trim_matches(['"', '\'', '`'])})
        }
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
