use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::decisions::{DecisionFilter, DecisionLog, ModelDecision};
use baton_ports::records::{RecordOp, RecordStore};
use baton_sim::conformance::fixtures::decision;
use serde_json::json;

use super::super::retention::{ExpiryResult, PIECE, RetentionClass};
use super::{SqliteStore, TestDatabase};

const OLD: Time = Time::from_ms(1_000);
const NEW: Time = Time::from_ms(9_000);
const BETWEEN: Time = Time::from_ms(5_000);

fn tenant() -> TenantId {
    TenantId::from("acme")
}

async fn keep(store: &SqliteStore, tenant: &TenantId, space: &str, key: &str, run: &str, at: Time) {
    let value = json!({ "run": run });
    store.commit(tenant, vec![RecordOp::Insert { space: space.into(), key: key.into(), value }], at).await.unwrap();
}

async fn keys(store: &SqliteStore, tenant: &TenantId, space: &str) -> Vec<String> {
    let all = store.list(tenant, space, "", None, 1_000).await.unwrap();
    all.into_iter().map(|record| record.key).collect()
}

/// An active run, and two that have ended.
fn add_runs(database: &TestDatabase) {
    for (run, ended) in [("goes-on", None), ("ended-late", Some(9_000)), ("ended-early", Some(2_000))] {
        database
            .raw()
            .execute(
                "INSERT INTO aggregate (seq, epoch, called, items, name, tenant, kind, workflow, created_at, ended_at, cost_nanos)
                 VALUES (1, 1, 0, 0, ?1, 'acme', 'run', 'w', 0, ?2, 0)",
                rusqlite::params![run, ended],
            )
            .unwrap();
    }
}

/// Deletes batch by batch to the end, and returns the number of deleted rows.
async fn all(store: &SqliteStore, what: RetentionClass) -> u64 {
    let (mut rows, mut after) = (0, None);
    loop {
        let ExpiryResult { rows: more, next } = store.expire(&tenant(), what, BETWEEN, after).await.unwrap();
        rows += more;
        let Some(next) = next else { return rows };
        after = Some(next);
    }
}

#[tokio::test]
async fn what_is_old_goes_and_nothing_else() {
    let database = TestDatabase::new();
    let store = database.open();
    let other = TenantId::from("other");
    keep(&store, &tenant(), "outbox", "a", "gone", OLD).await;
    keep(&store, &tenant(), "outbox", "b", "gone", NEW).await;
    keep(&store, &tenant(), "tickets", "a", "gone", OLD).await;
    keep(&store, &other, "outbox", "a", "gone", OLD).await;
    assert_eq!(all(&store, RetentionClass::Outbox).await, 1);
    assert_eq!(keys(&store, &tenant(), "outbox").await, ["b"]);
    assert_eq!(keys(&store, &tenant(), "tickets").await, ["a"], "a ticket is nobody's to forget");
    assert_eq!(keys(&store, &other, "outbox").await, ["a"], "each tenant's own");
}

#[tokio::test]
async fn a_key_stays_as_long_as_its_run_could_send_it_again() {
    let spaces = ["effects", "sent_to", "contacts_before"];
    let database = TestDatabase::new();
    let store = database.open();
    add_runs(&database);
    for run in ["goes-on", "ended-late", "ended-early"] {
        for space in spaces {
            keep(&store, &tenant(), space, &format!("{run}/n/0/0"), run, OLD).await;
        }
    }
    for (space, what) in
        spaces.into_iter().zip([RetentionClass::Effects, RetentionClass::SentTo, RetentionClass::ContactsBefore])
    {
        keep(&store, &tenant(), space, "unheard-of/n/0/0", "unheard-of", OLD).await;
        assert_eq!(all(&store, what).await, 2, "{space}");
        assert_eq!(keys(&store, &tenant(), space).await, ["ended-late/n/0/0", "goes-on/n/0/0"]);
    }
}

#[tokio::test]
async fn a_conversation_at_the_openai_endpoint_stays_as_long_as_one_of_its_runs() {
    let database = TestDatabase::new();
    let store = database.open();
    add_runs(&database);
    let rows = [
        ("a", json!(["ended-early"])),
        ("b", json!(["ended-early", "ended-late"])),
        ("c", json!(["goes-on", "ended-early"])),
        ("d", json!(["unheard-of"])),
        ("e", json!([])),
    ];
    for (key, value) in rows {
        let insert = RecordOp::Insert { space: "chat_turns".into(), key: key.into(), value };
        store.commit(&tenant(), vec![insert], OLD).await.unwrap();
    }
    assert_eq!(all(&store, RetentionClass::ChatTurns).await, 3);
    assert_eq!(keys(&store, &tenant(), "chat_turns").await, ["b", "c"]);
}

#[tokio::test]
async fn a_piece_is_bounded_and_the_next_goes_on_behind_it() {
    let database = TestDatabase::new();
    let store = database.open();
    let all_keys: Vec<String> = (0..PIECE + 1).map(|number| format!("{number:06}")).collect();
    for some in all_keys.chunks(100) {
        let ops =
            some.iter().map(|key| RecordOp::Insert { space: "outbox".into(), key: key.clone(), value: json!({}) });
        store.commit(&tenant(), ops.collect(), OLD).await.unwrap();
    }
    let first = store.expire(&tenant(), RetentionClass::Outbox, BETWEEN, None).await.unwrap();
    assert_eq!(first.rows, PIECE as u64);
    let second = store.expire(&tenant(), RetentionClass::Outbox, BETWEEN, first.next).await.unwrap();
    assert_eq!(second, ExpiryResult { rows: 1, next: None });
}

#[tokio::test]
async fn decisions_go_by_their_time() {
    let database = TestDatabase::new();
    let store = database.open();
    let (old, new) = (decision("old", 0), decision("new", 0));
    let tenant = old.tenant.clone();
    let rows = vec![ModelDecision { created_at: OLD, ..old }, ModelDecision { created_at: NEW, ..new }];
    store.record(rows).unwrap();
    assert_eq!(
        store.decisions(&tenant, DecisionFilter { limit: 10, ..DecisionFilter::default() }).await.unwrap().len(),
        2
    );
    let forgotten = store.expire(&tenant, RetentionClass::Decisions, BETWEEN, None).await.unwrap();
    assert_eq!(forgotten, ExpiryResult { rows: 1, next: None });
    let left = store.decisions(&tenant, DecisionFilter { limit: 10, ..DecisionFilter::default() }).await.unwrap();
    assert_eq!(left.iter().map(|decision| decision.key.as_str()).collect::<Vec<_>>(), ["new"]);
}
