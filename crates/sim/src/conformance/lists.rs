use baton_core::audit::ChainTip;
use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_core::money::Usd;
use baton_core::run::RunState;
use baton_ports::audit::{AuditFilter, AuditTrail};
use baton_ports::journal::{
    AggregateKind, InboxSubmission, JournalAppend, JournalStore, NewAggregate, ProjectionRow, RunHeadUpdate, TaskItem,
    TaskItemKind,
};
use baton_ports::read::{ReadModel, RunFilter, customer_hash};
use serde_json::json;

use super::fixtures::{at, audit, entry, head, join, other_tenant, owned, start, steady, tenant};

async fn names(store: &impl ReadModel, filter: RunFilter) -> Vec<String> {
    let runs = store.runs(&tenant(), filter).await.expect("reads");
    runs.iter().map(|run| run.run.to_string()).collect()
}

/// Starts `run-0`, `run-1`, … in these states; every second one with another workflow.
async fn runs_in(store: &impl JournalStore, states: &[RunState]) {
    let process = join(store).await;
    for (number, state) in states.iter().enumerate() {
        let run = format!("run-{number}");
        let workflow = if number % 2 == 0 { "even" } else { "odd" }.into();
        let creates = NewAggregate { kind: AggregateKind::Run, workflow, parent: None, owner: None };
        store.submit(InboxSubmission { creates: Some(creates), ..start(&run, None) }).await.expect("starts");
        let ownership = super::fixtures::claimed(store, &run, process, steady(0)).await.ownership;
        let append = JournalAppend { head: Some(head(*state)), ..entry(&run, ownership, 0) };
        store.append(append).await.expect("appends");
    }
}

pub async fn a_head_shows_what_the_last_append_said(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    let shown = async || store.run(&tenant(), &"run".into()).await.expect("reads").expect("is there");
    let new = shown().await;
    assert_eq!((new.state, new.seq, new.created_at), (RunState::Pending, 0, at(0)));
    let failed = RunHeadUpdate {
        state: RunState::Failed,
        started_at: Some(at(1)),
        ended_at: Some(at(9)),
        cost_nanos: 42,
        fault: Some("TIMEOUT: too slow".into()),
    };
    store.append(JournalAppend { head: Some(failed), ..entry("run", ownership, 0) }).await.expect("appends");
    store.append(entry("run", ownership, 1)).await.expect("appends without a head");
    let last = shown().await;
    assert_eq!((last.state, last.seq), (RunState::Failed, 2));
    assert_eq!((last.started_at, last.ended_at), (Some(at(1)), Some(at(9))));
    assert_eq!((last.cost, last.fault.as_deref()), (Usd::from_nanos(42), Some("TIMEOUT: too slow")));
}

pub async fn runs_are_listed_newest_first_by_state_and_workflow(store: &(impl JournalStore + ReadModel)) {
    use RunState::{Completed, Failed, Running};
    runs_in(store, &[Completed, Failed, Running, Failed, Completed]).await;
    let all = RunFilter::default();
    assert_eq!(names(store, all.clone()).await, ["run-4", "run-3", "run-2", "run-1", "run-0"]);
    let failed = RunFilter { states: vec![Failed], ..all.clone() };
    assert_eq!(names(store, failed).await, ["run-3", "run-1"]);
    let even = RunFilter { workflow: Some("even".into()), ..all.clone() };
    assert_eq!(names(store, even).await, ["run-4", "run-2", "run-0"]);
    let none = RunFilter { workflow: Some("even".into()), states: vec![Failed], ..all };
    assert_eq!(names(store, none).await, [""; 0]);
}

