//! The smallest values for the checks; also usable in the tests of one implementation.

use std::sync::Arc;

use baton_core::id::TenantId;
use baton_core::model::{ModelProfile, TokenUsage};
use baton_core::money::Usd;
use baton_core::run::RunState;
use baton_core::time::Time;
use baton_core::tool::{AuditRow, AuditStatus};
use baton_ports::budget::{BudgetHolder, CallSpend, SpendAccount};
use baton_ports::clock::MonotonicTime;
use baton_ports::decisions::ModelDecision;
use baton_ports::journal::{
    AggregateKind, ClaimedAggregate, InboxItem, InboxReceipt, InboxSubmission, JournalAppend, JournalStore,
    NewAggregate, Ownership, ProcessId, RunHeadUpdate,
};
use serde_json::json;

pub const FOLD: u32 = 1;

pub fn tenant() -> TenantId {
    "clinic-a".into()
}

pub fn other_tenant() -> TenantId {
    "clinic-b".into()
}

/// A time long after the epoch, plus `ms`.
pub fn at(ms: i64) -> Time {
    Time::from_ms(1_700_000_000_000 + ms)
}

pub fn bytes(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

/// A run's first item.
pub fn start(run: &str, owner: Option<ProcessId>) -> InboxSubmission {
    let creates = NewAggregate { kind: AggregateKind::Run, workflow: "booking".into(), parent: None, owner };
    InboxSubmission { creates: Some(creates), ..message(run, "start") }
}

pub fn message(run: &str, command_id: &str) -> InboxSubmission {
    InboxSubmission {
        aggregate: run.into(),
        tenant: tenant(),
        command_id: command_id.into(),
        payload: bytes(command_id),
        at: at(0),
        creates: None,
    }
}

/// A time equally long after the machine was booted.
pub fn steady(ms: i64) -> MonotonicTime {
    MonotonicTime::from_ms(1_000_000 + ms)
}

/// An append of one entry and nothing else.
pub fn entry(run: &str, ownership: Ownership, expected_seq: u64) -> JournalAppend {
    JournalAppend {
        ownership,
        aggregate: run.into(),
        tenant: tenant(),
        expected_seq,
        at: at(0),
        entry: Some(bytes(&format!("{run} {}", expected_seq + 1))),
        wake_at: None,
        release: false,
        head: None,
        inbox_done: Vec::new(),
        outbox: Vec::new(),
        projections: Vec::new(),
        audit: Vec::new(),
        spends: Vec::new(),
        snapshot: None,
    }
}

pub fn head(state: RunState) -> RunHeadUpdate {
    RunHeadUpdate { state, started_at: Some(at(1)), ended_at: None, cost_nanos: 0, fault: None }
}

pub fn audit(run: &str, action: &str) -> AuditRow {
    AuditRow {
        at: at(3),
        company_id: tenant(),
        run: Some(run.into()),
        call: Some(format!("{run}/{action}/0")),
        changes: false,
        user_id: Some("user-1".into()),
        agent_name: None,
        conversation_id: Some("conversation-1".into()),
        action_type: "tool_execution".into(),
        action: action.into(),
        details: json!({ "arguments": { "a": 1 } }).into(),
        status: AuditStatus::Success,
        sent: true,
        error_code: None,
        cost: Usd::ZERO,
        duration_ms: 12,
        erases: Vec::new(),
    }
}

pub async fn join(store: &impl JournalStore) -> ProcessId {
    store.join(steady(0)).await.expect("joins").process
}

/// A started run that `process` owns, whose start is still open.
pub async fn owned(store: &impl JournalStore, run: &str, process: ProcessId) -> Ownership {
    let submitted = store.submit(start(run, Some(process))).await.expect("starts");
    let ownership = match submitted {
        InboxReceipt::Accepted { owned, .. } => owned,
        InboxReceipt::Duplicate => None,
    };
    ownership.expect("the owner of a new aggregate gets its ownership")
}

/// A run without an owner, whose start has been consumed: it waits with one entry.
pub async fn parked(store: &impl JournalStore, run: &str, process: ProcessId, wake_at: Option<Time>) {
    let ownership = owned(store, run, process).await;
    let append = JournalAppend { inbox_done: vec![1], release: true, wake_at, ..entry(run, ownership, 0) };
    store.append(append).await.expect("parks");
}

pub async fn claimed(store: &impl JournalStore, run: &str, process: ProcessId, now: MonotonicTime) -> ClaimedAggregate {
    let claimed = store.claim(&run.into(), process, FOLD, now).await.expect("can be read");
    claimed.expect("is free")
}

pub fn ids(items: &[InboxItem]) -> Vec<&str> {
    items.iter().map(|item| item.command_id.as_str()).collect()
}

/// One attempt at one model that answered.
pub fn decision(key: &str, attempt: u32) -> ModelDecision {
    ModelDecision {
        tenant: tenant(),
        key: key.to_owned(),
        attempt,
        run: Some("r1".into()),
        workflow: Some("booking".into()),
        node: Some("ask".into()),
        agent: "schedule".into(),
        key_id: None,
        profile: ModelProfile::Fast,
        model: "small".into(),
        provider: "openai".into(),
        estimated_tokens: 12,
        estimated_cost: Usd::from_nanos(345),
        usage: Some(TokenUsage {
            input_tokens: 10,
            output_tokens: 20,
            cached_tokens: 3,
            cache_write_tokens: 4,
            cache_write_hour_tokens: 1,
        }),
        actual_cost: Usd::from_nanos(678),
        latency_ms: 900,
        success: true,
        cached: false,
        error_code: None,
        error_message: None,
        explanation: Some(r#"{"chosen":"small","candidates":[{"model":"small","score":0.5}]}"#.into()),
        created_at: at(0),
    }
}

/// One answered call, in dollars.
pub fn spend(holder: BudgetHolder, cost: f64) -> CallSpend {
    CallSpend {
        tenant: tenant(),
        key_id: None,
        account: SpendAccount { model: "m".into(), agent: "a".into(), ..SpendAccount::default() },
        at: at(0),
        holder: Some(holder),
        calls: 1,
        answered: 1,
        estimated: 0,
        cost: Usd::from_f64(cost),
        usage: TokenUsage { input_tokens: 10, output_tokens: 5, ..Default::default() },
        latency_ms: 20,
        saved: Usd::ZERO,
    }
}
