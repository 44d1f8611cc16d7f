use std::sync::Arc;

use baton_core::run::RunState;
use baton_ports::audit::{AuditFilter, AuditTrail};
use baton_ports::journal::{
    AggregateKind, BLOB_BYTES_MIN, ENTRY_BYTES_MAX, InboxSubmission, JournalAppend, JournalError, JournalStore,
    NewAggregate, Ownership, StateSnapshot,
};
use baton_ports::read::ReadModel;
use futures::future::join_all;

use super::fixtures::{
    FOLD, at, audit, bytes, claimed, entry, head, ids, join, message, other_tenant, owned, parked, start, tenant,
};

async fn journal_of(store: &impl ReadModel, run: &str) -> Vec<Arc<[u8]>> {
    store.entries(&tenant(), &run.into(), 0, 100).await.expect("reads")
}

/// An append that would leave a trace in every table.
fn tracing_append(run: &str, ownership: Ownership, expected_seq: u64, to: &str) -> JournalAppend {
    JournalAppend {
        inbox_done: vec![1],
        head: Some(head(RunState::Completed)),
        outbox: vec![message(to, "loud")],
        audit: vec![audit(run, "loud")],
        snapshot: Some(StateSnapshot { fold_version: FOLD, seq: expected_seq + 1, state: bytes("loud") }),
        release: true,
        ..entry(run, ownership, expected_seq)
    }
}

/// The number of rows in the audit trail.
async fn rows(store: &impl AuditTrail) -> usize {
    store.trail(&tenant(), AuditFilter::default()).await.expect("reads").len()
}

/// Asserts that a refused [`tracing_append`] left no trace.
async fn assert_no_trace(store: &(impl JournalStore + ReadModel + AuditTrail), run: &str, to: Ownership) {
    let shown = store.run(&tenant(), &run.into()).await.expect("reads").expect("is there");
    assert_eq!(shown.state, RunState::Pending);
    assert_eq!(rows(store).await, 0);
    assert_eq!(ids(&store.inbox(to.handle, 0).await.expect("reads")), ["start"]);
}

pub async fn entries_are_read_back_as_they_were(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    for seq in 0..3 {
        store.append(entry("run", ownership, seq)).await.expect("appends");
    }
    let all = journal_of(store, "run").await;
    assert_eq!(all, [bytes("run 1"), bytes("run 2"), bytes("run 3")]);
    let behind = store.entries(&tenant(), &"run".into(), 1, 1).await.expect("reads");
    assert_eq!(behind, [bytes("run 2")]);
    assert_eq!(store.run(&tenant(), &"run".into()).await.expect("reads").expect("is there").seq, 3);
}

pub async fn large_entries_are_read_back_as_they_were(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    let sizes = [BLOB_BYTES_MIN - 1, BLOB_BYTES_MIN, BLOB_BYTES_MIN + 1, 3 * BLOB_BYTES_MIN, ENTRY_BYTES_MAX];
    let large: Vec<Arc<[u8]>> = sizes.iter().map(|size| vec![b'x'; *size].into()).collect();
    for (seq, payload) in (0..).zip(&large) {
        let append = JournalAppend { entry: Some(Arc::clone(payload)), ..entry("run", ownership, seq) };
        store.append(append).await.expect("appends");
    }
    // The same large payload again: stored once, and still available in both places.
    let again = JournalAppend { entry: Some(Arc::clone(&large[3])), ..entry("run", ownership, 5) };
    store.append(again).await.expect("appends");
    let found = journal_of(store, "run").await;
    assert!(found.iter().eq(large.iter().chain([&large[3]])), "every entry is as it was");
    let claimed = claimed(store, "run", process, super::fixtures::steady(0)).await;
    assert!(claimed.tail == found, "also for the next owner");

    let over = JournalAppend { entry: Some(vec![0; ENTRY_BYTES_MAX + 1].into()), ..entry("run", claimed.ownership, 6) };
    let refused = store.append(over).await;
    assert!(matches!(refused, Err(JournalError::TooLarge { limit: ENTRY_BYTES_MAX, .. })), "{refused:?}");
}

pub async fn a_wrong_sequence_writes_nothing(store: &(impl JournalStore + ReadModel + AuditTrail)) {
    let process = join(store).await;
    let (ownership, other) = (owned(store, "run", process).await, owned(store, "other", process).await);
    store.append(entry("run", ownership, 0)).await.expect("appends");
    for wrong in [0, 2, 7] {
        let refused = store.append(tracing_append("run", ownership, wrong, "other")).await;
        assert!(
            matches!(refused, Err(JournalError::WrongSequence { expected, found: 1, .. }) if expected == wrong),
            "{refused:?}"
        );
    }
    assert_no_trace(store, "run", other).await;
    assert_eq!(journal_of(store, "run").await, [bytes("run 1")]);
    let claimed = claimed(store, "run", process, super::fixtures::steady(0)).await;
    assert_eq!((claimed.snapshot, ids(&claimed.inbox)), (None, vec!["start"]));
}

