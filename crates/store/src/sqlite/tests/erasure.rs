use std::collections::BTreeSet;
use std::time::Duration;

use baton_core::id::RunId;
use baton_core::run::RunState;
use baton_ports::audit::ErasureSubject;
use baton_ports::circuits::ServiceCircuitStore as _;
use baton_ports::erasure::{ErasureRemainder, ErasureStore, MarkResult};
use baton_ports::feed::JournalFeed;
use baton_ports::journal::{AggregateKind, JournalAppend, JournalError, JournalStore, Ownership, ProcessId};
use baton_ports::read::{ReadModel, RunFilter};
use baton_sim::conformance::fixtures::{at, bytes, entry, head, join, message, other_tenant, owned, steady, tenant};

use super::super::SqliteStore;
use super::super::erasure::scrub::scrub;
use super::TestDatabase;

/// A unique text.
const SECRET: &str = "xyzzy-plugh";

/// A run that has ended, with a large entry that another run may share; its owner still holds it.
async fn ended(store: &SqliteStore, run: &str, process: ProcessId) -> Ownership {
    let ownership = owned(store, run, process).await;
    let begun =
        bytes(&format!("{{\"at\":1,\"events\":[{{\"started\":{{\"bundle\":\"b1\",\"input\":\"{SECRET}\"}}}}]}}"));
    let items: Vec<i64> = store.inbox(ownership.handle, 0).await.unwrap().into_iter().map(|item| item.item).collect();
    store.append(JournalAppend { entry: Some(begun), inbox_done: items, ..entry(run, ownership, 0) }).await.unwrap();
    let large = bytes(&SECRET.repeat(10_000));
    store.append(JournalAppend { entry: Some(large), ..entry(run, ownership, 1) }).await.unwrap();
    let done = JournalAppend { head: Some(head(RunState::Completed)), ..entry(run, ownership, 2) };
    store.append(done).await.unwrap();
    ownership
}

async fn erase(store: &SqliteStore, run: &str, rest: ErasureRemainder) -> u64 {
    assert_eq!(store.mark(&tenant(), &run.into(), rest, at(9)).await.unwrap(), MarkResult::Done);
    let mut entries = 0;
    loop {
        let cleared = store.clear(&tenant(), &run.into()).await.unwrap();
        entries += cleared.entries;
        if !cleared.has_more {
            return entries;
        }
    }
}

/// How often the text occurs in the database's files.
fn found(database: &TestDatabase) -> usize {
    let folder = database.path.parent().unwrap();
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files
        .map(|file| std::fs::read(file).unwrap())
        .map(|bytes| bytes.windows(SECRET.len()).filter(|window| *window == SECRET.as_bytes()).count())
        .sum()
}

#[tokio::test]
async fn an_erased_run_is_a_row_whose_owner_is_stale_and_which_nobody_reads_or_writes_to() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    let ownership = ended(&store, "one", process).await;
    assert_eq!(erase(&store, "one", ErasureRemainder::Tombstone).await, 3);
    let left = store.run(&tenant(), &"one".into()).await.unwrap().unwrap();
    assert_eq!(
        (left.state, left.erased_at, left.erased_version.as_deref()),
        (RunState::Completed, Some(at(9)), Some("b1"))
    );
    let late = store.append(entry("one", ownership, 3)).await.unwrap_err();
    assert!(matches!(late, JournalError::LeaseLost { .. }), "{late}");
    assert!(matches!(store.entries(&tenant(), &"one".into(), 0, 9).await, Err(JournalError::Erased { .. })));
    assert!(matches!(store.submit(message("one", "late")).await, Err(JournalError::Erased { .. })));
    assert_eq!(store.claim(&"one".into(), process, 1, steady(9)).await.unwrap(), None);
    assert_eq!(
        store.mark(&tenant(), &"one".into(), ErasureRemainder::Tombstone, at(10)).await.unwrap(),
        MarkResult::Absent
    );
    store.scrub(u64::MAX).await.unwrap();
    assert_eq!(found(&database), 0);
    // A message to it from another aggregate is dropped, and the sender's append succeeds.
    let other = owned(&store, "other", process).await;
    let sends = JournalAppend { outbox: vec![message("one", "from-other")], ..entry("other", other, 0) };
    store.append(sends).await.unwrap();
}

