use baton_ports::journal::{
    INBOX_BYTES_MAX, INBOX_ITEMS_MAX, InboxReceipt, InboxSubmission, JournalAppend, JournalError, JournalStore,
    Ownership,
};
use baton_ports::read::ReadModel;
use futures::future::join_all;

use super::fixtures::{at, bytes, claimed, entry, ids, join, message, other_tenant, owned, start, steady, tenant};

pub async fn what_is_acknowledged_is_there(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let accepted = store.submit(start("run", None)).await.expect("starts");
    assert!(matches!(accepted, InboxReceipt::Accepted { owned: None, awake_at: None, .. }), "{accepted:?}");
    let claimed = claimed(store, "run", process, steady(0)).await;
    assert_eq!(claimed.seq, 0);
    assert_eq!(claimed.workflow, "booking");
    assert_eq!(claimed.tenant, tenant());
    assert_eq!(ids(&claimed.inbox), ["start"]);
    assert_eq!(claimed.inbox[0].payload, bytes("start"));
    assert_eq!(claimed.inbox[0].at, at(0));
}

pub async fn a_second_submission_under_one_id_is_dropped_for_ever(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    assert_eq!(store.submit(start("run", None)).await.expect("again"), InboxReceipt::Duplicate);
    store.append(JournalAppend { inbox_done: vec![1], ..entry("run", ownership, 0) }).await.expect("consumes");
    assert_eq!(store.submit(start("run", Some(process))).await.expect("again"), InboxReceipt::Duplicate);
    assert_eq!(store.inbox(ownership.handle, 0).await.expect("reads"), []);
}

pub async fn only_a_first_item_brings_an_aggregate_into_being(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    let again = InboxSubmission { command_id: "start-again".into(), ..start("run", Some(process)) };
    let accepted = store.submit(again).await.expect("is a message like any other");
    assert!(matches!(accepted, InboxReceipt::Accepted { owned: None, .. }), "{accepted:?}");
    assert_eq!(ids(&store.inbox(ownership.handle, 0).await.expect("reads")), ["start", "start-again"]);
}

pub async fn a_message_to_nobody_is_refused(store: &(impl JournalStore + ReadModel)) {
    let refused = store.submit(message("nobody", "hello")).await;
    assert!(
        matches!(&refused, Err(JournalError::NotFound { aggregate }) if aggregate.as_str() == "nobody"),
        "{refused:?}"
    );
    let refused = store.claim(&"nobody".into(), join(store).await, 1, steady(0)).await;
    assert!(matches!(refused, Err(JournalError::NotFound { .. })), "{refused:?}");
}

pub async fn another_tenants_aggregate_is_out_of_reach(store: &(impl JournalStore + ReadModel)) {
    store.submit(start("run", None)).await.expect("starts");
    let foreign = InboxSubmission { tenant: other_tenant(), ..message("run", "hello") };
    let refused = store.submit(foreign).await;
    assert!(matches!(refused, Err(JournalError::NotFound { .. })), "{refused:?}");
    let same_name = InboxSubmission { tenant: other_tenant(), ..start("run", None) };
    let refused = store.submit(same_name).await;
    assert!(matches!(refused, Err(JournalError::Taken { .. })), "{refused:?}");
}

pub async fn items_are_read_in_commit_order_behind_a_place(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    for id in ["c", "a", "b"] {
        let accepted = store.submit(message("run", id)).await.expect("takes it");
        assert!(matches!(accepted, InboxReceipt::Accepted { awake_at: Some(owner), .. } if owner == process));
    }
    let all = store.inbox(ownership.handle, 0).await.expect("reads");
    assert_eq!(ids(&all), ["start", "c", "a", "b"]);
    assert!(all.is_sorted_by_key(|item| item.item));
    let behind = store.inbox(ownership.handle, all[1].item).await.expect("reads");
    assert_eq!(ids(&behind), ["a", "b"]);
}

pub async fn what_breaks_a_limit_is_refused_by_name(store: &(impl JournalStore + ReadModel)) {
    store.submit(start("run", None)).await.expect("starts");
    let most = InboxSubmission { payload: vec![0; INBOX_BYTES_MAX].into(), ..message("run", "most") };
    store.submit(most).await.expect("is within the limit");
    let more = InboxSubmission { payload: vec![0; INBOX_BYTES_MAX + 1].into(), ..message("run", "more") };
    let refused = store.submit(more).await;
    assert!(
        matches!(refused, Err(JournalError::TooLarge { size, limit, .. }) if size == limit + 1 && limit == INBOX_BYTES_MAX),
        "{refused:?}"
    );
}

