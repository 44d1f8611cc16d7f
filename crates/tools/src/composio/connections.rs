//! Connected accounts, by tenant, app and entity: their ids and how they stand. Tokens stay with Composio.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{Error, Op, Records};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::State;
use super::entity::Entity;

const SPACE: &str = "composio.connections";
/// Connections of one page, and of all pages of one list.
const PAGE: usize = 500;
const LISTED_MAX: usize = 10_000;
/// How often somebody else may write a connection first.
const TRIES_MAX: usize = 5;
/// Accounts that were replaced and are not deleted at Composio yet.
const FORMER_MAX: usize = 10;

/// The account that one entity of a tenant connected to one app.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Connection {
    pub app: String,
    #[serde(serialize_with = "worded")]
    pub entity: Entity,
    /// Composio's id of the connected account.
    pub account: String,
    pub state: State,
    /// Why it stands so, where Composio says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub connected_at: Time,
    pub checked_at: Time,
    /// The account that takes its place once a person has finished connecting it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    /// Accounts whose place was taken, which Composio is still to delete.
    #[serde(skip)]
    pub(super) former: Vec<String>,
}

/// An account that a person began to connect while another performs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Next {
    pub account: String,
    pub begun_at: Time,
}

/// As it is stored.
#[derive(Serialize, Deserialize)]
struct Row {
    app: String,
    entity: String,
    account: String,
    state: State,
    #[serde(default)]
    reason: Option<String>,
    connected_at: Time,
    checked_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Next>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<String>,
}

/// What becomes of a connection's record.
pub(super) enum Change {
    Keep(Connection),
    Forget,
    /// What is there is not what was meant to be changed.
    Leave,
}

impl Connection {
    /// The next account takes its place: it is active.
    pub(super) fn succeeded(self, now: Time) -> Self {
        let Some(next) = self.next else { return self };
        let mut former = self.former;
        former.push(self.account);
        // More than these are not deleted; nothing here names them any more.
        let from = former.len().saturating_sub(FORMER_MAX);
        Self {
            account: next.account,
            state: State::Active,
            reason: None,
            connected_at: next.begun_at,
            checked_at: now,
            next: None,
            former: former.split_off(from),
            ..self
        }
    }

    /// The command that connects it again.
    pub fn command(&self) -> String {
        command(&self.app, &self.entity)
    }
}

pub(super) fn command(app: &str, entity: &Entity) -> String {
    format!("baton tools connect {app}{}", entity.flag())
}

pub(super) struct Connections<'s> {
    pub(super) records: &'s dyn Records,
    pub(super) tenant: &'s TenantId,
}

impl Connections<'_> {
    pub(super) async fn find(&self, app: &str, entity: &Entity) -> Result<Option<Connection>, Error> {
        Ok(self.read(app, entity).await?.and_then(|(_, connection)| connection))
    }

    /// The record's version, and what it says.
    async fn read(&self, app: &str, entity: &Entity) -> Result<Option<(u64, Option<Connection>)>, Error> {
        let record = self.records.get(self.tenant, SPACE, &key(app, entity)).await?;
        Ok(record.map(|record| (record.version, read(record.value))))
    }

    /// Changes what is kept, and answers what is kept then. Where somebody else writes first, `change` is asked again about
    /// what they wrote, so that of a callback and a renewal at once none is lost.
    pub(super) async fn change(
        &self,
        app: &str,
        entity: &Entity,
        now: Time,
        change: impl Fn(Option<Connection>) -> Change,
    ) -> Result<Option<Connection>, Error> {
        let mut tries = 0;
        loop {
            let found = self.read(app, entity).await?;
            let version = found.as_ref().map(|(version, _)| *version);
            let before = found.and_then(|(_, connection)| connection);
            let (space, key) = (SPACE.to_owned(), key(app, entity));
            let (ops, after) = match (change(before.clone()), version) {
                (Change::Leave, _) | (Change::Forget, None) => return Ok(before),
                (Change::Keep(after), _) if before.as_ref() == Some(&after) => return Ok(before),
                (Change::Keep(after), None) => (vec![Op::Insert { space, key, value: row(&after) }], Some(after)),
                (Change::Keep(after), Some(version)) => {
                    (vec![Op::CompareAndSet { space, key, version, value: row(&after) }], Some(after))
                }
                (Change::Forget, Some(version)) => {
                    let unchanged =
                        Op::CompareAndSet { space: space.clone(), key: key.clone(), version, value: Value::Null };
                    (vec![unchanged, Op::Delete { space, key }], None)
                }
            };
            tries += 1;
            match self.records.commit(self.tenant, ops, now).await {
                Ok(()) => return Ok(after),
                Err(Error::Conflict { .. }) if tries < TRIES_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// All of the tenant's, by app and entity.
    pub(super) async fn all(&self) -> Result<Vec<Connection>, Error> {
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

fn key(app: &str, entity: &Entity) -> String {
    format!("{app}/{entity}")
}

fn row(connection: &Connection) -> Value {
    let Connection { app, entity, account, state, reason, connected_at, checked_at, next, former } = connection.clone();
    let entity = entity.to_string();
    let row = Row { app, entity, account, state, reason, connected_at, checked_at, next, former };
    serde_json::to_value(row).unwrap_or_default()
}

fn read(value: Value) -> Option<Connection> {
    let row: Row = serde_json::from_value(value).ok()?;
    let Row { app, entity, account, state, reason, connected_at, checked_at, next, former } = row;
    let entity = Entity::parse(&entity)?;
    Some(Connection { app, entity, account, state, reason, connected_at, checked_at, next, former })
}

fn worded<S: serde::Serializer>(entity: &Entity, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(entity)
}
