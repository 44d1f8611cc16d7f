use baton_core::id::TenantId;
use baton_ports::records::{OPS_MAX, RECORD_BYTES_MAX, RecordError, RecordOp, RecordStore, StoredRecord};
use futures::future::join_all;
use serde_json::{Value, json};

use super::fixtures::{at, other_tenant, tenant};

const SPACE: &str = "bookings";

fn insert(key: &str, value: Value) -> RecordOp {
    RecordOp::Insert { space: SPACE.into(), key: key.into(), value }
}

fn put(key: &str, value: Value) -> RecordOp {
    RecordOp::Put { space: SPACE.into(), key: key.into(), value }
}

fn set(key: &str, version: u64, value: Value) -> RecordOp {
    RecordOp::CompareAndSet { space: SPACE.into(), key: key.into(), version, value }
}

fn hold(key: &str, from: i64, to: i64) -> RecordOp {
    RecordOp::HoldRange { space: SPACE.into(), resource: "dr-ruiz".into(), from, to, key: key.into() }
}

fn free(key: &str) -> RecordOp {
    RecordOp::FreeRange { space: SPACE.into(), key: key.into() }
}

async fn commit(store: &impl RecordStore, ops: Vec<RecordOp>) -> Result<(), RecordError> {
    store.commit(&tenant(), ops, at(0)).await
}

async fn get(store: &impl RecordStore, key: &str) -> Option<StoredRecord> {
    store.get(&tenant(), SPACE, key).await.expect("reads")
}

async fn held(store: &impl RecordStore, from: i64, to: i64) -> Vec<(i64, i64, String)> {
    store.ranges(&tenant(), SPACE, "dr-ruiz", from, to).await.expect("reads")
}

fn conflict(outcome: Result<(), RecordError>) -> (usize, Option<StoredRecord>) {
    let refused = outcome.expect_err("is refused");
    let shown = refused.to_string();
    let conflict = if let RecordError::Conflict { index, found } = refused { Some((index, found)) } else { None };
    assert!(conflict.is_some(), "a conflict, not: {shown}");
    conflict.unwrap_or_default()
}

pub async fn a_record_is_read_back_with_its_version(store: &impl RecordStore) {
    let value = json!({ "name": "Ana", "n": 1.5, "list": [null, true] });
    commit(store, vec![insert("a", value.clone())]).await.expect("inserts");
    let record = get(store, "a").await.expect("is there");
    assert_eq!((record.space.as_str(), record.key.as_str(), record.value), (SPACE, "a", value));
    assert_eq!((record.version, record.at), (1, at(0)));
    assert_eq!(get(store, "b").await, None);
}

pub async fn an_insert_is_refused_where_there_is_one(store: &impl RecordStore) {
    commit(store, vec![insert("a", json!(1))]).await.expect("inserts");
    let (index, found) = conflict(commit(store, vec![insert("a", json!(2))]).await);
    assert_eq!((index, found.map(|record| record.value)), (0, Some(json!(1))));
}

pub async fn a_compare_and_set_needs_the_version_it_saw(store: &impl RecordStore) {
    assert_eq!(conflict(commit(store, vec![set("a", 1, json!(0))]).await), (0, None));
    commit(store, vec![insert("a", json!(1))]).await.expect("inserts");
    commit(store, vec![set("a", 1, json!(2))]).await.expect("is at version 1");
    let (_, found) = conflict(commit(store, vec![set("a", 1, json!(3))]).await);
    assert_eq!(found.map(|record| (record.version, record.value)), Some((2, json!(2))));
}

pub async fn an_expectation_holds_a_batch_to_what_was_seen(store: &impl RecordStore) {
    let expect = |version| RecordOp::Expect { space: SPACE.into(), key: "mark".into(), version };
    commit(store, vec![expect(None), put("a", json!(1))]).await.expect("it is not there");
    let (index, found) = conflict(commit(store, vec![put("a", json!(2)), expect(Some(1))]).await);
    assert_eq!((index, found), (1, None));
    commit(store, vec![put("mark", json!("up"))]).await.expect("puts");
    let (_, found) = conflict(commit(store, vec![put("a", json!(2)), expect(None)]).await);
    assert_eq!(found.map(|record| record.value), Some(json!("up")));
    commit(store, vec![expect(Some(1)), put("a", json!(3))]).await.expect("it is as it was seen");
    assert_eq!(get(store, "a").await.map(|record| record.value), Some(json!(3)), "what was refused wrote nothing");
    assert_eq!(get(store, "mark").await.map(|record| record.version), Some(1), "an expectation writes nothing");
}

