use baton_ports::feed::{FeedSpace, JournalFeed};
use baton_ports::journal::{AggregateKind, InboxSubmission, JournalAppend, JournalStore, NewAggregate, Ownership};
use baton_ports::records::{RecordOp, RecordStore};
use futures::future::join_all;
use serde_json::json;

use super::fixtures::{at, bytes, claimed, entry, join, other_tenant, owned, start, tenant};

/// The number of entries of one run, and of runs: together more than one page.
const EACH: u64 = 75;
const MANY: usize = 30;

/// An aggregate of this kind that has begun and is owned.
async fn begun(store: &impl JournalStore, id: &str, kind: AggregateKind) -> Ownership {
    let creates = NewAggregate { kind, workflow: "shop".into(), parent: None, owner: None };
    store.submit(InboxSubmission { creates: Some(creates), ..start(id, None) }).await.expect("begins");
    let process = join(store).await;
    claimed(store, id, process, super::fixtures::steady(0)).await.ownership
}

async fn append(store: &impl JournalStore, id: &str, ownership: Ownership, seq: u64) {
    store.append(entry(id, ownership, seq)).await.expect("appends");
}

pub async fn entries_are_told_in_the_order_in_which_they_were_laid(store: &(impl JournalStore + JournalFeed)) {
    assert_eq!(store.newest().await.expect("reads"), 0);
    let run = owned(store, "run-1", join(store).await).await;
    let talk = begun(store, "talk-1", AggregateKind::Conversation).await;
    append(store, "run-1", run, 0).await;
    append(store, "talk-1", talk, 0).await;
    append(store, "run-1", run, 1).await;
    let (laid, up_to) = store.journal_entries(&tenant(), 0).await.expect("reads");
    let told: Vec<_> = laid.iter().map(|one| (one.kind, one.run.as_str(), &*one.workflow, one.is_child)).collect();
    assert_eq!(
        told,
        [
            (AggregateKind::Run, "run-1", "booking", false),
            (AggregateKind::Conversation, "talk-1", "shop", false),
            (AggregateKind::Run, "run-1", "booking", false),
        ]
    );
    let entries: Vec<_> = laid.iter().map(|one| one.entry.clone()).collect();
    assert_eq!(entries, [bytes("run-1 1"), bytes("talk-1 1"), bytes("run-1 2")]);
    assert!(laid.is_sorted_by(|one, next| one.id < next.id), "{laid:?}");
    assert_eq!((up_to, Some(up_to)), (store.newest().await.expect("reads"), laid.last().map(|one| one.id)));
}

pub async fn a_child_is_told_to_be_one(store: &(impl JournalStore + JournalFeed)) {
    let process = join(store).await;
    let run = owned(store, "run-1", process).await;
    let creates =
        NewAggregate { kind: AggregateKind::Run, workflow: "pay".into(), parent: Some("run-1".into()), owner: None };
    let child = InboxSubmission { creates: Some(creates), ..start("run-1/child", None) };
    store.append(JournalAppend { outbox: vec![child], ..entry("run-1", run, 0) }).await.expect("appends");
    let ownership = claimed(store, "run-1/child", process, super::fixtures::steady(0)).await.ownership;
    append(store, "run-1/child", ownership, 0).await;
    let (laid, _) = store.journal_entries(&tenant(), 0).await.expect("reads");
    let told: Vec<_> = laid.iter().map(|one| (one.run.as_str(), &*one.workflow, one.is_child)).collect();
    assert_eq!(told, [("run-1", "booking", false), ("run-1/child", "pay", true)]);
}

pub async fn what_is_large_is_told_whole(store: &(impl JournalStore + JournalFeed)) {
    let run = owned(store, "run-1", join(store).await).await;
    let large = bytes(&"x".repeat(100 << 10));
    store.append(JournalAppend { entry: Some(large.clone()), ..entry("run-1", run, 0) }).await.expect("appends");
    let (laid, _) = store.journal_entries(&tenant(), 0).await.expect("reads");
    assert!(laid.len() == 1 && laid[0].entry == large, "{} were told", laid.len());
}

pub async fn reading_leaves_nothing_behind_and_goes_on_behind_a_place(store: &(impl JournalStore + JournalFeed)) {
    let run = owned(store, "run-1", join(store).await).await;
    for seq in 0..3 {
        append(store, "run-1", run, seq).await;
    }
    let (all, up_to) = store.journal_entries(&tenant(), 0).await.expect("reads");
    assert_eq!(store.journal_entries(&tenant(), 0).await.expect("reads"), (all.clone(), up_to));
    assert_eq!(store.journal_entries(&tenant(), all[0].id).await.expect("reads"), (all[1..].to_vec(), up_to));
    assert_eq!(store.journal_entries(&tenant(), up_to).await.expect("reads"), (Vec::new(), up_to));
    append(store, "run-1", run, 3).await;
    let (more, _) = store.journal_entries(&tenant(), up_to).await.expect("reads");
    assert_eq!(more.into_iter().map(|one| one.entry).collect::<Vec<_>>(), [bytes("run-1 4")]);
}

