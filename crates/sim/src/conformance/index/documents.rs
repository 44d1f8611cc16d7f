use baton_ports::index::{
    DocumentIndex, ForgetWatermark, IndexError, METADATA_FIELDS_MAX, MemoryCollection, NAME_BYTES_MAX, TEXT_BYTES_MAX,
};
use serde_json::{Map, Value, json};

use super::super::fixtures::{at, other_tenant, tenant};
use super::{EARLIEST, KNOWLEDGE, add, begin, matching_words, near, only, page, put, with};

pub async fn a_document_is_read_back_with_its_revision(index: &impl DocumentIndex) {
    let mut document = with(page("tides", "Twice a day"), Some("ana"), json!({"topic": "sea", "levels": [1, 2]}));
    document.body = json!({"source": "own"});
    assert_eq!(put(index, &tenant(), document.clone(), at(7)).await.revision, 1);
    let stored = index.document(&tenant(), KNOWLEDGE, "tides").await.expect("reads").expect("is there");
    assert_eq!((stored.head.revision, stored.head.at), (1, at(7)));
    assert_eq!((&stored.head.title, &stored.head.subject), (&document.title, &document.subject));
    assert_eq!((stored.head.metadata, stored.text, stored.body), (document.metadata, document.text, document.body));
    assert_eq!(index.document(&tenant(), KNOWLEDGE, "rivers").await.expect("reads"), None);
}

pub async fn the_same_document_again_is_no_revision(index: &impl DocumentIndex) {
    let document = || with(page("tides", "Twice a day"), None, json!({"topic": "sea"}));
    for later in 0..3 {
        assert_eq!(put(index, &tenant(), document(), at(later)).await.revision, 1);
    }
    let stored = index.document(&tenant(), KNOWLEDGE, "tides").await.expect("reads").expect("is there");
    assert_eq!(stored.head.at, at(0));
}

pub async fn a_changed_document_is_the_next_revision(index: &impl DocumentIndex) {
    let base = || page("tides", "Twice a day");
    let mut body = base();
    body.body = json!(1);
    let mut title = base();
    title.title = "Other".into();
    let changes = [
        base(),
        page("tides", "Four times a day"),
        with(base(), Some("ana"), json!({})),
        with(base(), None, json!({"topic": "sea"})),
        body,
        title,
    ];
    for (revision, document) in (1..).zip(changes) {
        assert_eq!(put(index, &tenant(), document, at(0)).await.revision, revision);
    }
}

pub async fn documents_are_listed_by_name_behind_a_place(index: &impl DocumentIndex) {
    for name in ["c", "a", "b"] {
        put(index, &tenant(), page(name, name), at(0)).await;
    }
    put(index, &other_tenant(), page("d", "d"), at(0)).await;
    let names = async |after, limit| -> Vec<String> {
        let heads = index.documents(&tenant(), KNOWLEDGE, after, limit).await.expect("reads");
        heads.into_iter().map(|head| head.name).collect()
    };
    assert_eq!(names(None, 10).await, ["a", "b", "c"]);
    assert_eq!(names(None, 2).await, ["a", "b"]);
    assert_eq!(names(Some("b"), 10).await, ["c"]);
}

pub async fn what_breaks_a_limit_is_refused_by_name(index: &impl DocumentIndex) {
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    let fields: Map<String, Value> = (0..=METADATA_FIELDS_MAX).map(|n| (format!("k{n}"), json!(n))).collect();
    let cases = [
        (page(&long, ""), "a document's name"),
        (page("", "x"), "a document's name: it is empty"),
        (page("a\nb", "x"), "control character"),
        (page("a", &"x".repeat(TEXT_BYTES_MAX + 1)), "a document's text"),
        (with(page("a", "x"), Some(&long), json!({})), "a document's subject"),
        (with(page("a", "x"), None, Value::Object(fields)), "a document's metadata"),
        (with(page("a", "x"), None, json!({"where": {"is": "it"}})), "`where`"),
        (with(page("a", "x"), None, json!({"where": [["it"]]})), "`where`"),
        (with(page("a", "x"), None, json!({"k": "v".repeat(600)})), "a metadata value"),
    ];
    for (document, expect) in cases {
        let refused = index.put(&tenant(), KNOWLEDGE, document, EARLIEST, at(0)).await.expect_err(expect);
        assert!(matches!(refused, IndexError::TooLarge { .. } | IndexError::Invalid { .. }), "{refused:?}");
        assert!(refused.to_string().contains(expect), "{refused} for {expect}");
    }
    assert_eq!(index.documents(&tenant(), KNOWLEDGE, None, 10).await.expect("reads"), []);
}

