//! How the ports' values are written in columns, and read back.

use baton_core::bundle::Hash;
use baton_core::conversation::{self, Owner};
use baton_core::model::Profile;
use baton_core::run::State;
use baton_core::time::Time;
use baton_core::tool::AuditStatus;
use baton_ports::circuits;
use baton_ports::journal::{DeskKind, Kind, Snapshot};
use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type, ValueRef};
use serde::de::DeserializeOwned;

/// Of a row of `seq` and `state`.
pub(super) fn snapshot(row: &Row<'_>, fold_version: u32) -> rusqlite::Result<Snapshot> {
    Ok(Snapshot { fold_version, seq: row.get(0)?, state: row.get_ref(1)?.as_blob()?.into() })
}

pub(super) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Run => "run",
        Kind::Conversation => "conversation",
        Kind::Desk => "desk",
    }
}

pub(super) fn audit_word(status: AuditStatus) -> &'static str {
    match status {
        AuditStatus::Success => "success",
        AuditStatus::Error => "error",
        AuditStatus::Compensated => "compensated",
    }
}

pub(super) fn desk_word(kind: DeskKind) -> &'static str {
    match kind {
        DeskKind::Approval => "approval",
        DeskKind::Form => "form",
        DeskKind::Doubt => "doubt",
        DeskKind::ToolApproval => "tool_approval",
        DeskKind::NotUndone => "not_undone",
        DeskKind::Question => "question",
        DeskKind::Budget => "budget",
        DeskKind::OverBudget => "over_budget",
        DeskKind::NeedsKey => "needs_key",
        DeskKind::Connection => "connection",
        DeskKind::Late => "late",
    }
}

pub(super) fn profile_word(profile: Profile) -> &'static str {
    match profile {
        Profile::Fast => "fast",
        Profile::Balanced => "balanced",
        Profile::Powerful => "powerful",
    }
}

pub(super) fn circuit_word(state: circuits::State) -> &'static str {
    match state {
        circuits::State::Closed => "closed",
        circuits::State::Open => "open",
    }
}

pub(super) fn owner_word(owner: &Owner) -> &'static str {
    match owner {
        Owner::Ai => "ai",
        Owner::Nobody => "nobody",
        Owner::Person(_) => "person",
    }
}

/// Without the person's name, which is a column of its own.
pub(super) fn owner(row: &Row<'_>, column: usize) -> rusqlite::Result<Owner> {
    let found = row.get_ref(column)?.as_str()?;
    let all = [Owner::Ai, Owner::Nobody, Owner::Person(String::new())];
    let owner = all.into_iter().find(|owner| owner_word(owner) == found);
    owner.ok_or_else(|| unknown(column, format!("`{found}` is a word this program does not know")))
}

pub(super) fn conversation_state(row: &Row<'_>, column: usize) -> rusqlite::Result<conversation::State> {
    word(row, column, &conversation::State::ALL, conversation::State::word)
}

pub(super) fn profile(row: &Row<'_>, column: usize) -> rusqlite::Result<Profile> {
    word(row, column, &[Profile::Fast, Profile::Balanced, Profile::Powerful], profile_word)
}

pub(super) fn circuit_state(row: &Row<'_>, column: usize) -> rusqlite::Result<circuits::State> {
    word(row, column, &[circuits::State::Closed, circuits::State::Open], circuit_word)
}

pub(super) fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<Kind> {
    word(row, column, &[Kind::Run, Kind::Conversation, Kind::Desk], kind_word)
}

pub(super) fn audit_status(row: &Row<'_>, column: usize) -> rusqlite::Result<AuditStatus> {
    word(row, column, &[AuditStatus::Success, AuditStatus::Error, AuditStatus::Compensated], audit_word)
}

pub(super) fn desk_kind(row: &Row<'_>, column: usize) -> rusqlite::Result<DeskKind> {
    const ALL: [DeskKind; 11] = [
        DeskKind::Approval,
        DeskKind::Form,
        DeskKind::Doubt,
        DeskKind::ToolApproval,
        DeskKind::NotUndone,
        DeskKind::Question,
        DeskKind::Budget,
        DeskKind::OverBudget,
        DeskKind::NeedsKey,
        DeskKind::Connection,
        DeskKind::Late,
    ];
    word(row, column, &ALL, desk_word)
}

pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<State> {
    word(row, column, &State::ALL, State::word)
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Time> {
    row.get(column).map(Time::from_ms)
}

pub(super) fn maybe_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Time>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Time::from_ms))
}

pub(super) fn hash(row: &Row<'_>, column: usize) -> rusqlite::Result<Hash> {
    let found = row.get_ref(column)?.as_str()?;
    Hash::parse(found).ok_or_else(|| unknown(column, format!("`{found}` is no hash")))
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
