//! Encodes the ports' values as columns, and decodes them.

use baton_core::bundle::ContentHash;
use baton_core::conversation::{self, ConversationOwner};
use baton_core::model::ModelProfile;
use baton_core::run::RunState;
use baton_core::time::Time;
use baton_core::tool::AuditStatus;
use baton_ports::circuits;
use baton_ports::journal::{AggregateKind, StateSnapshot, TaskItemKind};
use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type, ValueRef};
use serde::de::DeserializeOwned;

/// Decodes a row of `seq` and `state`.
pub(super) fn snapshot(row: &Row<'_>, fold_version: u32) -> rusqlite::Result<StateSnapshot> {
    Ok(StateSnapshot { fold_version, seq: row.get(0)?, state: row.get_ref(1)?.as_blob()?.into() })
}

pub(super) fn kind_word(kind: AggregateKind) -> &'static str {
    match kind {
        AggregateKind::Run => "run",
        AggregateKind::Conversation => "conversation",
        AggregateKind::Desk => "desk",
    }
}

pub(super) fn audit_word(status: AuditStatus) -> &'static str {
    match status {
        AuditStatus::Success => "success",
        AuditStatus::Error => "error",
        AuditStatus::Compensated => "compensated",
    }
}

pub(super) fn task_kind_word(kind: TaskItemKind) -> &'static str {
    match kind {
        TaskItemKind::Approval => "approval",
        TaskItemKind::Form => "form",
        TaskItemKind::Doubt => "doubt",
        TaskItemKind::ToolApproval => "tool_approval",
        TaskItemKind::NotUndone => "not_undone",
        TaskItemKind::Question => "question",
        TaskItemKind::Budget => "budget",
        TaskItemKind::OverBudget => "over_budget",
        TaskItemKind::NeedsKey => "needs_key",
        TaskItemKind::Connection => "connection",
        TaskItemKind::Late => "late",
    }
}

pub(super) fn profile_word(profile: ModelProfile) -> &'static str {
    match profile {
        ModelProfile::Fast => "fast",
        ModelProfile::Balanced => "balanced",
        ModelProfile::Powerful => "powerful",
    }
}

pub(super) fn circuit_word(state: circuits::ModelCircuitState) -> &'static str {
    match state {
        circuits::ModelCircuitState::Closed => "closed",
        circuits::ModelCircuitState::Open => "open",
    }
}

pub(super) fn owner_word(owner: &ConversationOwner) -> &'static str {
    match owner {
        ConversationOwner::Ai => "ai",
        ConversationOwner::Nobody => "nobody",
        ConversationOwner::Person(_) => "person",
    }
}

/// Without the person's name, which has its own column.
pub(super) fn owner(row: &Row<'_>, column: usize) -> rusqlite::Result<ConversationOwner> {
    let found = row.get_ref(column)?.as_str()?;
    let all = [ConversationOwner::Ai, ConversationOwner::Nobody, ConversationOwner::Person(String::new())];
    let owner = all.into_iter().find(|owner| owner_word(owner) == found);
    owner.ok_or_else(|| unknown(column, format!("`{found}` is a word this program does not know")))
}

pub(super) fn conversation_state(row: &Row<'_>, column: usize) -> rusqlite::Result<conversation::ConversationState> {
    word(row, column, &conversation::ConversationState::ALL, conversation::ConversationState::word)
}

pub(super) fn profile(row: &Row<'_>, column: usize) -> rusqlite::Result<ModelProfile> {
    word(row, column, &[ModelProfile::Fast, ModelProfile::Balanced, ModelProfile::Powerful], profile_word)
}

pub(super) fn circuit_state(row: &Row<'_>, column: usize) -> rusqlite::Result<circuits::ModelCircuitState> {
    word(row, column, &[circuits::ModelCircuitState::Closed, circuits::ModelCircuitState::Open], circuit_word)
}

pub(super) fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<AggregateKind> {
    word(row, column, &[AggregateKind::Run, AggregateKind::Conversation, AggregateKind::Desk], kind_word)
}

pub(super) fn audit_status(row: &Row<'_>, column: usize) -> rusqlite::Result<AuditStatus> {
    word(row, column, &[AuditStatus::Success, AuditStatus::Error, AuditStatus::Compensated], audit_word)
}

pub(super) fn task_kind(row: &Row<'_>, column: usize) -> rusqlite::Result<TaskItemKind> {
    const ALL: [TaskItemKind; 11] = [
        TaskItemKind::Approval,
        TaskItemKind::Form,
        TaskItemKind::Doubt,
        TaskItemKind::ToolApproval,
        TaskItemKind::NotUndone,
        TaskItemKind::Question,
        TaskItemKind::Budget,
        TaskItemKind::OverBudget,
        TaskItemKind::NeedsKey,
        TaskItemKind::Connection,
        TaskItemKind::Late,
    ];
    word(row, column, &ALL, task_kind_word)
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<RunState> {
    word(row, column, &RunState::ALL, RunState::word)
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Time> {
    row.get(column).map(Time::from_ms)
}

pub(super) fn maybe_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Time>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Time::from_ms))
}

pub(super) fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<ContentHash> {
    let found = row.get_ref(column)?.as_str()?;
    ContentHash::parse(found).ok_or_else(|| unknown(column, format!("`{found}` is no hash")))
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

pub(super) fn maybe_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    if row.get_ref(column)? == ValueRef::Null { Ok(None) } else { json(row, column).map(Some) }
}

fn word<T: Copy>(row: &Row<'_>, column: usize, all: &[T], spell: fn(T) -> &'static str) -> rusqlite::Result<T> {
    let found = row.get_ref(column)?.as_str()?;
    let value = all.iter().copied().find(|value| spell(*value) == found);
    value.ok_or_else(|| unknown(column, format!("`{found}` is a word this program does not know")))
}

fn unknown(column: usize, reason: String) -> rusqlite::Error {
    let unknown = FromSqlError::Other(reason.into());
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(unknown))
}
