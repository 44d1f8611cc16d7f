use baton_ports::index::{DocumentFilter, DocumentIndex, HITS_MAX, MemoryCollection};
use serde_json::json;

use super::super::fixtures::{at, other_tenant, tenant};
use super::{KNOWLEDGE, about, add, begin, matching_words, near, only, page, recipe, shared_with, towards, with};

pub async fn the_nearest_come_first(index: &impl DocumentIndex) {
    let live = begin(index).await;
    for (name, degrees) in [("far", 80.0), ("near", 10.0), ("here", 0.0), ("opposite", 180.0)] {
        add(index, &tenant(), &live, page(name, name), degrees).await;
    }
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, ["here", "near", "far", "opposite"]);
    let hits =
        index.search_vectors(&tenant(), live.id, &towards(0.0), &DocumentFilter::default(), 4).await.expect("searches");
    let expect = [1.0, 10_f64.to_radians().cos(), 80_f64.to_radians().cos(), -1.0];
    for (hit, expect) in hits.iter().zip(expect) {
        assert!((hit.score - expect).abs() < 1e-5, "{hit:?} is not {expect}");
    }
}

pub async fn the_rarer_word_weighs_more(index: &impl DocumentIndex) {
    let live = begin(index).await;
    for (name, text) in [("a", "water runs"), ("b", "water falls"), ("c", "water stands"), ("d", "the moon pulls")] {
        add(index, &tenant(), &live, page(name, text), 0.0).await;
    }
    assert_eq!(
        matching_words(index, &live, &["water", "stands"]).await.first().map(String::as_str),
        Some("water stands")
    );
    assert_eq!(matching_words(index, &live, &["MOON"]).await, ["the moon pulls"]);
    assert_eq!(matching_words(index, &live, &["sun"]).await, [] as [&str; 0]);
    assert_eq!(matching_words(index, &live, &[]).await, [] as [&str; 0]);
}

pub async fn a_word_of_the_heading_is_found(index: &impl DocumentIndex) {
    let live = begin(index).await;
    add(index, &tenant(), &live, page("a", "it says nothing"), 0.0).await;
    assert_eq!(matching_words(index, &live, &["heading"]).await, ["it says nothing"]);
}

pub async fn no_syntax_is_read_into_words(index: &impl DocumentIndex) {
    let live = begin(index).await;
    add(index, &tenant(), &live, page("a", "plain words"), 0.0).await;
    for hostile in ["\"", "plain\" OR \"x", "NEAR(", "*", "text:plain", "-", "^", "'; DROP TABLE x; --", "", "\0", "é"]
    {
        matching_words(index, &live, &[hostile]).await;
        assert_eq!(matching_words(index, &live, &[hostile, "plain"]).await, ["plain words"], "{hostile}");
    }
}

pub async fn filters_ask_for_values_and_persons(index: &impl DocumentIndex) {
    let live = begin(index).await;
    let documents = [
        ("a", Some("ana"), json!({"topic": "sea", "year": 2024, "tags": ["x", "y"]})),
        ("b", Some("ben"), json!({"topic": "sea", "year": 2025, "draft": true})),
        ("c", None, json!({"topic": "land", "year": 2024.5, "tags": ["y"]})),
    ];
    for (name, subject, metadata) in documents {
        add(index, &tenant(), &live, with(page(name, name), subject, metadata), 0.0).await;
    }
    let cases = [
        (only(json!({"topic": "sea"})), vec!["a", "b"]),
        (only(json!({"topic": ["sea", "land"]})), vec!["a", "b", "c"]),
        (only(json!({"topic": "sea", "year": 2025})), vec!["b"]),
        (only(json!({"year": 2024.0})), vec!["a"]),
        (only(json!({"year": 2024.5})), vec!["c"]),
        (only(json!({"tags": "y"})), vec!["a", "c"]),
        (only(json!({"draft": true})), vec!["b"]),
        (only(json!({"draft": "true"})), vec![]),
        (only(json!({"nowhere": 1})), vec![]),
        (only(json!({"topic": []})), vec![]),
        (about("ana"), vec!["a"]),
        (shared_with(None), vec!["c"]),
        (shared_with(Some("ben")), vec!["b", "c"]),
        (shared_with(Some("nobody")), vec!["c"]),
        (DocumentFilter { metadata: only(json!({"topic": "land"})).metadata, ..about("ben") }, vec![]),
        (DocumentFilter { metadata: only(json!({"topic": "sea"})).metadata, ..shared_with(Some("ana")) }, vec!["a"]),
    ];
    for (filter, expect) in cases {
        let mut found = near(index, &live, 0.0, &filter).await;
        found.sort();
        assert_eq!(found, expect, "{filter:?}");
        let words = ["a", "b", "c"].map(str::to_owned);
        let found = index.search_words(&tenant(), live.id, &words, &filter, 10).await.expect("searches");
        assert_eq!(found.len(), expect.len(), "{filter:?}");
    }
}