pub async fn a_put_overwrites_and_a_delete_removes(store: &impl RecordStore) {
    commit(store, vec![put("a", json!(1))]).await.expect("puts");
    commit(store, vec![put("a", json!(2))]).await.expect("puts again");
    assert_eq!(get(store, "a").await.map(|record| (record.version, record.value)), Some((2, json!(2))));
    let delete = || vec![RecordOp::Delete { space: SPACE.into(), key: "a".into() }];
    commit(store, delete()).await.expect("deletes");
    commit(store, delete()).await.expect("deleting nothing is harmless");
    assert_eq!(get(store, "a").await, None);
}

pub async fn a_batch_is_written_whole_or_not_at_all(store: &impl RecordStore) {
    commit(store, vec![insert("taken", json!(1)), hold("taken", 10, 20)]).await.expect("commits");
    let batch =
        vec![put("a", json!(1)), hold("a", 30, 40), free("taken"), insert("taken", json!(2)), put("b", json!(1))];
    let (index, found) = conflict(commit(store, batch).await);
    assert_eq!((index, found.map(|record| record.key)), (3, Some("taken".into())));
    assert_eq!((get(store, "a").await, get(store, "b").await), (None, None));
    assert_eq!(held(store, 0, 100).await, [(10, 20, "taken".into())]);
}

pub async fn operations_of_a_batch_see_each_other(store: &impl RecordStore) {
    let batch = vec![insert("a", json!(1)), set("a", 1, json!(2)), hold("a", 0, 10), free("a"), hold("b", 5, 15)];
    commit(store, batch).await.expect("commits");
    assert_eq!(get(store, "a").await.map(|record| record.version), Some(2));
    assert_eq!(held(store, 0, 100).await, [(5, 15, "b".into())]);
    assert_eq!(conflict(commit(store, vec![hold("c", 20, 30), hold("d", 29, 31)]).await).0, 1);
}

pub async fn ranges_of_one_resource_never_overlap(store: &impl RecordStore) {
    commit(store, vec![hold("a", 10, 20)]).await.expect("is free");
    for (from, to) in [(10, 20), (5, 11), (19, 25), (12, 13), (0, 100)] {
        let (index, found) = conflict(commit(store, vec![hold("b", from, to)]).await);
        let found = found.expect("says what is in the way");
        assert_eq!((index, found.key.as_str()), (0, "a"));
        assert_eq!(found.value, json!({ "resource": "dr-ruiz", "from": 10, "to": 20 }));
    }
    // The end is excluded, so ranges may touch; another resource is another calendar.
    commit(store, vec![hold("b", 20, 30), hold("c", 0, 10)]).await.expect("touch");
    let elsewhere =
        RecordOp::HoldRange { space: SPACE.into(), resource: "room-2".into(), from: 0, to: 100, key: "b".into() };
    commit(store, vec![elsewhere]).await.expect("is free");
    assert_eq!(held(store, 0, 100).await, [(0, 10, "c".into()), (10, 20, "a".into()), (20, 30, "b".into())]);
    assert_eq!(held(store, 19, 21).await, [(10, 20, "a".into()), (20, 30, "b".into())]);
    assert_eq!(held(store, 10, 20).await, [(10, 20, "a".into())]);
    assert_eq!(held(store, 30, 40).await, []);
}

pub async fn a_key_may_widen_its_own_range(store: &impl RecordStore) {
    commit(store, vec![hold("a", 10, 20), hold("a", 15, 30), hold("b", 40, 50)]).await.expect("is its own");
    for (from, to) in [(11, 12), (18, 19), (29, 30)] {
        assert_eq!(conflict(commit(store, vec![hold("c", from, to)]).await).0, 0);
    }
    assert_eq!(conflict(commit(store, vec![hold("a", 25, 41)]).await).1.map(|found| found.key), Some("b".into()));
    commit(store, vec![hold("a", 0, 40)]).await.expect("widens both ways");
    let (index, _) = conflict(commit(store, vec![hold("c", 1, 2)]).await);
    assert_eq!(index, 0);
}

pub async fn a_freed_range_may_be_held_again(store: &impl RecordStore) {
    commit(store, vec![hold("a", 10, 20), hold("a", 30, 40)]).await.expect("is free");
    commit(store, vec![free("a")]).await.expect("frees all of it");
    commit(store, vec![free("a")]).await.expect("freeing nothing is harmless");
    commit(store, vec![hold("b", 0, 100)]).await.expect("is free again");
}