pub async fn a_stale_owner_writes_nothing_and_is_told_so_first(store: &(impl JournalStore + ReadModel + AuditTrail)) {
    let process = join(store).await;
    let (stale, other) = (owned(store, "run", process).await, owned(store, "other", process).await);
    let fresh = claimed(store, "run", process, super::fixtures::steady(0)).await.ownership;
    // Also if the sequence is wrong and a message could not be delivered.
    for (seq, to) in [(0, "other"), (7, "other"), (0, "nobody")] {
        let refused = store.append(tracing_append("run", stale, seq, to)).await;
        assert!(matches!(refused, Err(JournalError::LeaseLost { .. })), "{refused:?}");
    }
    assert_no_trace(store, "run", other).await;
    assert_eq!(journal_of(store, "run").await.len(), 0);
    store.append(entry("run", fresh, 0)).await.expect("the new owner appends");
}

pub async fn an_append_tried_twice_is_recorded_once(store: &(impl JournalStore + ReadModel + AuditTrail)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    let append = JournalAppend { audit: vec![audit("run", "calculator")], ..entry("run", ownership, 0) };
    store.append(append.clone()).await.expect("appends");
    let refused = store.append(append).await;
    assert!(matches!(refused, Err(JournalError::WrongSequence { expected: 0, found: 1, .. })), "{refused:?}");
    assert_eq!(journal_of(store, "run").await.len(), 1);
    assert_eq!(rows(store).await, 1);
}

pub async fn each_of_many_appends_is_refused_alone(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let mut appends = Vec::new();
    for number in 0..30_u64 {
        let run = format!("run-{number}");
        let ownership = owned(store, &run, process).await;
        let wrong = match number % 3 {
            0 => entry(&run, ownership, 0),
            1 => entry(&run, ownership, 9),
            _ => entry(&run, Ownership { epoch: 9, ..ownership }, 0),
        };
        appends.push(wrong);
    }
    let outcomes = join_all(appends.into_iter().map(|append| store.append(append))).await;
    for (number, outcome) in (0..30_usize).zip(outcomes) {
        let entries = journal_of(store, &format!("run-{number}")).await.len();
        match number % 3 {
            0 => assert!(outcome.is_ok() && entries == 1, "{number}: {outcome:?}, {entries} entries"),
            1 => assert!(
                matches!(outcome, Err(JournalError::WrongSequence { .. })) && entries == 0,
                "{number}: {outcome:?}"
            ),
            _ => {
                assert!(matches!(outcome, Err(JournalError::LeaseLost { .. })) && entries == 0, "{number}: {outcome:?}")
            }
        }
    }
}

pub async fn a_message_to_another_aggregate_goes_with_the_append(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "child", process).await;
    parked(store, "parent", process, None).await;
    let append = JournalAppend { outbox: vec![message("parent", "child/done")], ..entry("child", ownership, 0) };
    store.append(append).await.expect("appends");
    let parent = claimed(store, "parent", process, super::fixtures::steady(0)).await;
    assert_eq!(ids(&parent.inbox), ["child/done"]);
    assert_eq!(parent.inbox[0].payload, bytes("child/done"));
}

pub async fn a_message_delivered_twice_is_there_once(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let (child, parent) = (owned(store, "child", process).await, owned(store, "parent", process).await);
    for seq in 0..2 {
        let append = JournalAppend { outbox: vec![message("parent", "child/done")], ..entry("child", child, seq) };
        store.append(append).await.expect("appends");
    }
    assert_eq!(ids(&store.inbox(parent.handle, 0).await.expect("reads")), ["start", "child/done"]);
}

pub async fn a_child_is_created_with_the_append(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let parent = owned(store, "parent", process).await;
    let creates =
        NewAggregate { kind: AggregateKind::Run, workflow: "sub".into(), parent: Some("parent".into()), owner: None };
    let child = InboxSubmission { creates: Some(creates), ..start("parent/child", None) };
    store.append(JournalAppend { outbox: vec![child], ..entry("parent", parent, 0) }).await.expect("appends");
    let shown = store.run(&tenant(), &"parent/child".into()).await.expect("reads").expect("is there");
    assert_eq!((shown.parent, shown.workflow.as_str()), (Some("parent".into()), "sub"));
    let due = store.due(process, at(0), super::fixtures::steady(0), 10).await.expect("reads");
    assert_eq!(due, ["parent/child".into()]);
}