pub async fn runs_are_found_by_customer_version_time_error_and_text(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let (one, other) = (ContentHash::of(b"one"), ContentHash::of(b"other"));
    for (number, (customer, bundle, fault)) in [
        (Some("ana"), &one, None),
        (Some("ben"), &one, Some("TIMEOUT: too slow")),
        (Some("ana"), &other, Some("DECLINED: the card_1 said 100% no")),
        (None, &other, Some("TIMEOUT_TWICE: too slow")),
    ]
    .into_iter()
    .enumerate()
    {
        let run = format!("run-{number}");
        let creates = NewAggregate { kind: AggregateKind::Run, workflow: "book".into(), parent: None, owner: None };
        let begins = 1_000 * i64::try_from(number).expect("few");
        store
            .submit(InboxSubmission { creates: Some(creates), at: at(begins), ..start(&run, None) })
            .await
            .expect("starts");
        let ownership = super::fixtures::claimed(store, &run, process, steady(begins)).await.ownership;
        let begun = ProjectionRow::RunBegun {
            run: run.as_str().into(),
            customer: customer.map(|customer| customer_hash(&tenant(), customer)),
            bundle: bundle.clone(),
        };
        let state = if fault.is_some() { RunState::Failed } else { RunState::Running };
        let head = RunHeadUpdate { fault: fault.map(str::to_owned), ..head(state) };
        store
            .append(JournalAppend { head: Some(head), projections: vec![begun], ..entry(&run, ownership, 0) })
            .await
            .expect("appends");
    }
    let every = RunFilter::default();
    let cases = [
        (RunFilter { customer: Some("ana".into()), ..every.clone() }, &["run-2", "run-0"][..]),
        (RunFilter { customer: Some("nobody".into()), ..every.clone() }, &[]),
        (RunFilter { bundles: Some(vec![one.clone()]), ..every.clone() }, &["run-1", "run-0"]),
        (RunFilter { bundles: Some(vec![one, other]), limit: 3, ..every.clone() }, &["run-3", "run-2", "run-1"]),
        (RunFilter { bundles: Some(Vec::new()), ..every.clone() }, &[]),
        (RunFilter { error_code: Some("TIMEOUT".into()), ..every.clone() }, &["run-1"]),
        (RunFilter { from: Some(at(1_000)), until: Some(at(3_000)), ..every.clone() }, &["run-2", "run-1"]),
        (
            RunFilter { states: vec![RunState::Running, RunState::Failed], limit: 2, ..every.clone() },
            &["run-3", "run-2"],
        ),
        (RunFilter { text: Some("TOO slow".into()), ..every.clone() }, &["run-3", "run-1"]),
        // Wildcards of a pattern are literal here.
        (RunFilter { text: Some("100%".into()), ..every.clone() }, &["run-2"]),
        (RunFilter { text: Some("card_".into()), ..every.clone() }, &["run-2"]),
        (RunFilter { text: Some("t_o".into()), ..every.clone() }, &[]),
        (
            RunFilter {
                customer: Some("ana".into()),
                error_code: Some("DECLINED".into()),
                before: Some("run-3".into()),
                ..every
            },
            &["run-2"],
        ),
    ];
    for (filter, expect) in cases {
        let page = store.run_page(&tenant(), filter.clone()).await.expect("reads");
        let shown: Vec<String> = page.heads.iter().map(|head| head.run.to_string()).collect();
        assert_eq!(shown, expect, "{filter:?}");
        assert_eq!(names(store, filter.clone()).await, expect, "{filter:?}");
        let is_full = filter.limit > 0 && expect.len() == filter.limit;
        assert_eq!(page.next, page.heads.last().filter(|_| is_full).map(|head| head.run.clone()), "{filter:?}");
    }
}

pub async fn pages_follow_their_cursor(store: &(impl JournalStore + ReadModel)) {
    use RunState::{Completed, Failed, Running};
    runs_in(store, &[Completed, Failed, Running, Failed, Completed]).await;
    let page = |before: Option<&str>| RunFilter { before: before.map(Into::into), limit: 2, ..RunFilter::default() };
    assert_eq!(names(store, page(None)).await, ["run-4", "run-3"]);
    assert_eq!(names(store, page(Some("run-3"))).await, ["run-2", "run-1"]);
    assert_eq!(names(store, page(Some("run-1"))).await, ["run-0"]);
    assert_eq!(names(store, page(Some("run-0"))).await, [""; 0]);
}

