use baton_ports::index::Document;
use baton_ports::memory::{Added, Forgotten, Knowledge, Unkept};
use serde_json::{Map, Value};

use super::world::{other_tenant, tenant};

fn page(name: &str, text: &str, about: Option<&str>) -> Document {
    Document {
        name: name.to_owned(),
        title: String::new(),
        subject: about.map(str::to_owned),
        metadata: Map::new(),
        text: text.to_owned(),
        body: Value::Null,
    }
}

async fn keep(knowledge: &impl Knowledge, name: &str, text: &str, about: Option<&str>) -> Added {
    knowledge.keep(&tenant(), page(name, text, about)).await.expect("keeps")
}

async fn remove(knowledge: &impl Knowledge, name: &str) -> bool {
    knowledge.remove(&tenant(), name).await.expect("removes")
}

pub async fn the_same_document_again_is_no_change_and_another_text_is_the_next_revision(knowledge: &impl Knowledge) {
    let first = keep(knowledge, "tides", "The moon pulls the sea.", None).await;
    assert!(!first.unchanged && first.pieces > 0, "{first:?}");
    let again = keep(knowledge, "tides", "The moon pulls the sea.", None).await;
    assert_eq!((again.unchanged, again.revision), (true, first.revision));
    let changed = keep(knowledge, "tides", "The moon pulls the sea, and the sun does too.", None).await;
    assert!(!changed.unchanged && changed.revision > first.revision, "{changed:?}");
}

pub async fn what_is_removed_was_there_once(knowledge: &impl Knowledge) {
    assert!(!remove(knowledge, "tides").await);
    keep(knowledge, "tides", "The moon pulls the sea.", None).await;
    assert!(remove(knowledge, "tides").await);
    assert!(!remove(knowledge, "tides").await);
    assert!(!keep(knowledge, "tides", "The moon pulls the sea.", None).await.unchanged, "it is kept anew");
}

pub async fn what_is_known_is_its_tenants_alone(knowledge: &impl Knowledge) {
    keep(knowledge, "tides", "The moon pulls the sea.", None).await;
    assert!(!knowledge.remove(&other_tenant(), "tides").await.expect("answers"));
    assert_eq!(knowledge.forget(&other_tenant(), "ana").await.expect("forgets"), Forgotten::default());
    assert!(remove(knowledge, "tides").await);
}

pub async fn what_is_about_somebody_does_not_become_everybodys(knowledge: &impl Knowledge) {
    keep(knowledge, "note", "Ana likes tea.", Some("ana")).await;
    let refused = knowledge.keep(&tenant(), page("note", "Ana likes coffee.", None)).await.expect_err("is about her");
    assert_eq!(refused, Unkept::IsAbout { name: "note".to_owned(), person: "ana".to_owned() });
    assert!(keep(knowledge, "note", "Ana likes tea.", Some("ana")).await.unchanged, "nothing has changed");
    keep(knowledge, "note", "Ana likes coffee.", Some("ana")).await;
    assert!(remove(knowledge, "note").await);
    keep(knowledge, "note", "Tea is hot.", None).await;
}

pub async fn everything_about_a_person_is_forgotten_and_nothing_else(knowledge: &impl Knowledge) {
    keep(knowledge, "ana-1", "Ana likes tea.", Some("ana")).await;
    keep(knowledge, "ana-2", "Ana lives by the sea.", Some("ana")).await;
    keep(knowledge, "ben", "Ben likes coffee.", Some("ben")).await;
    keep(knowledge, "tides", "The moon pulls the sea.", None).await;
    let forgotten = knowledge.forget(&tenant(), "ana").await.expect("forgets");
    assert_eq!(forgotten, Forgotten { knowledge: 2, ..Forgotten::default() });
    assert!(!remove(knowledge, "ana-1").await && !remove(knowledge, "ana-2").await);
    assert_eq!(knowledge.forget(&tenant(), "ana").await.expect("forgets"), Forgotten::default());
    assert!(remove(knowledge, "ben").await && remove(knowledge, "tides").await);
}

pub async fn whoever_is_not_known_is_called_nothing_else(knowledge: &impl Knowledge) {
    assert_eq!(knowledge.identifiers(&tenant(), "ana").await.expect("looks"), [""; 0]);
}
