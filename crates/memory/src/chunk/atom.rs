//! The units of which a chunk is built: sentences, lines of code, and parts of these if they are too large.

use std::ops::Range;

use super::block::{TextBlock, TextBlockKind};
use crate::tokens;

/// A part of a block that is never split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextAtom {
    pub(super) range: Range<usize>,
    pub(super) tokens: usize,
    pub(super) begins_block: bool,
    /// Tokens of the whole block, if it begins with this atom.
    pub(super) block_tokens: usize,
}

/// The atoms of a block, none larger than `max` tokens.
pub(super) fn of(text: &str, block: &TextBlock, max: usize) -> Vec<TextAtom> {
    let body = &text[block.range.clone()];
    let parts = match block.kind {
        TextBlockKind::Code => lines(body),
        TextBlockKind::Paragraph | TextBlockKind::Item | TextBlockKind::Heading(_) => sentences(body),
    };
    let small = parts.into_iter().flat_map(|part| split_sentence(body, part, max));
    let mut atoms: Vec<TextAtom> = small
        .filter_map(|part| trimmed(body, part))
        .map(|part| TextAtom {
            tokens: tokens::estimate(&body[part.clone()]) + 1,
            range: block.range.start + part.start..block.range.start + part.end,
            begins_block: false,
            block_tokens: 0,
        })
        .collect();
    let all = atoms.iter().map(|atom| atom.tokens).sum();
    if let Some(first) = atoms.first_mut() {
        first.begins_block = true;
        first.block_tokens = all;
    }
    atoms
}

fn lines(body: &str) -> Vec<Range<usize>> {
    cuts(body, body.match_indices('\n').map(|(at, _)| at + 1))
}

/// Sentences end with a full stop followed by a space; in scripts without spaces, with their own full stop.
fn sentences(body: &str) -> Vec<Range<usize>> {
    let ends = body.char_indices().filter_map(|(at, c)| {
        let behind = at + c.len_utf8();
        let rest = body.get(behind..)?;
        match c {
            '.' | '!' | '?' | '…' => rest.starts_with(char::is_whitespace).then_some(behind),
            '。' | '！' | '？' => Some(behind),
            _ => None,
        }
    });
    cuts(body, ends)
}

/// The ranges between cuts.
fn cuts(body: &str, at: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut begins = 0;
    let mut ranges = Vec::new();
    for end in at.chain([body.len()]) {
        if end > begins {
            ranges.push(begins..end);
            begins = end;
        }
    }
    ranges
}

/// Splits a part that is too large for one chunk: between words if there are any.
fn split_sentence(body: &str, part: Range<usize>, max: usize) -> Vec<Range<usize>> {
    let mut rest = part;
    let mut parts = Vec::new();
    while let Some(limit) = tokens::cut(&body[rest.clone()], max.saturating_sub(1).max(1)) {
        let window = &body[rest.start..rest.start + limit];
        let end = window.rfind(char::is_whitespace).filter(|at| *at > 0).unwrap_or(limit);
        parts.push(rest.start..rest.start + end);
        rest.start += end;
    }
    parts.push(rest);
    parts
}

/// Without whitespace at its ends; `None` if there is nothing else.
fn trimmed(body: &str, part: Range<usize>) -> Option<Range<usize>> {
    let whole = &body[part.clone()];
    let begins = part.start + (whole.len() - whole.trim_start().len());
    let ends = begins + whole.trim().len();
    (ends > begins).then_some(begins..ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atoms(kind: TextBlockKind, text: &str, max: usize) -> Vec<&str> {
        let block = TextBlock { kind, range: 0..text.len() };
        of(text, &block, max).into_iter().map(|atom| &text[atom.range]).collect()
    }

    #[test]
    fn sentences_end_at_stops_and_not_inside_numbers() {
        let text = "It is 3.5 metres. Is it? It is! Yes… And so on";
        let expect = ["It is 3.5 metres.", "Is it?", "It is!", "Yes…", "And so on"];
        assert_eq!(atoms(TextBlockKind::Paragraph, text, 100), expect);
        assert_eq!(atoms(TextBlockKind::Paragraph, "海。山", 100), ["海。", "山"]);
    }

    #[test]
    fn code_is_cut_between_lines() {
        assert_eq!(atoms(TextBlockKind::Code, "```\na. b\n\nc\n```", 100), ["```", "a. b", "c", "```"]);
    }

    #[test]
    fn what_has_no_stop_is_cut_between_words_and_a_long_word_where_it_must() {
        let words = "word ".repeat(50);
        let cut = atoms(TextBlockKind::Paragraph, &words, 20);
        assert!(cut.len() == 4 && cut.iter().all(|part| part.split(' ').all(|word| word == "word")), "{cut:?}");
        let long = atoms(TextBlockKind::Paragraph, "ééééééééééééééééé", 4);
        assert_eq!(long.concat(), "ééééééééééééééééé");
    }
}