pub async fn counts_are_by_state(store: &(impl JournalStore + ReadModel)) {
    use RunState::{Completed, Failed, Running};
    runs_in(store, &[Completed, Failed, Running, Failed]).await;
    store.submit(start("new", None)).await.expect("starts");
    let mut counts = store.counts().await.expect("reads");
    counts.sort_unstable();
    assert_eq!(counts, [(RunState::Pending, 1), (Running, 1), (Completed, 1), (Failed, 2)]);
}

fn item(id: &str, title: &str, opened_ms: i64) -> TaskItem {
    TaskItem {
        id: id.into(),
        tenant: tenant(),
        run: Some("run".into()),
        kind: TaskItemKind::Approval,
        title: title.into(),
        details: json!({ "amount": 12 }),
        opened_at: at(opened_ms),
        deadline: Some(at(1_000)),
    }
}

pub async fn desk_items_are_open_until_they_are_closed(store: &(impl JournalStore + ReadModel)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    let close = |id: &str| ProjectionRow::TaskClosed { id: id.into(), at: at(9), outcome: "approved".into() };
    let open = |id: &str, title: &str, ms: i64| ProjectionRow::TaskOpened(item(id, title, ms));
    let steps = [
        (vec![open("run/b", "B", 2), open("run/a", "A", 1)], vec![item("run/a", "A", 1), item("run/b", "B", 2)]),
        (vec![close("run/a")], vec![item("run/b", "B", 2)]),
        (vec![close("run/a"), close("run/nothing")], vec![item("run/b", "B", 2)]),
        (vec![open("run/a", "A, changed", 5)], vec![item("run/b", "B", 2), item("run/a", "A, changed", 5)]),
        (vec![close("run/a"), close("run/b")], vec![]),
    ];
    for (seq, (projections, expect)) in (0..).zip(steps) {
        store.append(JournalAppend { projections, ..entry("run", ownership, seq) }).await.expect("appends");
        assert_eq!(store.open_tasks(&tenant(), None).await.expect("reads"), expect);
        assert_eq!(store.open_tasks(&tenant(), Some(&"run".into())).await.expect("reads"), expect);
        assert_eq!(store.open_tasks(&tenant(), Some(&"other".into())).await.expect("reads"), []);
    }
}

pub async fn runs_are_found_by_the_beginning_of_their_ids(store: &(impl JournalStore + ReadModel)) {
    runs_in(store, &[RunState::Failed; 3]).await;
    let begun_by = async |tenant: &TenantId, prefix: &str, limit: usize| {
        let runs = store.roots_with_prefix(tenant, prefix, limit).await.expect("reads");
        runs.iter().map(|run| run.run.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(begun_by(&tenant(), "run-", 10).await, ["run-0", "run-1", "run-2"]);
    assert_eq!(begun_by(&tenant(), "run-", 2).await, ["run-0", "run-1"]);
    assert_eq!(begun_by(&tenant(), "run-1", 10).await, ["run-1"]);
    assert_eq!(begun_by(&tenant(), "run-1%", 10).await, [""; 0]);
    assert_eq!(begun_by(&other_tenant(), "run-", 10).await, [""; 0]);
}

pub async fn nothing_crosses_tenants(store: &(impl JournalStore + ReadModel + AuditTrail)) {
    let process = join(store).await;
    let ownership = owned(store, "run", process).await;
    let append = JournalAppend {
        audit: vec![audit("run", "calculator")],
        projections: vec![ProjectionRow::TaskOpened(item("run/a", "A", 1))],
        ..entry("run", ownership, 0)
    };
    store.append(append).await.expect("appends");
    let (other, run) = (other_tenant(), "run".into());
    assert_eq!(store.run(&other, &run).await.expect("reads"), None);
    assert_eq!(store.runs(&other, RunFilter::default()).await.expect("reads"), []);
    assert_eq!(store.entries(&other, &run, 0, 10).await.expect("reads").len(), 0);
    assert_eq!(store.open_tasks(&other, None).await.expect("reads"), []);
    assert_eq!(store.trail(&other, AuditFilter::default()).await.expect("reads"), []);
    assert_eq!(store.tip(&other).await.expect("reads"), ChainTip::NONE);
    let before = RunFilter { before: Some(run), ..RunFilter::default() };
    assert_eq!(store.runs(&other, before).await.expect("reads"), []);
}
