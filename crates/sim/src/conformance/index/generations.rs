use baton_ports::index::{DocumentIndex, IndexProgress, MemoryCollection, SwitchResult};
use serde_json::json;

use super::super::fixtures::{at, other_tenant, tenant};
use super::{KNOWLEDGE, add, begin, index_write, kept, matching_words, near, only, page, piece, put, recipe};

pub async fn the_first_generation_answers_at_once(index: &impl DocumentIndex) {
    assert_eq!(index.generations(&tenant(), KNOWLEDGE).await.expect("reads"), []);
    let first = begin(index).await;
    assert!(first.live);
    assert_eq!((&first.recipe, first.pieces, first.begun_at), (&recipe("1"), 0, at(1)));
    assert_eq!(index.generations(&tenant(), KNOWLEDGE).await.expect("reads"), [first]);
    assert_eq!(index.generations(&tenant(), MemoryCollection::Executions).await.expect("reads"), []);
    assert_eq!(index.generations(&other_tenant(), KNOWLEDGE).await.expect("reads"), []);
}

pub async fn the_next_is_built_beside_it_and_gone_on_with(index: &impl DocumentIndex) {
    let live = begin(index).await;
    let next = index.begin(&tenant(), KNOWLEDGE, &recipe("2"), at(2)).await.expect("begins");
    assert!(!next.live && next.id != live.id);
    assert_eq!(index.begin(&tenant(), KNOWLEDGE, &recipe("2"), at(3)).await.expect("begins"), next);
    assert_eq!(index.generations(&tenant(), KNOWLEDGE).await.expect("reads"), [live, next]);
}

pub async fn another_recipe_takes_the_place_of_a_build(index: &impl DocumentIndex) {
    let live = begin(index).await;
    add(index, &tenant(), &live, page("a", "words"), 0.0).await;
    let second = index.begin(&tenant(), KNOWLEDGE, &recipe("2"), at(2)).await.expect("begins");
    let laid = index
        .add_chunks(&tenant(), second.id, index_write(kept(index, "a").await, vec![piece("words", 0.0)]))
        .await
        .expect("lays");
    assert_eq!(laid, IndexProgress::Done);
    let third = index.begin(&tenant(), KNOWLEDGE, &recipe("3"), at(3)).await.expect("begins");
    let all = index.generations(&tenant(), KNOWLEDGE).await.expect("reads");
    assert_eq!(all.iter().map(|one| one.id).collect::<Vec<_>>(), [live.id, third.id]);
    assert_eq!(index.make_live(&tenant(), second.id).await.expect("answers"), SwitchResult::Gone);
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, ["words"]);
}

pub async fn a_build_answers_once_every_document_is_laid_in_it(index: &impl DocumentIndex) {
    let live = begin(index).await;
    for name in ["a", "b"] {
        add(index, &tenant(), &live, page(name, name), 0.0).await;
    }
    let next = index.begin(&tenant(), KNOWLEDGE, &recipe("2"), at(2)).await.expect("begins");
    let waiting = index.unindexed(&tenant(), next.id, None, 10).await.expect("reads");
    assert_eq!(waiting.iter().map(|head| head.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(index.make_live(&tenant(), next.id).await.expect("answers"), SwitchResult::Incomplete { documents: 2 });
    for head in waiting {
        // In the meantime the other generation answers.
        assert_eq!(matching_words(index, &live, &["a"]).await, ["a"]);
        let pieces = vec![piece(&format!("new {}", head.name), 0.0)];
        index.add_chunks(&tenant(), next.id, index_write(kept(index, &head.name).await, pieces)).await.expect("lays");
    }
    assert_eq!(index.unindexed(&tenant(), next.id, None, 10).await.expect("reads"), []);
    assert_eq!(index.make_live(&tenant(), next.id).await.expect("switches"), SwitchResult::Done);
    assert_eq!(index.make_live(&tenant(), next.id).await.expect("switches"), SwitchResult::Done);
    let all = index.generations(&tenant(), KNOWLEDGE).await.expect("reads");
    assert_eq!(all.iter().map(|one| (one.id, one.live, one.pieces)).collect::<Vec<_>>(), [(next.id, true, 2)]);
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, [] as [&str; 0]);
    assert_eq!(matching_words(index, &next, &["a", "b"]).await.len(), 2);
}

pub async fn what_changes_during_a_build_must_be_laid_in_it_too(index: &impl DocumentIndex) {
    let live = begin(index).await;
    add(index, &tenant(), &live, page("a", "first"), 0.0).await;
    let next = index.begin(&tenant(), KNOWLEDGE, &recipe("2"), at(2)).await.expect("begins");
    index
        .add_chunks(&tenant(), next.id, index_write(kept(index, "a").await, vec![piece("first", 0.0)]))
        .await
        .expect("lays");
    let second = put(index, &tenant(), page("a", "second"), at(3)).await;
    assert_eq!(index.make_live(&tenant(), next.id).await.expect("answers"), SwitchResult::Incomplete { documents: 1 });
    // The build may be ahead of the live generation, which keeps what it has.
    index.add_chunks(&tenant(), next.id, index_write(second, vec![piece("second", 0.0)])).await.expect("lays");
    assert_eq!(matching_words(index, &live, &["first", "second"]).await, ["first"]);
    assert_eq!(index.make_live(&tenant(), next.id).await.expect("switches"), SwitchResult::Done);
    assert_eq!(matching_words(index, &next, &["first", "second"]).await, ["second"]);
}

pub async fn a_discarded_build_leaves_what_answers(index: &impl DocumentIndex) {
    let live = begin(index).await;
    add(index, &tenant(), &live, page("a", "words"), 0.0).await;
    let next = index.begin(&tenant(), KNOWLEDGE, &recipe("2"), at(2)).await.expect("begins");
    index
        .add_chunks(&tenant(), next.id, index_write(kept(index, "a").await, vec![piece("words", 0.0)]))
        .await
        .expect("lays");
    index.discard(&tenant(), next.id).await.expect("discards");
    index.discard(&tenant(), live.id).await.expect("discards nothing that answers");
    let all = index.generations(&tenant(), KNOWLEDGE).await.expect("reads");
    assert_eq!(all.iter().map(|one| one.id).collect::<Vec<_>>(), [live.id]);
    assert_eq!(matching_words(index, &live, &["words"]).await, ["words"]);
    assert_eq!(matching_words(index, &next, &["words"]).await, [] as [&str; 0]);
}
