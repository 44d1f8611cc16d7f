use baton_ports::index::{ChunkBatch, DocumentIndex, DocumentRevision, IndexError, IndexProgress};
use serde_json::json;

use super::super::fixtures::{at, tenant};
use super::{KNOWLEDGE, add, begin, index_write, kept, matching_words, near, only, page, piece, put};

pub async fn pieces_are_found_once_the_last_is_laid(index: &impl DocumentIndex) {
    let live = begin(index).await;
    let kept = put(index, &tenant(), page("a", "one two"), at(1)).await;
    let part = |first, text, is_last| ChunkBatch { first, is_last, ..index_write(kept, vec![piece(text, 0.0)]) };
    assert_eq!(index.add_chunks(&tenant(), live.id, part(0, "one", false)).await.expect("lays"), IndexProgress::Done);
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, [] as [&str; 0]);
    assert_eq!(matching_words(index, &live, &["one"]).await, [] as [&str; 0]);
    assert_eq!(index.add_chunks(&tenant(), live.id, part(1, "two", true)).await.expect("lays"), IndexProgress::Done);
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, ["one", "two"]);
    assert_eq!(matching_words(index, &live, &["one"]).await, ["one"]);
}

pub async fn a_half_laid_document_is_gone_on_with(index: &impl DocumentIndex) {
    let live = begin(index).await;
    let kept = put(index, &tenant(), page("a", "one two"), at(1)).await;
    let part = |first, text, is_last| ChunkBatch { first, is_last, ..index_write(kept, vec![piece(text, 0.0)]) };
    index.add_chunks(&tenant(), live.id, part(0, "one", false)).await.expect("lays");
    for wrong in [0, 2] {
        let laid = index.add_chunks(&tenant(), live.id, part(wrong, "again", false)).await.expect("answers");
        assert_eq!(laid, IndexProgress::ResumeFrom(1));
    }
    index.add_chunks(&tenant(), live.id, part(1, "two", true)).await.expect("lays");
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, ["one", "two"]);
}

pub async fn a_new_revision_takes_the_place_of_the_old_at_once(index: &impl DocumentIndex) {
    let live = begin(index).await;
    add(index, &tenant(), &live, page("a", "the old words"), 0.0).await;
    let kept = put(index, &tenant(), page("a", "the new words"), at(2)).await;
    assert_eq!(matching_words(index, &live, &["words"]).await, ["the old words"]);
    let half = ChunkBatch { is_last: false, ..index_write(kept, vec![piece("the new", 0.0)]) };
    index.add_chunks(&tenant(), live.id, half).await.expect("lays");
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, ["the old words"]);
    let rest = ChunkBatch { first: 1, ..index_write(kept, vec![piece("words", 0.0)]) };
    index.add_chunks(&tenant(), live.id, rest).await.expect("lays");
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, ["the new", "words"]);
    assert_eq!(matching_words(index, &live, &["old", "new"]).await, ["the new"]);
}

pub async fn an_overtaken_laying_writes_nothing(index: &impl DocumentIndex) {
    let live = begin(index).await;
    add(index, &tenant(), &live, page("a", "words"), 0.0).await;
    let DocumentRevision { number, .. } = kept(index, "a").await;
    let again = |number, revision| index_write(DocumentRevision { number, revision }, vec![piece("twice", 0.0)]);
    let (there, elsewhere) = (live.id, live.id + 9);
    for (generation, laying) in [
        (there, again(number, 1)),
        (there, again(number, 2)),
        (there, again(number + 9, 1)),
        (elsewhere, again(number, 1)),
    ] {
        assert_eq!(index.add_chunks(&tenant(), generation, laying).await.expect("answers"), IndexProgress::Superseded);
    }
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, ["words"]);
}

/// As in a slow build that has read a document which was removed in the meantime.
pub async fn pieces_of_a_removed_document_never_become_those_of_another_of_its_name(index: &impl DocumentIndex) {
    let live = begin(index).await;
    let old = put(index, &tenant(), page("a", "what was removed"), at(1)).await;
    index.remove(&tenant(), KNOWLEDGE, "a").await.expect("removes");
    let new = put(index, &tenant(), page("a", "what took its place"), at(2)).await;
    let late = index_write(old, vec![piece("what was removed", 0.0)]);
    assert_eq!(index.add_chunks(&tenant(), live.id, late).await.expect("answers"), IndexProgress::Superseded);
    let laid = index_write(new, vec![piece("what took its place", 0.0)]);
    assert_eq!(index.add_chunks(&tenant(), live.id, laid).await.expect("lays"), IndexProgress::Done);
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, ["what took its place"]);
}

pub async fn a_vector_of_another_space_is_refused(index: &impl DocumentIndex) {
    let live = begin(index).await;
    let kept = put(index, &tenant(), page("a", "words"), at(1)).await;
    let mut short = piece("words", 0.0);
    short.vector.pop();
    let refused = index.add_chunks(&tenant(), live.id, index_write(kept, vec![short])).await.expect_err("is refused");
    assert!(
        matches!(refused, IndexError::Invalid { .. }) && refused.to_string().contains("71 dimensions"),
        "{refused}"
    );
    let found = index.search_vectors(&tenant(), live.id, &[1.0], &only(json!({})), 10).await.expect("answers");
    assert_eq!(found, []);
}

pub async fn a_document_without_text_is_laid_without_pieces(index: &impl DocumentIndex) {
    let live = begin(index).await;
    let kept = put(index, &tenant(), page("a", ""), at(1)).await;
    assert_eq!(
        index.add_chunks(&tenant(), live.id, index_write(kept, Vec::new())).await.expect("lays"),
        IndexProgress::Done
    );
    assert_eq!(index.unindexed(&tenant(), live.id, None, 10).await.expect("reads"), []);
}

pub async fn counts_are_of_what_can_be_found(index: &impl DocumentIndex) {
    let live = begin(index).await;
    let counts = async || {
        let all = index.generations(&tenant(), KNOWLEDGE).await.expect("reads");
        all.first().map(|live| (live.documents, live.pieces))
    };
    for name in ["a", "b"] {
        add(index, &tenant(), &live, page(name, name), 0.0).await;
    }
    assert_eq!(counts().await, Some((2, 2)));
    let kept = put(index, &tenant(), page("a", "more"), at(1)).await;
    let pieces = vec![piece("m", 0.0), piece("o", 0.0), piece("re", 0.0)];
    index.add_chunks(&tenant(), live.id, index_write(kept, pieces)).await.expect("lays");
    assert_eq!(counts().await, Some((2, 4)));
    index.remove(&tenant(), KNOWLEDGE, "a").await.expect("removes");
    assert_eq!(counts().await, Some((1, 1)));
}
