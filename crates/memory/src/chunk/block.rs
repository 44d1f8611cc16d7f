//! The blocks of a text, as Markdown defines them. Plain text consists of paragraphs.

use std::ops::Range;

/// The kind of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextBlockKind {
    /// A heading of this level, from 1.
    Heading(usize),
    Paragraph,
    /// A list item, with the content indented under it.
    Item,
    /// A fenced block, including its fences.
    Code,
}

/// One block; its range has no blank line at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextBlock {
    pub(super) kind: TextBlockKind,
    pub(super) range: Range<usize>,
}

/// Markdown's deepest heading level; deeper ones are not headings.
const LEVELS: usize = 6;
/// Maximum digits of a list number.
const DIGITS_MAX: usize = 9;

pub(super) fn blocks(text: &str) -> Vec<TextBlock> {
    let mut reader = BlockReader::default();
    let mut begins = 0;
    for line in text.split_inclusive('\n') {
        let ends = begins + line.len();
        reader.line(line.trim_end(), begins..begins + line.trim_end().len());
        begins = ends;
    }
    reader.close();
    reader.blocks
}

#[derive(Default)]
struct BlockReader {
    blocks: Vec<TextBlock>,
    /// The block being read.
    open: Option<TextBlock>,
    /// The fence that ends the current code block.
    fence: Option<(char, usize)>,
}

impl BlockReader {
    fn line(&mut self, line: &str, range: Range<usize>) {
        if let Some(fence) = self.fence {
            self.extend(range);
            if closes(line, fence) {
                self.close();
            }
            return;
        }
        let content = line.trim_start();
        if content.is_empty() {
            self.blank();
        } else if let Some(fence) = opens(content) {
            self.begin(TextBlockKind::Code, range);
            self.fence = Some(fence);
        } else if let Some(level) = heading(content) {
            self.begin(TextBlockKind::Heading(level), range);
            self.close();
        } else if is_item(content) {
            self.begin(TextBlockKind::Item, range);
        } else if self.goes_on(line) {
            self.extend(range);
        } else {
            self.begin(TextBlockKind::Paragraph, range);
        }
    }

    /// An item continues after a blank line if the next line is indented.
    fn blank(&mut self) {
        if !matches!(self.open, Some(TextBlock { kind: TextBlockKind::Item, .. })) {
            self.close();
        }
    }

    /// Whether a plain line belongs to the open block.
    fn goes_on(&self, line: &str) -> bool {
        match &self.open {
            Some(TextBlock { kind: TextBlockKind::Item, .. }) => line.starts_with([' ', '\t']),
            Some(TextBlock { kind: TextBlockKind::Paragraph | TextBlockKind::Code, .. }) => true,
            Some(TextBlock { kind: TextBlockKind::Heading(_), .. }) | None => false,
        }
    }

    fn begin(&mut self, kind: TextBlockKind, range: Range<usize>) {
        self.close();
        self.open = Some(TextBlock { kind, range });
    }

    fn extend(&mut self, range: Range<usize>) {
        if let Some(open) = &mut self.open {
            open.range.end = range.end.max(open.range.end);
        }
    }

    fn close(&mut self) {
        self.fence = None;
        self.blocks.extend(self.open.take());
    }
}

fn heading(content: &str) -> Option<usize> {
    let level = content.chars().take_while(|c| *c == '#').count();
    let is_heading = (1..=LEVELS).contains(&level) && content.get(level..).is_some_and(|rest| rest.starts_with(' '));
    is_heading.then_some(level)
}

/// The text of a heading line.
pub(super) fn heading_words(line: &str) -> &str {
    line.trim().trim_matches('#').trim()
}

fn opens(content: &str) -> Option<(char, usize)> {
    let mark = content.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = content.chars().take_while(|c| *c == mark).count();
    (length >= 3).then_some((mark, length))
}

fn closes(line: &str, (mark, length): (char, usize)) -> bool {
    let content = line.trim();
    content.chars().count() >= length && content.chars().all(|c| c == mark)
}

fn is_item(content: &str) -> bool {
    let mut rest = content.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = content.len() - rest.len();
    let marks: &[char] = if digits == 0 { &['-', '*', '+'] } else { &['.', ')'] };
    match rest.strip_prefix(marks) {
        Some(after) => rest = after,
        None => return false,
    }
    digits <= DIGITS_MAX && rest.starts_with([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(TextBlockKind, &str)> {
        blocks(text).into_iter().map(|block| (block.kind, &text[block.range])).collect()
    }

    #[test]
    fn headings_paragraphs_items_and_code_are_told_apart() {
        let text = "# Title\nFirst line\nsecond line\n\n## Deeper ##\n- one\n  more of one\n- two\n1. three\n\n\
                    ```rust\n# not a heading\n\nfn a() {}\n```\nafter\n";
        assert_eq!(
            kinds(text),
            [
                (TextBlockKind::Heading(1), "# Title"),
                (TextBlockKind::Paragraph, "First line\nsecond line"),
                (TextBlockKind::Heading(2), "## Deeper ##"),
                (TextBlockKind::Item, "- one\n  more of one"),
                (TextBlockKind::Item, "- two"),
                (TextBlockKind::Item, "1. three"),
                (TextBlockKind::Code, "```rust\n# not a heading\n\nfn a() {}\n```"),
                (TextBlockKind::Paragraph, "after"),
            ]
        );
        assert_eq!(heading_words("## Deeper ##"), "Deeper");
    }

    #[test]
    fn an_item_goes_on_while_it_is_indented() {
        assert_eq!(kinds("- a\n\n  b\n\nc"), [(TextBlockKind::Item, "- a\n\n  b"), (TextBlockKind::Paragraph, "c")]);
    }

    #[test]
    fn what_only_looks_like_a_mark_is_a_paragraph() {
        for plain in ["#hashtag", "####### seven", "-5 degrees", "2024.5", "a - b", "``inline``", "1234567890. far"] {
            assert_eq!(kinds(plain), [(TextBlockKind::Paragraph, plain)]);
        }
    }

    #[test]
    fn a_fence_that_never_closes_ends_with_the_text() {
        assert_eq!(kinds("~~~\na\n\n# b"), [(TextBlockKind::Code, "~~~\na\n\n# b")]);
    }

    #[test]
    fn lines_may_end_as_on_windows() {
        assert_eq!(
            kinds("# A\r\n\r\nb\r\nc\r\n"),
            [(TextBlockKind::Heading(1), "# A"), (TextBlockKind::Paragraph, "b\r\nc")]
        );
    }
}