#[tokio::test]
async fn what_has_not_ended_or_has_something_to_handle_is_not_marked() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    owned(&store, "goes-on", process).await;
    ended(&store, "is-told", process).await;
    store.submit(message("is-told", "roll back")).await.unwrap();
    for run in ["goes-on", "is-told"] {
        assert_eq!(
            store.mark(&tenant(), &run.into(), ErasureRemainder::Tombstone, at(9)).await.unwrap(),
            MarkResult::Live,
            "{run}"
        );
    }
    assert_eq!(
        store.mark(&other_tenant(), &"is-told".into(), ErasureRemainder::Tombstone, at(9)).await.unwrap(),
        MarkResult::Absent
    );
}

#[tokio::test]
async fn a_large_payload_stays_as_long_as_another_run_has_it() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    for run in ["one", "other"] {
        ended(&store, run, process).await;
    }
    erase(&store, "one", ErasureRemainder::Tombstone).await;
    assert_eq!(store.entries(&tenant(), &"other".into(), 0, 9).await.unwrap().len(), 3);
    erase(&store, "other", ErasureRemainder::Tombstone).await;
    let blobs: i64 = database.raw().query_row("SELECT count(*) FROM blobs", [], |row| row.get(0)).unwrap();
    assert_eq!(blobs, 0);
}

#[tokio::test]
async fn whoever_follows_the_journal_misses_nothing_that_comes_after_its_newest_rows_were_deleted() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    ended(&store, "one", process).await;
    let read = store.newest().await.unwrap();
    erase(&store, "one", ErasureRemainder::Tombstone).await;
    assert_eq!(store.newest().await.unwrap(), read);
    ended(&store, "two", process).await;
    let (laid, _) = store.journal_entries(&tenant(), read).await.unwrap();
    assert_eq!(laid.iter().map(|laid| laid.run.as_str()).collect::<BTreeSet<_>>(), BTreeSet::from(["two"]));
    assert_eq!(laid.len(), 3);
}

#[tokio::test]
async fn what_is_old_goes_whole_but_for_what_waits_and_for_the_newest() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    for run in ["old", "old/sub", "asks", "newest"] {
        ended(&store, run, process).await;
    }
    let raw = database.raw();
    raw.execute_batch(&format!(
        "UPDATE aggregate SET ended_at = {}; UPDATE aggregate SET parent = 'old' WHERE name = 'old/sub'; \
         INSERT INTO desk (id, tenant, run, kind, title, details, opened_at) \
         VALUES ('d', (SELECT tenant FROM aggregate LIMIT 1), 'asks', 'approval', '', '{{}}', 1)",
        at(5).as_ms()
    ))
    .unwrap();
    let (old, next) = store.expired(&tenant(), AggregateKind::Run, at(6), None).await.unwrap();
    assert_eq!((old, next), (vec![vec!["old/sub".into(), RunId::from("old")]], None));
    assert_eq!(store.expired(&tenant(), AggregateKind::Run, at(5), None).await.unwrap().0, Vec::<Vec<RunId>>::new());
    for run in ["old/sub", "old"] {
        erase(&store, run, ErasureRemainder::Nothing).await;
        assert_eq!(store.run(&tenant(), &run.into()).await.unwrap(), None);
    }
    assert_eq!(
        store.mark(&tenant(), &"newest".into(), ErasureRemainder::Nothing, at(9)).await.unwrap(),
        MarkResult::Absent
    );
}

