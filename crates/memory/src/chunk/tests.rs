use proptest::prelude::*;

use super::*;
use crate::tokens;

const SMALL: ChunkPolicy = ChunkPolicy { tokens: 20, overlap: 6 };

fn cut(chunking: ChunkPolicy, text: &str) -> Vec<(String, &str)> {
    chunking.split("Water", text).into_iter().map(|chunk| (chunk.heading, &text[chunk.range])).collect()
}

#[test]
fn a_piece_never_reaches_over_a_heading_and_names_those_above_it() {
    let text = "# Water\n\nIntro.\n\n## Ice\n\nCold.\n\n### Sea ice\n\nSalty.\n\n## Steam\n\nHot.\n";
    let found = cut(SMALL, text);
    let expect =
        [("Water", "Intro."), ("Water > Ice", "Cold."), ("Water > Ice > Sea ice", "Salty."), ("Water > Steam", "Hot.")];
    assert_eq!(found, expect.map(|(heading, text)| (heading.to_owned(), text)));
}

#[test]
fn a_paragraph_that_fits_into_a_piece_is_not_torn() {
    let text = "A first paragraph of a few words.\n\nA second paragraph. It has two sentences in it, and fits.\n";
    let texts: Vec<&str> = cut(SMALL, text).into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        texts,
        ["A first paragraph of a few words.", "A second paragraph. It has two sentences in it, and fits."]
    );
}

#[test]
fn pieces_of_a_section_overlap_by_whole_sentences() {
    let text = "One is here. Two is here. Three is here. Four is here. Five is here. Six is here. Seven is here.";
    let texts: Vec<&str> = cut(SMALL, text).into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        texts,
        [
            "One is here. Two is here. Three is here. Four is here.",
            "Four is here. Five is here. Six is here. Seven is here."
        ]
    );
}

#[test]
fn items_of_a_list_stay_whole() {
    let text = "- the first item of all\n- the second item here\n- the third item there\n- the last item\n";
    for (_, text) in cut(SMALL, text) {
        assert!(text.starts_with("- "), "{text}");
    }
}

#[test]
fn nothing_has_no_pieces() {
    assert_eq!(cut(SMALL, ""), []);
    assert_eq!(cut(SMALL, " \n\n\t\n"), []);
    assert_eq!(cut(SMALL, "# Only\n\n## Headings\n"), []);
}

#[test]
fn the_name_tells_what_was_cut_how() {
    assert_eq!(SMALL.name(), "1/20/6");
    assert_eq!(ChunkPolicy::parse("1/20/6"), Some(SMALL));
    for other in ["", "2/20/6", "1/20", "1/20/6/7", "1/0/0", "1/x/6"] {
        assert_eq!(ChunkPolicy::parse(other), None, "{other}");
    }
}

/// Checks what must hold for every text.
fn check(chunking: ChunkPolicy, text: &str) {
    let chunks = chunking.split("T", text);
    let mut covered = vec![false; text.len()];
    let mut begun = None;
    for chunk in &chunks {
        let piece = &text[chunk.range.clone()];
        assert!(!piece.trim().is_empty() && piece.trim() == piece, "{piece:?}");
        assert!(begun < Some(chunk.range.start), "each begins behind the one before");
        begun = Some(chunk.range.start);
        covered[chunk.range.clone()].fill(true);
    }
    for block in block::blocks(text).into_iter().filter(|block| !matches!(block.kind, TextBlockKind::Heading(_))) {
        let lost = text[block.range.clone()]
            .char_indices()
            .find(|(at, c)| !c.is_whitespace() && !covered[block.range.start + at]);
        assert_eq!(lost, None, "in {text:?}");
    }
}

/// Checks the tokens of a chunk as its atoms count them: one more for each break between them.
fn is_small_enough(chunking: ChunkPolicy, piece: &str) -> bool {
    // Whitespace between atoms belongs to the chunk and not to the atoms.
    tokens::estimate(&piece.split_whitespace().collect::<Vec<_>>().join(" ")) <= chunking.tokens
}

proptest! {
    #[test]
    fn every_text_is_cut_whole_and_small(
        text in "[a-zé漢 .!?\\n#`*0-9-]{0,400}",
        tokens in 8_usize..60,
        overlap in 0_usize..20,
    ) {
        let chunking = ChunkPolicy { tokens, overlap };
        check(chunking, &text);
        for (_, piece) in cut(chunking, &text) {
            prop_assert!(is_small_enough(chunking, piece), "{piece:?} over {tokens}");
        }
    }
}

#[test]
fn hostile_texts_are_cut_quickly() {
    for text in
        ["a".repeat(1 << 20), "# ".repeat(1 << 19), "é ".repeat(1 << 18), "- \n".repeat(1 << 18), ".\n".repeat(1 << 19)]
    {
        check(ChunkPolicy { tokens: 240, overlap: 40 }, &text);
    }
}