pub async fn a_child_may_be_told_more_in_the_append_that_creates_it(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let parent = owned(store, "parent", process).await;
    let creates =
        NewAggregate { kind: AggregateKind::Run, workflow: "sub".into(), parent: Some("parent".into()), owner: None };
    let child = InboxSubmission { creates: Some(creates), ..start("parent/child", None) };
    let outbox = vec![child, message("parent/child", "parent/cancel")];
    store.append(JournalAppend { outbox, ..entry("parent", parent, 0) }).await.expect("appends");
    let claimed = claimed(store, "parent/child", process, super::fixtures::steady(0)).await;
    assert_eq!(ids(&claimed.inbox), ["start", "parent/cancel"]);
}

pub async fn an_append_with_an_undeliverable_message_writes_nothing(
    store: &(impl JournalStore + ReadModel + AuditTrail),
) {
    let process = join(store).await;
    let (ownership, other) = (owned(store, "run", process).await, owned(store, "other", process).await);
    let mut append = tracing_append("run", ownership, 0, "other");
    let creates = NewAggregate { kind: AggregateKind::Run, workflow: "w".into(), parent: None, owner: None };
    let taken = InboxSubmission { tenant: "somebody else".into(), creates: Some(creates), ..start("other", None) };
    append.outbox.push(taken);
    let refused = store.append(append).await;
    assert!(matches!(&refused, Err(JournalError::Taken { aggregate }) if aggregate.as_str() == "other"), "{refused:?}");
    assert_no_trace(store, "run", other).await;
    store.append(entry("run", ownership, 0)).await.expect("nothing is in the way of the next");
}

pub async fn a_message_to_what_is_gone_goes_nowhere(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    let append = JournalAppend { outbox: vec![message("gone", "hello")], ..entry("run", ownership, 0) };
    store.append(append).await.expect("it goes on");
    assert!(store.run(&tenant(), &"gone".into()).await.expect("reads").is_none());
}

pub async fn a_snapshot_of_another_fold_is_left_out(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    let snapshot = StateSnapshot { fold_version: FOLD + 1, seq: 1, state: bytes("state") };
    store.append(JournalAppend { snapshot: Some(snapshot), ..entry("run", ownership, 0) }).await.expect("appends");
    let claimed = claimed(store, "run", process, super::fixtures::steady(0)).await;
    assert_eq!((claimed.snapshot, claimed.tail), (None, vec![bytes("run 1")]));
}

pub async fn the_newest_snapshot_shortens_the_tail(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    for seq in 0..5 {
        let state = bytes(&format!("state {}", seq + 1));
        let snapshot = (seq % 2 == 0).then_some(StateSnapshot { fold_version: FOLD, seq: seq + 1, state });
        let snapshot = snapshot.filter(|_| seq < 4);
        store.append(JournalAppend { snapshot, ..entry("run", ownership, seq) }).await.expect("appends");
    }
    let claimed = claimed(store, "run", process, super::fixtures::steady(0)).await;
    assert_eq!(claimed.seq, 5);
    assert_eq!(claimed.snapshot, Some(StateSnapshot { fold_version: FOLD, seq: 3, state: bytes("state 3") }));
    assert_eq!(claimed.tail, [bytes("run 4"), bytes("run 5")]);
}

pub async fn a_snapshot_is_shown_to_its_tenant_by_its_fold_and_behind_a_place(store: &(impl JournalStore + ReadModel)) {
    let (process, run) = (join(store).await, "run".into());
    let ownership = owned(store, "run", process).await;
    let shown = async |tenant, fold, after| store.snapshot(&tenant, &run, fold, after).await.expect("reads");
    assert_eq!(shown(tenant(), FOLD, 0).await, None, "there is none yet");
    let snapshot = StateSnapshot { fold_version: FOLD, seq: 1, state: bytes("state") };
    let append = JournalAppend { snapshot: Some(snapshot.clone()), ..entry("run", ownership, 0) };
    store.append(append).await.expect("appends");
    assert_eq!(shown(tenant(), FOLD, 0).await, Some(snapshot));
    assert_eq!(shown(tenant(), FOLD, 1).await, None, "nothing more than is known");
    assert_eq!(shown(tenant(), FOLD + 1, 0).await, None, "of another fold");
    assert_eq!(shown(other_tenant(), FOLD, 0).await, None, "another tenant's");
    assert_eq!(store.snapshot(&tenant(), &"other".into(), FOLD, 0).await.expect("reads"), None);
}