#[tokio::test]
async fn of_a_family_all_are_marked_or_none_is() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    for run in ["one", "one/sub", "newest"] {
        ended(&store, run, process).await;
    }
    let family = ["one/sub".into(), RunId::from("one"), "gone".into()];
    let rest = ErasureRemainder::Nothing;
    store.submit(message("one", "roll back")).await.unwrap();
    assert_eq!(store.mark_all(&tenant(), &family, rest, at(9)).await.unwrap(), MarkResult::Live);
    assert_eq!(store.marked(&tenant(), rest, None).await.unwrap(), Vec::<RunId>::new());
    assert_eq!(store.entries(&tenant(), &"one/sub".into(), 0, 9).await.unwrap().len(), 3);
    database.raw().execute("DELETE FROM inbox", []).unwrap();
    let with_newest = [RunId::from("one"), "newest".into()];
    assert_eq!(store.mark_all(&tenant(), &with_newest, rest, at(9)).await.unwrap(), MarkResult::Absent);
    assert_eq!(store.mark_all(&tenant(), &family, rest, at(9)).await.unwrap(), MarkResult::Done);
    let marked = store.marked(&tenant(), rest, None).await.unwrap();
    assert_eq!(marked, [RunId::from("one/sub"), "one".into()]);
}

#[tokio::test]
async fn pages_that_hold_nothing_are_given_back_a_few_at_a_time() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "one", process).await;
    for seq in 0..64 {
        let large = bytes(&format!("{seq}{}", SECRET.repeat(10_000)));
        store.append(JournalAppend { entry: Some(large), ..entry("one", ownership, seq) }).await.unwrap();
    }
    let items: Vec<i64> = store.inbox(ownership.handle, 0).await.unwrap().into_iter().map(|item| item.item).collect();
    let done =
        JournalAppend { head: Some(head(RunState::Completed)), inbox_done: items, ..entry("one", ownership, 64) };
    store.append(done).await.unwrap();
    erase(&store, "one", ErasureRemainder::Tombstone).await;
    assert_eq!(store.release_pages(10).await.unwrap(), 10);
    let mut more = 0;
    while store.release_pages(256).await.unwrap() > 0 {
        more += 1;
    }
    assert!(more >= 2);
    let free: i64 = database.raw().query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap();
    assert_eq!(free, 0);
}

#[tokio::test]
async fn an_erased_run_is_still_found_by_its_error_and_an_erased_conversation_says_no_channel() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    ended(&store, "one", process).await;
    let raw = database.raw();
    raw.execute_batch(&format!(
        "UPDATE aggregate SET fault = 'SLOT_GONE: {SECRET}: is gone' WHERE name = 'one'; \
         INSERT INTO conversation (name, tenant, workflow, state, status, owner, number, channel, created_at, updated_at, \
         messages, runs, cost_nanos) SELECT 'one', tenant, 'w', 'closed', 'closed', 'nobody', 1, '{SECRET}', 1, 1, 1, 1, 0 \
         FROM aggregate WHERE name = 'one'"
    ))
    .unwrap();
    erase(&store, "one", ErasureRemainder::Tombstone).await;
    let filter = RunFilter { error_code: Some("SLOT_GONE".into()), limit: 9, ..RunFilter::default() };
    let runs = store.runs(&tenant(), filter).await.unwrap();
    assert_eq!(
        runs.iter().map(|run| (run.run.as_str(), run.fault.as_deref())).collect::<Vec<_>>(),
        [("one", Some("SLOT_GONE:"))]
    );
    store.scrub(u64::MAX).await.unwrap();
    assert_eq!(found(&database), 0);
}