pub async fn a_removed_document_is_found_no_more(index: &impl DocumentIndex) {
    let live = begin(index).await;
    add(index, &tenant(), &live, with(page("a", "gone soon"), None, json!({"k": "v"})), 0.0).await;
    add(index, &tenant(), &live, with(page("b", "here to stay"), None, json!({"k": "v"})), 5.0).await;
    assert!(index.remove(&tenant(), KNOWLEDGE, "a").await.expect("removes"));
    assert!(!index.remove(&tenant(), KNOWLEDGE, "a").await.expect("removes"));
    assert_eq!(index.document(&tenant(), KNOWLEDGE, "a").await.expect("reads"), None);
    assert_eq!(near(index, &live, 0.0, &only(json!({"k": "v"}))).await, ["here to stay"]);
    assert_eq!(matching_words(index, &live, &["gone", "soon", "stay"]).await, ["here to stay"]);
    // Under its old name it is a new document.
    add(index, &tenant(), &live, page("a", "back again"), 0.0).await;
    assert_eq!(matching_words(index, &live, &["gone", "soon", "back"]).await, ["back again"]);
}

pub async fn one_persons_documents_go_and_nobody_elses(index: &impl DocumentIndex) {
    let live = begin(index).await;
    for number in 0..70_u8 {
        let name = format!("ana-{number}");
        add(index, &tenant(), &live, with(page(&name, "about ana"), Some("ana"), json!({})), 0.0).await;
    }
    add(index, &tenant(), &live, with(page("b", "about ben"), Some("ben"), json!({})), 1.0).await;
    add(index, &tenant(), &live, page("c", "about nobody"), 2.0).await;
    let theirs = index.begin(&other_tenant(), KNOWLEDGE, &super::recipe("1"), at(1)).await.expect("begins");
    add(index, &other_tenant(), &theirs, with(page("a", "about ana"), Some("ana"), json!({})), 0.0).await;

    assert_eq!(index.forget(&tenant(), KNOWLEDGE, "ana", at(3)).await.expect("forgets"), 70);
    assert_eq!(index.forget(&tenant(), KNOWLEDGE, "ana", at(3)).await.expect("forgets"), 0);
    assert_eq!(near(index, &live, 0.0, &only(json!({}))).await, ["about ben", "about nobody"]);
    assert_eq!(matching_words(index, &live, &["ana"]).await, [] as [&str; 0]);
    assert!(index.document(&other_tenant(), KNOWLEDGE, "a").await.expect("reads").is_some());
}

/// Must hold whatever the order of the numbers and the clock: the later of the two decides that it was forgotten.
pub async fn what_began_before_a_person_was_forgotten_is_not_kept(index: &impl DocumentIndex) {
    let hers = |name: &str| with(page(name, "about ana"), Some("ana"), json!({}));
    let tried = async |document, since| {
        index.put(&tenant(), KNOWLEDGE, document, since, at(9)).await.expect("answers").is_some()
    };
    let before =
        ForgetWatermark { forget_count: index.forget_count(&tenant(), KNOWLEDGE).await.expect("reads"), at: at(5) };
    assert_eq!(before.forget_count, 0);
    put(index, &tenant(), hers("early"), at(1)).await;
    assert_eq!(index.forget(&tenant(), KNOWLEDGE, "ana", at(5)).await.expect("forgets"), 1);
    let after =
        ForgetWatermark { forget_count: index.forget_count(&tenant(), KNOWLEDGE).await.expect("reads"), at: at(5) };
    assert_eq!(after.forget_count, 1);
    assert!(!tried(hers("late"), before).await, "it began before");
    assert!(!tried(hers("late"), ForgetWatermark { at: at(4), ..after }).await, "it began before, and asked after");
    assert_eq!(index.documents(&tenant(), KNOWLEDGE, None, 10).await.expect("reads"), []);
    // Other people are not affected, here or elsewhere, and operations that begin afterwards are stored.
    assert!(tried(with(page("b", "about ben"), Some("ben"), json!({})), before).await);
    assert!(tried(page("c", "about nobody"), before).await);
    let elsewhere =
        index.put(&tenant(), MemoryCollection::Executions, hers("x"), before, at(9)).await.expect("answers");
    assert!(elsewhere.is_some());
    let theirs = index.put(&other_tenant(), KNOWLEDGE, hers("x"), before, at(9)).await.expect("answers");
    assert!(theirs.is_some());
    assert!(tried(hers("anew"), after).await);
    // A later forgetting of other people changes nothing about her; a forgetting of her does.
    index.forget(&tenant(), KNOWLEDGE, "ben", at(6)).await.expect("forgets");
    assert!(tried(hers("more"), after).await);
    index.forget(&tenant(), KNOWLEDGE, "ana", at(6)).await.expect("forgets");
    assert!(!tried(hers("again"), after).await);
    assert_eq!(index.forget_count(&tenant(), KNOWLEDGE).await.expect("reads"), 3);
    assert_eq!(index.forget_count(&other_tenant(), KNOWLEDGE).await.expect("reads"), 0);
}
