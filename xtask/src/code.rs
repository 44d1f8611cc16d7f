//! A lexer for Rust source that replaces comments and the contents of literals with spaces.
//!
//! It is enough to count braces and find words reliably, and keeps the line numbers of the source. It handles nested
//! comments, raw strings and byte strings, and distinguishes lifetimes from character literals. It does not expand
//! macros.

mod functions;

use std::ops::RangeInclusive;

pub use functions::SourceFunction;

/// The code of one file, with everything else blanked out.
pub struct BlankedSource {
    text: String,
    /// Lines under `#[cfg(test)]`, counted from 1.
    tests: Vec<RangeInclusive<usize>>,
}

impl BlankedSource {
    /// Never fails: source that does not compile is blanked as far as it can be parsed.
    pub fn new(source: &str) -> Self {
        let text = blank(source);
        let tests = test_regions(&text);
        Self { text, tests }
    }

    /// The blanked lines, numbered from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether a line is under `#[cfg(test)]`.
    pub fn is_test(&self, line: usize) -> bool {
        self.tests.iter().any(|region| region.contains(&line))
    }

    /// Every function that has a body, in order of its first line.
    pub fn functions(&self) -> Vec<SourceFunction> {
        functions::find(&self.text)
    }
}

/// Whether a file contains only tests, by its path: `tests.rs`, or in a `tests` or `benches` folder.
pub fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests" || part == "benches")
}

/// Whether `line` contains `word` (which may include `::`) by itself and not as part of a longer name.
pub fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Copies code and replaces the rest with spaces. Line breaks always stay.
fn blank(source: &str) -> String {
    let characters: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < characters.len() {
        let end = literal_end(&characters, at).unwrap_or(at);
        if end == at {
            out.push(characters[at]);
            at += 1;
        } else {
            let hidden = &characters[at..end.min(characters.len())];
            out.extend(hidden.iter().map(|one| if *one == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// The end of the comment or literal that starts here. `None` if none starts here.
fn literal_end(text: &[char], at: usize) -> Option<usize> {
    let next = text.get(at + 1).copied();
    match text[at] {
        '/' if next == Some('/') => Some(line_end(text, at)),
        '/' if next == Some('*') => Some(comment_end(text, at)),
        '"' => Some(string_end(text, at + 1)),
        '\'' => character_end(text, at),
        'r' if !follows_name(text, at) => raw_string_end(text, at),
        _ => None,
    }
}

fn line_end(text: &[char], at: usize) -> usize {
    text[at..].iter().position(|one| *one == '\n').map_or(text.len(), |length| at + length)
}

fn comment_end(text: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

/// `at` is just after the opening quote.
fn string_end(text: &[char], mut at: usize) -> usize {
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// `'x'` and `'\n'` are literals, `'static` is a lifetime.
fn character_end(text: &[char], at: usize) -> Option<usize> {
    match (text.get(at + 1)?, text.get(at + 2)?) {
        ('\\', _) => text[at + 3..].iter().position(|one| *one == '\'').map(|length| at + 4 + length),
        (_, '\'') => Some(at + 3),
        _ => None,
    }
}

fn raw_string_end(text: &[char], at: usize) -> Option<usize> {
    let hashes = text[at + 1..].iter().take_while(|one| **one == '#').count();
    if text.get(at + 1 + hashes) != Some(&'"') {
        return None;
    }
    let mut end = at + 2 + hashes;
    while end < text.len() {
        let closes =
            text[end] == '"' && text[end + 1..].iter().take(hashes).filter(|one| **one == '#').count() == hashes;
        end += 1;
        if closes {
            return Some(end + hashes);
        }
    }
    Some(text.len())
}

/// The `r` of `for` or `br` starts no raw string, except in `br"…"` and `cr"…"`.
fn follows_name(text: &[char], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|index| text[index]) else {
        return false;
    };
    let prefixed = matches!(before, 'b' | 'c') && !at.checked_sub(2).is_some_and(|index| is_name(text[index]));
    is_name(before) && !prefixed
}

/// The lines from each `#[cfg(test)]` to the end of its item.
fn test_regions(text: &str) -> Vec<RangeInclusive<usize>> {
    const MARK: &str = "#[cfg(test)]";
    let mut regions = Vec::new();
    for (at, _) in text.match_indices(MARK) {
        let body = &text[at + MARK.len()..];
        let Some(length) = functions::item_length(body) else {
            continue;
        };
        let first = line_of(text, at);
        regions.push(first..=line_of(text, at + MARK.len() + length));
    }
    regions
}

/// The line of a byte offset, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

#[cfg(test)]
mod tests;
