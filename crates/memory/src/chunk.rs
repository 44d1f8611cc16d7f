//! Splits a text into chunks: always at headings, between paragraphs, list items and code blocks where possible, and
//! inside them if they are too large. Chunks of one section overlap a little, so that every sentence keeps some
//! context.

mod atom;
mod block;

use std::ops::Range;

use atom::TextAtom;
use block::{TextBlock, TextBlockKind};

/// Incremented when the same text would be split differently.
const VERSION: u32 = 1;
/// Maximum size of the headings shown with a chunk, in bytes.
const HEADING_BYTES_MAX: usize = 300;

/// The size of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkPolicy {
    /// Maximum estimated tokens of a chunk.
    pub(crate) tokens: usize,
    /// Maximum tokens that a chunk shares with the one before it.
    pub(crate) overlap: usize,
}

/// A chunk of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextChunk {
    /// The headings above it, outermost first.
    pub(crate) heading: String,
    pub(crate) range: Range<usize>,
}

impl ChunkPolicy {
    /// The chunking parameters as a generation stores them.
    pub(crate) fn name(self) -> String {
        format!("{VERSION}/{}/{}", self.tokens, self.overlap)
    }

    /// Parses the chunking parameters of a generation; `None` if this version would split differently.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut numbers = name.split('/').map(str::parse::<usize>);
        let (version, tokens, overlap) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let is_ours = numbers.next().is_none() && u32::try_from(version) == Ok(VERSION) && tokens > 0;
        is_ours.then_some(Self { tokens, overlap })
    }

    /// Splits a text into chunks, in order. Each is a part of the text, and together they contain all of it except
    /// headings and whitespace.
    pub(crate) fn split(self, title: &str, text: &str) -> Vec<TextChunk> {
        let mut chunks = Vec::new();
        let mut path = HeadingPath::new(title);
        let mut section: Vec<TextBlock> = Vec::new();
        for block in block::blocks(text) {
            match block.kind {
                TextBlockKind::Heading(level) => {
                    self.split_section(&path, &std::mem::take(&mut section), text, &mut chunks);
                    path.enter(level, block::heading_words(&text[block.range]));
                }
                TextBlockKind::Paragraph | TextBlockKind::Item | TextBlockKind::Code => section.push(block),
            }
        }
        self.split_section(&path, &section, text, &mut chunks);
        chunks
    }

    fn split_section(self, path: &HeadingPath, section: &[TextBlock], text: &str, chunks: &mut Vec<TextChunk>) {
        let atoms: Vec<TextAtom> = section.iter().flat_map(|block| atom::of(text, block, self.tokens)).collect();
        let mut first = 0;
        while let Some(begins) = atoms.get(first) {
            let next = self.fill(&atoms, first);
            let ends = atoms.get(next - 1).unwrap_or(begins);
            chunks.push(TextChunk { heading: path.line(), range: begins.range.start..ends.range.end });
            first = if next < atoms.len() { self.overlap_start(&atoms, first, next) } else { next };
        }
    }

    /// The index after the last atom of a chunk that begins with `first`. A block that fits into a chunk of its own is
    /// not split.
    fn fill(self, atoms: &[TextAtom], first: usize) -> usize {
        let mut next = first;
        let mut tokens = 0;
        while let Some(atom) = atoms.get(next) {
            let needed = if atom.begins_block { atom.block_tokens.min(self.tokens) } else { atom.tokens };
            if next > first && tokens + needed > self.tokens {
                break;
            }
            tokens += atom.tokens;
            next += 1;
        }
        next
    }

    /// The atom with which the next chunk begins: some way back, but always after the beginning of this one.
    fn overlap_start(self, atoms: &[TextAtom], first: usize, next: usize) -> usize {
        let mut begins = next;
        let mut shared = 0;
        // What follows must fit after the overlap, or the next chunk would contain nothing new.
        let coming = atoms
            .get(next)
            .map_or(0, |atom| if atom.begins_block { atom.block_tokens.min(self.tokens) } else { atom.tokens });
        while begins > first + 1
            && let Some(atom) = atoms.get(begins - 1)
            && shared + atom.tokens <= self.overlap
            && shared + atom.tokens + coming <= self.tokens
        {
            shared += atom.tokens;
            begins -= 1;
        }
        begins
    }
}

/// The headings above a position.
struct HeadingPath {
    title: String,
    headings: Vec<(usize, String)>,
}

impl HeadingPath {
    fn new(title: &str) -> Self {
        Self { title: title.trim().to_owned(), headings: Vec::new() }
    }

    fn enter(&mut self, level: usize, words: &str) {
        while self.headings.last().is_some_and(|(above, _)| *above >= level) {
            self.headings.pop();
        }
        self.headings.push((level, words.to_owned()));
    }

    /// Joins them in one line. The title is not repeated if the text begins with it.
    fn line(&self) -> String {
        let words = self.headings.iter().map(|(_, words)| words.as_str()).filter(|words| *words != self.title);
        let mut all: Vec<&str> = Some(self.title.as_str()).filter(|title| !title.is_empty()).into_iter().collect();
        all.extend(words);
        let mut line = all.join(" > ");
        line.truncate(line.floor_char_boundary(HEADING_BYTES_MAX));
        line
    }
}

#[cfg(test)]
mod tests;
