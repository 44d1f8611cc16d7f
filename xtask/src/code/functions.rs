//! Finds functions by their braces.

use super::{is_name, line_of};

/// A function that has a body.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFunction {
    pub name: String,
    /// The line of the `fn` keyword, counted from 1.
    pub line: usize,
    /// The number of lines from the `fn` keyword to the closing brace, both included.
    pub length: usize,
}

/// Every function of a blanked text. A nested function is counted by itself and as part of the outer one.
pub fn find(text: &str) -> Vec<SourceFunction> {
    text.match_indices("fn").filter_map(|(at, _)| function(text, at)).collect()
}

/// The length of an item in bytes, up to and including its last byte: the closing brace of its body, or its semicolon.
/// `None` if there is neither.
pub fn item_length(text: &str) -> Option<usize> {
    let open = body(text)?;
    if text[open..].starts_with(';') {
        return Some(open + 1);
    }
    let mut depth = 0_usize;
    for (at, character) in text[open..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(open + at + 1),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn function(text: &str, at: usize) -> Option<SourceFunction> {
    if text[..at].chars().next_back().is_some_and(is_name) {
        return None;
    }
    // In a function a space and a name follow the keyword. In a pointer type (`fn(u8)`) and a macro's `fn $name` they
    // do not.
    let rest = text[at..].strip_prefix("fn")?;
    let name: String = rest.trim_start().chars().take_while(|one| is_name(*one)).collect();
    if name.is_empty() || !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let open = body(rest)?;
    if rest[open..].starts_with(';') {
        return None;
    }
    let end = at + "fn".len() + item_length(rest)?;
    let line = line_of(text, at);
    Some(SourceFunction { name, line, length: line_of(text, end) - line + 1 })
}

/// The offset of the first `{` or `;` outside round and square brackets (`[u8; 4]`).
fn body(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, character) in text.char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' | ';' if depth <= 0 => return Some(at),
            _ => {}
        }
    }
    None
}