pub async fn one_of_many_bookings_of_a_slot_wins(store: &impl RecordStore) {
    let book = |number: i64| {
        let key = format!("booking-{number}");
        // Each requests a slightly different slot; all of them overlap.
        commit(store, vec![insert(&key, json!({ "patient": number })), hold(&key, 1_000 - number, 2_000 + number)])
    };
    let outcomes = join_all((0..200).map(book)).await;
    let won: Vec<_> =
        (0..200).zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(number, _)| number).collect();
    assert_eq!(won.len(), 1, "exactly one wins");
    let key = format!("booking-{}", won[0]);
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        let (index, found) = conflict(outcome);
        assert_eq!((index, found.map(|found| found.key)), (1, Some(key.clone())));
    }
    let kept = store.list(&tenant(), SPACE, "booking-", None, 300).await.expect("reads");
    assert_eq!(kept.iter().map(|record| record.key.as_str()).collect::<Vec<_>>(), [key.as_str()]);
}

pub async fn an_empty_range_is_refused(store: &impl RecordStore) {
    for (from, to) in [(10, 10), (10, 9)] {
        let refused = commit(store, vec![put("a", json!(1)), hold("a", from, to)]).await;
        assert!(matches!(refused, Err(RecordError::EmptyRange { index: 1 })), "{refused:?}");
    }
    assert_eq!(get(store, "a").await, None);
}

pub async fn a_list_is_in_key_order_within_its_prefix(store: &impl RecordStore) {
    let keys = ["b/2", "a/10", "a/1", "a", "a/2", "!", "", "ab"];
    commit(store, keys.iter().map(|key| put(key, json!(key))).collect()).await.expect("puts");
    let list = async |prefix: &str, after: Option<&str>, limit: usize| {
        let found = store.list(&tenant(), SPACE, prefix, after, limit).await.expect("reads");
        found.into_iter().map(|record| record.key).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, 100).await, ["", "!", "a", "a/1", "a/10", "a/2", "ab", "b/2"]);
    assert_eq!(list("a/", None, 100).await, ["a/1", "a/10", "a/2"]);
    assert_eq!(list("a/", Some("a/1"), 100).await, ["a/10", "a/2"]);
    assert_eq!(list("a", None, 2).await, ["a", "a/1"]);
    assert_eq!(list("z", None, 100).await, [""; 0]);
    let elsewhere = store.list(&tenant(), "other", "", None, 100).await.expect("reads");
    assert_eq!(elsewhere, []);
}

pub async fn records_of_tenants_are_apart(store: &impl RecordStore) {
    commit(store, vec![insert("a", json!(1)), hold("a", 0, 10)]).await.expect("commits");
    let other: TenantId = other_tenant();
    assert_eq!(store.get(&other, SPACE, "a").await.expect("reads"), None);
    assert_eq!(store.list(&other, SPACE, "", None, 10).await.expect("reads"), []);
    assert_eq!(store.ranges(&other, SPACE, "dr-ruiz", 0, 10).await.expect("reads"), []);
    store.commit(&other, vec![insert("a", json!(2)), hold("b", 0, 10)], at(0)).await.expect("is another's calendar");
    store.commit(&other, vec![free("a")], at(0)).await.expect("frees nothing of ours");
    assert_eq!(held(store, 0, 10).await, [(0, 10, "a".into())]);
}

pub async fn what_breaks_a_limit_is_refused_by_name(store: &impl RecordStore) {
    let many = (0..=OPS_MAX).map(|number| put(&number.to_string(), json!(1))).collect();
    let refused = commit(store, many).await;
    assert!(matches!(refused, Err(RecordError::TooLarge { limit: OPS_MAX, .. })), "{refused:?}");
    let refused = commit(store, vec![put("a", json!("x".repeat(RECORD_BYTES_MAX)))]).await;
    assert!(matches!(refused, Err(RecordError::TooLarge { limit: RECORD_BYTES_MAX, .. })), "{refused:?}");
    commit(store, vec![put("a", json!("x".repeat(RECORD_BYTES_MAX - 2)))]).await.expect("is just within");
    commit(store, (0..OPS_MAX).map(|number| put(&number.to_string(), json!(1))).collect()).await.expect("is as many");
}
