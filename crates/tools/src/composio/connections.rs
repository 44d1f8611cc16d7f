//! Connected accounts by tenant, app and entity: their ids and their status. Tokens stay with Composio.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{RecordError, RecordOp, RecordStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::ConnectionStatus;
use super::entity::ComposioEntity;

const SPACE: &str = "composio.connections";
/// Maximum number of connections in one page, and in all pages of one list.
const PAGE: usize = 500;
const LISTED_MAX: usize = 10_000;
/// Maximum number of attempts when a concurrent writer changes a connection first.
const TRIES_MAX: usize = 5;
/// Maximum number of replaced accounts that are not yet deleted at Composio.
const FORMER_MAX: usize = 10;

/// The account that one entity of a tenant connected to one app.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AppConnection {
    pub app: String,
    #[serde(serialize_with = "worded")]
    pub entity: ComposioEntity,
    /// Composio's id of the connected account.
    pub account: String,
    pub state: ConnectionStatus,
    /// The reason for the status, if Composio gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub connected_at: Time,
    pub checked_at: Time,
    /// The account that replaces it when a person has finished connecting it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<PendingAccount>,
    /// Replaced accounts that Composio still has to delete.
    #[serde(skip)]
    pub(super) former: Vec<String>,
}

/// An account that a person began to connect while another is active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PendingAccount {
    pub account: String,
    pub begun_at: Time,
}

/// A connection in its stored form.
#[derive(Serialize, Deserialize)]
struct ConnectionRow {
    app: String,
    entity: String,
    account: String,
    state: ConnectionStatus,
    #[serde(default)]
    reason: Option<String>,
    connected_at: Time,
    checked_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<PendingAccount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<String>,
}

/// What to do with a connection's record.
pub(super) enum ConnectionChange {
    Keep(AppConnection),
    Delete,
    /// The record is not the one that was meant to be changed.
    Unchanged,
}

impl AppConnection {
    /// Replaces the current account with the next one, which is active.
    pub(super) fn promote_pending(self, now: Time) -> Self {
        let Some(next) = self.next else { return self };
        let mut former = self.former;
        former.push(self.account);
        // Accounts beyond this limit are not deleted and no longer referenced here.
        let from = former.len().saturating_sub(FORMER_MAX);
        Self {
            account: next.account,
            state: ConnectionStatus::Active,
            reason: None,
            connected_at: next.begun_at,
            checked_at: now,
            next: None,
            former: former.split_off(from),
            ..self
        }
    }

    /// The command that reconnects it.
    pub fn reconnect_command(&self) -> String {
        connect_command(&self.app, &self.entity)
    }
}

pub(super) fn connect_command(app: &str, entity: &ComposioEntity) -> String {
    format!("baton tools connect {app}{}", entity.cli_flag())
}

pub(super) struct ConnectionStore<'s> {
    pub(super) records: &'s dyn RecordStore,
    pub(super) tenant: &'s TenantId,
}

impl ConnectionStore<'_> {
    pub(super) async fn find(&self, app: &str, entity: &ComposioEntity) -> Result<Option<AppConnection>, RecordError> {
        Ok(self.read(app, entity).await?.and_then(|(_, connection)| connection))
    }

    /// Returns the record's version and its content.
    async fn read(
        &self,
        app: &str,
        entity: &ComposioEntity,
    ) -> Result<Option<(u64, Option<AppConnection>)>, RecordError> {
        let record = self.records.get(self.tenant, SPACE, &key(app, entity)).await?;
        Ok(record.map(|record| (record.version, read(record.value))))
    }

    /// Changes the stored connection and returns the result. After a conflict, `change` is called again with the
    /// newer value, so that a concurrent callback and renewal are both kept.
    pub(super) async fn change(
        &self,
        app: &str,
        entity: &ComposioEntity,
        now: Time,
        change: impl Fn(Option<AppConnection>) -> ConnectionChange,
    ) -> Result<Option<AppConnection>, RecordError> {
        let mut tries = 0;
        loop {
            let found = self.read(app, entity).await?;
            let version = found.as_ref().map(|(version, _)| *version);
            let before = found.and_then(|(_, connection)| connection);
            let (space, key) = (SPACE.to_owned(), key(app, entity));
            let (ops, after) = match (change(before.clone()), version) {
                (ConnectionChange::Unchanged, _) | (ConnectionChange::Delete, None) => return Ok(before),
                (ConnectionChange::Keep(after), _) if before.as_ref() == Some(&after) => return Ok(before),
                (ConnectionChange::Keep(after), None) => {
                    (vec![RecordOp::Insert { space, key, value: row(&after) }], Some(after))
                }
                (ConnectionChange::Keep(after), Some(version)) => {
                    (vec![RecordOp::CompareAndSet { space, key, version, value: row(&after) }], Some(after))
                }
                (ConnectionChange::Delete, Some(version)) => {
                    let unchanged =
                        RecordOp::CompareAndSet { space: space.clone(), key: key.clone(), version, value: Value::Null };
                    (vec![unchanged, RecordOp::Delete { space, key }], None)
                }
            };
            tries += 1;
            match self.records.commit(self.tenant, ops, now).await {
                Ok(()) => return Ok(after),
                Err(RecordError::Conflict { .. }) if tries < TRIES_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns all connections of the tenant, ordered by app and entity.
    pub(super) async fn all(&self) -> Result<Vec<AppConnection>, RecordError> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.records.list(self.tenant, SPACE, "", after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|record| record.key.clone());
            all.extend(page.into_iter().filter_map(|record| read(record.value)));
            if is_last || all.len() >= LISTED_MAX {
                return Ok(all);
            }
        }
    }
}

fn key(app: &str, entity: &ComposioEntity) -> String {
    format!("{app}/{entity}")
}

fn row(connection: &AppConnection) -> Value {
    let AppConnection { app, entity, account, state, reason, connected_at, checked_at, next, former } =
        connection.clone();
    let entity = entity.to_string();
    let row = ConnectionRow { app, entity, account, state, reason, connected_at, checked_at, next, former };
    serde_json::to_value(row).unwrap_or_default()
}

fn read(value: Value) -> Option<AppConnection> {
    let row: ConnectionRow = serde_json::from_value(value).ok()?;
    let ConnectionRow { app, entity, account, state, reason, connected_at, checked_at, next, former } = row;
    let entity = ComposioEntity::parse(&entity)?;
    Some(AppConnection { app, entity, account, state, reason, connected_at, checked_at, next, former })
}

fn worded<S: serde::Serializer>(entity: &ComposioEntity, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(entity)
}