pub async fn a_full_inbox_takes_no_more_until_it_is_emptied(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    let submit = |number: usize| store.submit(message("run", &format!("m{number}")));
    let taken = join_all((1..INBOX_ITEMS_MAX).map(submit)).await;
    assert!(taken.iter().all(|taken| matches!(taken, Ok(InboxReceipt::Accepted { .. }))));
    let refused = submit(INBOX_ITEMS_MAX).await;
    assert!(matches!(refused, Err(JournalError::TooLarge { limit: INBOX_ITEMS_MAX, .. })), "{refused:?}");
    assert_eq!(submit(1).await.expect("is known"), InboxReceipt::Duplicate, "a known id is acknowledged all the same");
    store.append(JournalAppend { inbox_done: vec![1, 7], ..entry("run", ownership, 0) }).await.expect("consumes two");
    assert!(matches!(submit(INBOX_ITEMS_MAX).await, Ok(InboxReceipt::Accepted { .. })));
    assert!(matches!(submit(INBOX_ITEMS_MAX + 1).await, Ok(InboxReceipt::Accepted { .. })));
    assert!(submit(INBOX_ITEMS_MAX + 2).await.is_err());
}

pub async fn an_append_consumes_its_items_and_no_others(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let (first, second) = (owned(store, "first", process).await, owned(store, "second", process).await);
    store.submit(message("first", "hello")).await.expect("takes it");
    let start_item = store.inbox(first.handle, 0).await.expect("reads")[0].item;
    store.append(JournalAppend { inbox_done: vec![start_item], ..entry("first", first, 0) }).await.expect("consumes");
    assert_eq!(ids(&store.inbox(first.handle, 0).await.expect("reads")), ["hello"]);
    assert_eq!(ids(&store.inbox(second.handle, 0).await.expect("reads")), ["start"]);
    store
        .append(JournalAppend { inbox_done: vec![start_item], ..entry("first", first, 1) })
        .await
        .expect("is harmless");
    assert_eq!(ids(&store.inbox(first.handle, 0).await.expect("reads")), ["hello"]);
}

pub async fn items_that_changed_nothing_are_consumed_without_an_entry(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    store.append(JournalAppend { inbox_done: vec![1], ..entry("run", ownership, 0) }).await.expect("starts");
    store.submit(message("run", "refused")).await.expect("takes it");
    let item = store.inbox(ownership.handle, 0).await.expect("reads")[0].item;
    let nothing = JournalAppend {
        entry: None,
        inbox_done: vec![item],
        outbox: vec![start("asked-for", None)],
        wake_at: Some(at(10)),
        ..entry("run", ownership, 1)
    };
    let foreign = JournalAppend { ownership: Ownership { epoch: ownership.epoch + 1, ..ownership }, ..nothing.clone() };
    assert!(matches!(store.append(foreign).await, Err(JournalError::LeaseLost { .. })), "only its owner consumes");
    let elsewhere = JournalAppend { expected_seq: 2, ..nothing.clone() };
    assert!(
        matches!(store.append(elsewhere).await, Err(JournalError::WrongSequence { found: 1, .. })),
        "by what it is now"
    );
    assert_eq!(ids(&store.inbox(ownership.handle, 0).await.expect("reads")), ["refused"]);
    for _ in 0..2 {
        store.append(nothing.clone()).await.expect("consumes, and again does no harm");
    }
    assert_eq!(store.inbox(ownership.handle, 0).await.expect("reads"), []);
    assert_eq!(store.submit(message("run", "refused")).await.expect("again"), InboxReceipt::Duplicate);
    let shown = store.run(&tenant(), &"run".into()).await.expect("reads").expect("is there");
    assert_eq!(shown.seq, 1);
    assert_eq!(store.entries(&tenant(), &"run".into(), 0, 10).await.expect("reads"), [bytes("run 1")]);
    let asked_for = claimed(store, "asked-for", process, steady(0)).await;
    assert_eq!(ids(&asked_for.inbox), ["start"], "what it answers is delivered once");

    let parks = JournalAppend { release: true, inbox_done: Vec::new(), outbox: Vec::new(), ..nothing };
    store.append(parks).await.expect("parks");
    assert_eq!(
        store.due(process, at(10), steady(10), 10).await.expect("reads"),
        ["run".into()],
        "it is woken when it said"
    );
    let again = claimed(store, "run", process, steady(10)).await;
    assert_eq!((again.seq, again.tail), (1, vec![bytes("run 1")]));
    store.append(entry("run", again.ownership, 1)).await.expect("the next entry has the next number");
}