pub async fn a_filter_that_little_meets_still_fills_the_answer(index: &impl DocumentIndex) {
    let live = begin(index).await;
    for number in 0..600_u16 {
        let kind = if number % 100 == 0 { "rare" } else { "usual" };
        let degrees = f32::from(number) / 10.0;
        let document = with(page(&format!("{number:03}"), kind), None, json!({"kind": kind}));
        add(index, &tenant(), &live, document, degrees).await;
    }
    let filter = only(json!({"kind": "rare"}));
    assert_eq!(near(index, &live, 0.0, &filter).await.len(), 6);
    let words = ["usual".to_owned(), "rare".to_owned()];
    let found = index.search_words(&tenant(), live.id, &words, &filter, 10).await.expect("searches");
    assert_eq!(found.len(), 6);
}

pub async fn no_more_is_found_than_was_asked_for(index: &impl DocumentIndex) {
    let live = begin(index).await;
    for number in 0..HITS_MAX + 10 {
        add(index, &tenant(), &live, page(&format!("{number}"), "same words"), 0.0).await;
    }
    for (limit, expect) in [(0, 0), (3, 3), (HITS_MAX + 10, HITS_MAX)] {
        let near = index.search_vectors(&tenant(), live.id, &towards(0.0), &DocumentFilter::default(), limit).await;
        let words = ["words".to_owned()];
        let holding = index.search_words(&tenant(), live.id, &words, &DocumentFilter::default(), limit).await;
        assert_eq!((near.expect("searches").len(), holding.expect("searches").len()), (expect, expect));
    }
}

pub async fn passages_tell_where_they_are_from(index: &impl DocumentIndex) {
    let live = begin(index).await;
    add(index, &tenant(), &live, with(page("a", "words"), Some("ana"), json!({"k": 1})), 0.0).await;
    add(index, &tenant(), &live, page("b", "others"), 90.0).await;
    let hits =
        index.search_vectors(&tenant(), live.id, &towards(0.0), &DocumentFilter::default(), 2).await.expect("searches");
    let pieces: Vec<u64> = [hits[1].piece, 999_999, hits[0].piece].into();
    let passages = index.passages(&tenant(), live.id, &pieces).await.expect("reads");
    assert_eq!(passages.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["others", "words"]);
    let words = &passages[1];
    assert_eq!((words.begins, words.ends, words.number), (0, 5, 0));
    assert_eq!((words.heading.as_str(), words.document.title.as_str()), ("Title > Heading", "About a"));
    assert_eq!((words.document.subject.as_deref(), &words.document.metadata["k"]), (Some("ana"), &json!(1)));
}

pub async fn nothing_crosses_tenants_or_collections(index: &impl DocumentIndex) {
    let live = begin(index).await;
    add(index, &tenant(), &live, page("a", "secret words"), 0.0).await;
    let words = ["secret".to_owned()];
    let (all, vector) = (DocumentFilter::default(), towards(0.0));
    let theirs = other_tenant();
    assert_eq!(index.search_vectors(&theirs, live.id, &vector, &all, 9).await.expect("answers"), []);
    assert_eq!(index.search_words(&theirs, live.id, &words, &all, 9).await.expect("answers"), []);
    assert_eq!(index.unindexed(&theirs, live.id, None, 9).await.expect("answers"), []);
    assert_eq!(index.document(&theirs, KNOWLEDGE, "a").await.expect("answers"), None);
    assert!(!index.remove(&theirs, KNOWLEDGE, "a").await.expect("answers"));
    index.discard(&theirs, live.id).await.expect("answers");
    let hits = index.search_vectors(&tenant(), live.id, &vector, &all, 9).await.expect("searches");
    let piece = [hits[0].piece];
    assert_eq!(index.passages(&theirs, live.id, &piece).await.expect("answers"), []);
    let own = index.begin(&theirs, KNOWLEDGE, &recipe("1"), at(1)).await.expect("begins");
    assert_eq!(index.passages(&theirs, own.id, &piece).await.expect("answers"), []);
    assert_eq!(index.document(&tenant(), MemoryCollection::Conversations, "a").await.expect("answers"), None);
    let other = index.begin(&tenant(), MemoryCollection::Conversations, &recipe("1"), at(1)).await.expect("begins");
    assert_eq!(index.search_words(&tenant(), other.id, &words, &all, 9).await.expect("answers"), []);
}

pub async fn another_tenants_words_change_no_score(index: &impl DocumentIndex) {
    let live = begin(index).await;
    for (name, text) in [("a", "salt in water"), ("b", "ice on water"), ("c", "stars at night")] {
        add(index, &tenant(), &live, page(name, text), 0.0).await;
    }
    let words = ["salt".to_owned(), "water".to_owned()];
    let scores =
        async || index.search_words(&tenant(), live.id, &words, &DocumentFilter::default(), 9).await.expect("searches");
    let before = scores().await;
    assert_eq!(before.len(), 2);
    let theirs = index.begin(&other_tenant(), KNOWLEDGE, &recipe("1"), at(1)).await.expect("begins");
    for number in 0..20 {
        add(index, &other_tenant(), &theirs, page(&format!("{number}"), "salt salt salt"), 0.0).await;
    }
    assert_eq!(scores().await, before);
}