#[tokio::test]
async fn what_an_erased_conversation_asked_for_goes_out_of_the_desks_journal_and_others_wishes_stay() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    let ownership = owned(&store, "desk", process).await;
    let queued = |conversation: &str, skill: &str, more: &str| {
        bytes(&format!(
            "{{\"at\":1,\"events\":[{{\"queued\":{{\"conversation\":\"{conversation}\",\"number\":1,\"wants\":{{\"skills\":[\"{skill}\"],\
             \"language\":\"es\"}}}}}},{{\"left\":{{\"conversation\":\"{conversation}\",\"stay\":1}}}},{{\"more\":\"{more}\"}}]}}"
        ))
    };
    let large = "x".repeat(100_000);
    for (seq, payload) in
        [queued("c1", SECRET, ""), queued("c2", "returns", ""), queued("c1", SECRET, &large)].into_iter().enumerate()
    {
        store.append(JournalAppend { entry: Some(payload), ..entry("desk", ownership, seq as u64) }).await.unwrap();
    }
    let raw = database.raw();
    raw.execute_batch("UPDATE aggregate SET kind = 'desk' WHERE name = 'desk'").unwrap();
    raw.execute(
        "INSERT INTO snapshot (aggregate, seq, fold_version, state) SELECT id, 1, 1, ?1 FROM aggregate WHERE name = 'desk'",
        [SECRET.as_bytes()],
    )
    .unwrap();
    let names = BTreeSet::from([RunId::new("c1")]);
    assert_eq!(store.clear_routing(&other_tenant(), &names).await.unwrap(), 0);
    assert_eq!(store.clear_routing(&tenant(), &names).await.unwrap(), 2);
    assert_eq!(store.clear_routing(&tenant(), &names).await.unwrap(), 0, "once is enough");
    store.scrub(u64::MAX).await.unwrap();
    assert_eq!(found(&database), 0);
    let entries = store.entries(&tenant(), &"desk".into(), 0, 9).await.unwrap();
    let said: Vec<serde_json::Value> = entries.iter().map(|entry| serde_json::from_slice(entry).unwrap()).collect();
    assert_eq!(said[0]["events"][0]["queued"]["wants"], serde_json::json!({ "skills": [] }));
    assert_eq!(said[1]["events"][0]["queued"]["wants"]["skills"], serde_json::json!(["returns"]));
    assert_eq!(said[2]["events"][2]["more"], large.as_str());
}

#[tokio::test]
async fn services_whose_hosts_carry_a_name_of_theirs_are_forgotten() {
    let database = TestDatabase::new();
    let store = database.open();
    for service in ["cust-789.crm.example.com", "ana-ruiz.example.com", "api.example.com"] {
        store.record_failure(&tenant(), service, at(1)).await.unwrap();
        store.record_failure(&other_tenant(), service, at(1)).await.unwrap();
    }
    let ana =
        ErasureSubject { id: "cust_789".into(), other_names: vec!["Ana Ruiz".into()], ..ErasureSubject::default() };
    assert_eq!(store.clear_services(&tenant(), &ana).await.unwrap(), 2);
    let left = store.service_circuits(at(2)).await.unwrap();
    let own: Vec<_> = left.iter().filter(|one| one.tenant == tenant()).map(|one| one.service.as_str()).collect();
    assert_eq!((own, left.len()), (vec!["api.example.com"], 4));
}

#[tokio::test]
async fn a_scrub_that_cannot_be_now_says_so_and_a_later_one_does_it() {
    let database = TestDatabase::new();
    let store = database.open();
    let process = join(&store).await;
    ended(&store, "one", process).await;
    erase(&store, "one", ErasureRemainder::Tombstone).await;
    let raw = database.raw();
    raw.execute_batch("BEGIN; SELECT count(*) FROM aggregate").unwrap();
    let read: i64 = raw.query_row("SELECT count(*) FROM journal", [], |row| row.get(0)).unwrap();
    let busy = scrub(&database.path, u64::MAX, Duration::ZERO).unwrap();
    assert!(!busy.log_truncated && busy.unfinished.is_some(), "{busy:?}, {read} read");
    raw.execute_batch("COMMIT").unwrap();
    let done = scrub(&database.path, u64::MAX, Duration::ZERO).unwrap();
    assert!(done.vacuumed && done.log_truncated && done.unfinished.is_none(), "{done:?}");
    assert_eq!(found(&database), 0);
}