pub async fn whoever_reads_piece_by_piece_misses_nothing_and_reads_nothing_twice(
    store: &(impl JournalStore + JournalFeed),
) {
    let process = join(store).await;
    join_all((0..MANY).map(async |number| {
        let id = format!("run-{number}");
        let run = owned(store, &id, process).await;
        for seq in 0..EACH {
            append(store, &id, run, seq).await;
        }
    }))
    .await;
    let (newest, mut after, mut ids) = (store.newest().await.expect("reads"), 0, Vec::new());
    while after < newest {
        let (laid, up_to) = store.journal_entries(&tenant(), after).await.expect("reads");
        assert!(up_to > after, "it stands still at {after} of {newest}");
        assert!(laid.iter().all(|one| one.id > after && one.id <= up_to), "behind {after}, up to {up_to}");
        ids.extend(laid.iter().map(|one| one.id));
        after = up_to;
    }
    assert_eq!(ids.len() as u64, EACH * MANY as u64);
    assert!(ids.is_sorted_by(|one, next| one < next), "in order, each once");
}

pub async fn entries_are_told_to_their_tenant_alone(store: &(impl JournalStore + JournalFeed)) {
    let run = owned(store, "run-1", join(store).await).await;
    append(store, "run-1", run, 0).await;
    let (laid, up_to) = store.journal_entries(&other_tenant(), 0).await.expect("reads");
    assert_eq!((laid, up_to), (Vec::new(), store.newest().await.expect("reads")), "others' were looked at too");
}

pub async fn conversations_alone_are_talked_of_and_desks_are_told_of_to_nobody(
    store: &(impl JournalStore + JournalFeed),
) {
    let run = owned(store, "run-1", join(store).await).await;
    let desk = begun(store, "desk/clinic-a", AggregateKind::Desk).await;
    let talk = begun(store, "talk-1", AggregateKind::Conversation).await;
    append(store, "run-1", run, 0).await;
    append(store, "talk-1", talk, 0).await;
    append(store, "desk/clinic-a", desk, 0).await;
    append(store, "talk-1", talk, 1).await;
    let (talked, up_to) = store.conversation_activity(0).await.expect("reads");
    let told: Vec<_> = talked.iter().map(|one| (one.tenant.clone(), one.conversation.as_str())).collect();
    assert_eq!(told, [(tenant(), "talk-1"), (tenant(), "talk-1")]);
    assert_eq!(up_to, store.newest().await.expect("reads"));
    assert_eq!(store.conversation_activity(talked[0].id).await.expect("reads"), (talked[1..].to_vec(), up_to));
    let (laid, _) = store.journal_entries(&tenant(), 0).await.expect("reads");
    assert!(laid.iter().all(|one| one.kind != AggregateKind::Desk), "{laid:?}");
}

pub async fn tenants_are_told_by_what_they_keep(store: &(impl RecordStore + JournalFeed)) {
    let put = |space: &str| RecordOp::Put { space: space.into(), key: "a".into(), value: json!({}) };
    let spaces = [
        ("schedule", FeedSpace::Schedules),
        ("subscription", FeedSpace::Subscriptions),
        ("webhook_pending", FeedSpace::Deliveries),
        ("secrets", FeedSpace::Secrets),
        ("hook_secret", FeedSpace::Secrets),
        ("subscription_secret", FeedSpace::Secrets),
    ];
    for (name, space) in spaces {
        assert_eq!(store.tenants(space).await.expect("reads"), [], "{name}");
        store.commit(&other_tenant(), vec![put(name)], at(0)).await.expect("puts");
        store.commit(&tenant(), vec![put(name)], at(0)).await.expect("puts");
        assert_eq!(store.tenants(space).await.expect("reads"), [tenant(), other_tenant()], "{name}");
        let delete = RecordOp::Delete { space: name.into(), key: "a".into() };
        for tenant in [tenant(), other_tenant()] {
            store.commit(&tenant, vec![delete.clone()], at(0)).await.expect("deletes");
        }
    }
    store.commit(&tenant(), vec![put("bookings")], at(0)).await.expect("puts");
    for (name, space) in spaces {
        assert_eq!(store.tenants(space).await.expect("reads"), [], "{name}");
    }
}
