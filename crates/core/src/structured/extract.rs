//! Finding the JSON in a model's reply: alone, in a fence, or in the middle of text.

use serde_json::{Deserializer, Value};

/// How much of a reply that is not JSON as a whole is searched, in bytes.
const SEARCHED_BYTES_MAX: usize = 256 * 1024;
/// Maximum number of positions in a reply that are tried as the start of JSON.
const STARTS_MAX: usize = 64;

/// Returns every complete piece of JSON in a reply, the most deliberate first: the whole reply, then fenced blocks,
/// then objects and lists inside other text. Content of a broken piece is not returned, so that half an answer is never
/// used.
pub fn json_candidates(text: &str) -> Vec<Value> {
    let text = strip_thinking(text);
    if let Some(whole) = whole(text) {
        return vec![whole];
    }
    let text = clip_bytes(text, SEARCHED_BYTES_MAX);
    let mut found: Vec<Value> = fences(text).filter_map(|block| serde_json::from_str(block).ok()).collect();
    found.extend(embedded_json(text));
    found
}

/// Returns the object that the whole reply consists of, alone or in one fence.
pub fn whole_object(text: &str) -> Option<Value> {
    whole(strip_thinking(text)).filter(Value::is_object)
}

/// Returns the value of the whole text, alone or in one fence. The text may have any length: it is parsed once.
fn whole(text: &str) -> Option<Value> {
    let text = text.trim();
    let alone = match text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) {
        Some(block) => strip_language_tag(block),
        None => text,
    };
    serde_json::from_str(alone).ok()
}

/// Returns the reply after the thinking that some models write first.
pub fn strip_thinking(text: &str) -> &str {
    match text.trim_start().strip_prefix("<think>") {
        Some(rest) => rest.split_once("</think>").map_or("", |(_, answer)| answer).trim_start(),
        None => text,
    }
}

/// Shortens the text to this number of characters, with a note about the rest.
pub fn clip(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_owned(),
        Some((end, _)) => {
            let rest = text[end..].chars().count();
            format!("{}… ({rest} more characters were cut)", &text[..end])
        }
    }
}

fn clip_bytes(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn fences(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").skip(1).step_by(2).take(STARTS_MAX).map(strip_language_tag)
}

/// Returns a fenced block without the language tag after its fence.
fn strip_language_tag(block: &str) -> &str {
    let is_tag = |line: &str| line.chars().all(|c| c.is_ascii_alphanumeric());
    match block.split_once('\n') {
        Some((tag, rest)) if is_tag(tag.trim()) => rest.trim(),
        _ => block.trim(),
    }
}

fn embedded_json(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut rest = text;
    for _ in 0..STARTS_MAX {
        let Some(at) = rest.find(['{', '[']) else { break };
        rest = &rest[at..];
        let mut stream = Deserializer::from_str(rest).into_iter::<Value>();
        if let Some(Ok(value)) = stream.next() {
            found.push(value);
            rest = &rest[stream.byte_offset()..];
        } else {
            rest = &rest[broken_piece(rest)..];
        }
    }
    found
}

/// Returns the length of the broken piece at the start of `text`: to its closing bracket, otherwise to the end.
fn broken_piece(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_found_alone_fenced_and_in_chat() {
        let answer = json!({"intent": "return_request", "confidence": 0.95});
        for text in [
            r#"{"intent": "return_request", "confidence": 0.95}"#,
            "  \n{\"intent\": \"return_request\", \"confidence\": 0.95}\n",
            "```json\n{\"intent\": \"return_request\", \"confidence\": 0.95}\n```",
            "Here you are:\n```\n{\"intent\": \"return_request\", \"confidence\": 0.95}\n```\nAnything else?",
            r#"Sure! {"intent": "return_request", "confidence": 0.95} is what I think."#,
            r#"Dear {name}, see [note]: {"intent": "return_request", "confidence": 0.95}"#,
            r#"<think>maybe {"intent": "other"}?</think>{"intent": "return_request", "confidence": 0.95}"#,
        ] {
            assert_eq!(json_candidates(text).first(), Some(&answer), "{text}");
        }
    }

    #[test]
    fn half_an_answer_is_not_an_answer() {
        assert!(json_candidates(r#"{"intent": "x", "entities": {"order": "1"}"#).is_empty());
        assert!(json_candidates(r#"{"intent": "x", "entities": {"order": "1"},}"#).is_empty());
        assert!(json_candidates("I would say it is a return.").is_empty());
    }

    #[test]
    fn only_a_reply_that_is_an_object_is_taken_whole() {
        assert_eq!(whole_object("```json\n{\"a\": 1}\n```"), Some(json!({"a": 1})));
        assert_eq!(whole_object("it is {\"a\": 1}"), None);
        assert_eq!(whole_object("[1]"), None);
    }

    #[test]
    fn an_answer_of_any_length_is_taken_whole() {
        let long = json!({"text": "x".repeat(300_000), "last": true});
        for text in [long.to_string(), format!("```json\n{long}\n```"), format!("<think>hm</think>\n{long}")] {
            assert_eq!(json_candidates(&text), std::slice::from_ref(&long));
            assert_eq!(whole_object(&text).as_ref(), Some(&long));
        }
    }

    #[test]
    fn what_is_cut_is_counted() {
        assert_eq!(clip("añb", 2), "añ… (1 more characters were cut)");
        assert_eq!(clip("añ", 2), "añ");
    }

    proptest! {
        #[test]
        fn any_text_is_searched_without_panic(text in "[{}\\[\\]\",:a-cé`\\n 0-9]{0,200}") {
            let _ = json_candidates(&text);
            let _ = whole_object(&text);
        }
    }

    #[test]
    fn hostile_nesting_is_searched_quickly() {
        assert!(json_candidates(&"[".repeat(1_000_000)).is_empty());
        assert!(json_candidates(&"{\"a\":".repeat(200_000)).is_empty());
    }
}
