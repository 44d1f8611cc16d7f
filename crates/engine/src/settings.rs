//! Settings that tenants change at run time, in addition to the settings files: rules for their tools, tool sources and
//! spending limits.
//!
//! They are stored with the records of the system tenant. Each process passes all of them to their consumer: changes
//! made in this process at once, and changes made in others at the next read.
//!
//! A lower role cannot loosen or remove what a higher role set. A rule carries the newest value of the highest role
//! that set it as its floor, and lower roles may only be stricter. Who set what, and when, is kept as history.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::money::BudgetWindow;
use baton_core::time::Time;
use baton_ports::budget::{BudgetPeriod, BudgetPolicy};
use baton_ports::keys::AccessRole;
use baton_ports::records::{self, RecordOp, RecordStore, StoredRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tenants::system_tenant;

const SPACE: &str = "setting";
/// Record space of the history, by the setting's key and the number of the change.
const HISTORY: &str = "setting_history";
/// Maximum number of changes kept for one setting; the oldest are removed first.
pub const HISTORY_MAX: usize = 100;
/// Attempts to change a setting without a precondition under concurrent changes.
const ATTEMPTS_MAX: u32 = 10;
/// Maximum number of settings of one tenant.
pub const SETTINGS_MAX: usize = 1_000;
/// Records per read.
const PAGE: usize = 500;

/// The subject of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingTopic {
    /// A tool, by its name.
    Tool,
    /// A spending limit: of a key, by its id, or of the tenant, by [`TENANT`].
    Budget,
    /// One of the tenant's own tool sources, by its name.
    Source,
}

/// The name of the limit on a tenant's total spending.
pub const TENANT: &str = "tenant";

/// A setting of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TenantSetting {
    pub tenant: TenantId,
    pub topic: SettingTopic,
    pub name: String,
    pub value: Value,
    /// Who set it; `None` if unknown, or if the system set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<SettingAuthor>,
    /// The value of a higher role, if a lower role has set a stricter one since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Box<SettingFloor>>,
    /// Increases with each change, also across removals.
    #[serde(skip)]
    pub changes: u64,
}

/// The author of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingAuthor {
    /// The name of a key.
    pub name: String,
    pub role: AccessRole,
}

/// The value that a setting must not be looser than.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingFloor {
    pub value: Value,
    /// Who set it; `None` if unknown, which counts as the highest role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<SettingAuthor>,
}

/// One change of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingChange {
    pub at: Time,
    /// `None` if the system made the change.
    pub set_by: Option<SettingAuthor>,
    /// `None` if the value was reset to that of the files.
    pub value: Option<Value>,
}

impl SettingFloor {
    fn role(&self) -> AccessRole {
        self.set_by.as_ref().map_or(AccessRole::Admin, |author| author.role)
    }
}

/// The precondition of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingPrecondition {
    Any,
    /// The setting must not exist.
    Absent,
    /// The setting must have changed exactly this many times.
    Version(u64),
}

impl SettingPrecondition {
    /// Without an expected number of changes, any state is accepted.
    pub fn of(expected: Option<u64>) -> Self {
        expected.map_or(Self::Any, Self::Version)
    }
}

/// The stored form of a setting.
#[derive(Serialize, Deserialize)]
struct SettingRecord {
    #[serde(flatten)]
    setting: TenantSetting,
    /// The setting was removed. Its record is kept for the number of changes, which must not be reused: each tenant
    /// keeps the [`SETTINGS_MAX`] that were removed last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_gone: bool,
}

/// Applies the settings.
#[async_trait]
pub trait SettingConsumer: Send + Sync {
    /// Returns the reason if the value cannot be set.
    fn check(&self, topic: SettingTopic, value: &Value) -> Result<(), String>;

    /// What `to` would allow that `from` does not, in words; `None` if it is as strict or stricter.
    fn loosens(&self, topic: SettingTopic, from: &Value, to: &Value) -> Option<String>;

    /// Applies all current settings, ordered by tenant and name.
    async fn apply(&self, all: &[TenantSetting]);
}

#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("{0}")]
    Refused(String),
    /// It was changed since it was read.
    #[error("`{name}` was changed since it was read")]
    Stale { name: String },
    /// A higher role set it.
    #[error("{set_by} set `{name}`, and a `{role}` may only make it stricter: {what}")]
    Loosened { name: String, set_by: String, role: &'static str, what: String },
    #[error("a tenant sets at most {SETTINGS_MAX} of these")]
    TooMany,
    #[error(transparent)]
    Records(#[from] records::RecordError),
}

/// The settings of one database.
pub struct SettingStore {
    records: Arc<dyn RecordStore>,
    consumer: Arc<dyn SettingConsumer>,
    /// One read at a time, so that an older result never replaces a newer one.
    reload_lock: tokio::sync::Mutex<()>,
}

impl SettingTopic {
    fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Budget => "budget",
            Self::Source => "source",
        }
    }
}

impl SettingStore {
    pub fn new(records: Arc<dyn RecordStore>, hands: Arc<dyn SettingConsumer>) -> Self {
        Self { records, consumer: hands, reload_lock: tokio::sync::Mutex::default() }
    }

    /// Reads all current settings and applies them.
    ///
    /// # Errors
    /// They cannot be read; the previous settings stay in force.
    pub async fn reload(&self) -> Result<(), records::RecordError> {
        let _turn = self.reload_lock.lock().await;
        let all = self.list("", usize::MAX).await?;
        self.consumer.apply(&all).await;
        Ok(())
    }

    /// The tenant's setting, or `None` if it is not set.
    pub async fn find(
        &self,
        tenant: &TenantId,
        topic: SettingTopic,
        name: &str,
    ) -> Result<Option<TenantSetting>, records::RecordError> {
        let found = self.records.get(&system_tenant(), SPACE, &key(tenant, topic, name)).await?;
        Ok(found.map(read).transpose()?.flatten())
    }

    /// All settings of a tenant on one topic, by name.
    pub async fn of(&self, tenant: &TenantId, topic: SettingTopic) -> Result<Vec<TenantSetting>, records::RecordError> {
        self.list(&key(tenant, topic, ""), usize::MAX).await
    }

    /// Sets a value and applies it; the records `beside` are written in the same batch. The `floor` is computed here.
    ///
    /// # Errors
    /// [`SettingError::Stale`] if the precondition `before` does not hold; [`SettingError::Loosened`] if a role above
    /// the author's has set a stricter value.
    pub async fn put(
        &self,
        new: TenantSetting,
        before: SettingPrecondition,
        beside: Vec<RecordOp>,
        now: Time,
    ) -> Result<TenantSetting, SettingError> {
        self.consumer.check(new.topic, &new.value).map_err(SettingError::Refused)?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.put_once(new.clone(), before, beside.clone(), now).await {
                Err(SettingError::Stale { .. }) if before == SettingPrecondition::Any && attempt < ATTEMPTS_MAX => {}
                done => return done,
            }
        }
    }

    async fn put_once(
        &self,
        new: TenantSetting,
        before: SettingPrecondition,
        beside: Vec<RecordOp>,
        now: Time,
    ) -> Result<TenantSetting, SettingError> {
        let (space, key) = (SPACE.to_owned(), key(&new.tenant, new.topic, &new.name));
        let found = self.records.get(&system_tenant(), SPACE, &key).await?;
        let version = found.as_ref().map(|record| record.version);
        let there = found.map(read).transpose()?.flatten();
        let is_there = there.is_some();
        let floor = there.map(|there| self.floor_under(there, new.set_by.as_ref(), &new.value)).transpose()?.flatten();
        let new = TenantSetting { floor: floor.map(Box::new), ..new };
        let value = record_value(new.clone(), false)?;
        let own = format!("{}/", new.tenant);
        if !is_there && self.list(&own, SETTINGS_MAX).await?.len() >= SETTINGS_MAX {
            return Err(SettingError::TooMany);
        }
        let past = SettingChange { at: now, set_by: new.set_by.clone(), value: Some(new.value.clone()) };
        let past = self.history_ops(&key, version, &past).await?;
        // The write replaces exactly the version that was read, so a floor set meanwhile is not overwritten.
        let op = match (before, version) {
            (SettingPrecondition::Absent, _) if is_there => return Err(SettingError::Stale { name: new.name }),
            (SettingPrecondition::Version(expected), _) if version != Some(expected) => {
                return Err(SettingError::Stale { name: new.name });
            }
            (_, Some(version)) => RecordOp::CompareAndSet { space, key, version, value },
            (_, None) => RecordOp::Insert { space, key, value },
        };
        self.write([op].into_iter().chain(past).chain(beside).collect(), &new.name, now).await?;
        Ok(self.find(&new.tenant, new.topic, &new.name).await?.unwrap_or(new))
    }

    /// Resets a setting to the value in the files; with `expected`, only if it has changed that many times. The records
    /// `beside` are written if the setting existed. Returns whether it existed.
    ///
    /// # Errors
    /// [`SettingError::Loosened`] if a role above that of `by` set it.
    pub async fn remove(
        &self,
        tenant: &TenantId,
        (topic, name): (SettingTopic, &str),
        by: Option<SettingAuthor>,
        expected: Option<u64>,
        beside: Vec<RecordOp>,
        now: Time,
    ) -> Result<bool, SettingError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.remove_once(tenant, (topic, name), by.clone(), expected, beside.clone(), now).await {
                Err(SettingError::Stale { .. }) if expected.is_none() && attempt < ATTEMPTS_MAX => {}
                done => return done,
            }
        }
    }

    async fn remove_once(
        &self,
        tenant: &TenantId,
        (topic, name): (SettingTopic, &str),
        by: Option<SettingAuthor>,
        expected: Option<u64>,
        beside: Vec<RecordOp>,
        now: Time,
    ) -> Result<bool, SettingError> {
        let Some(setting) = self.find(tenant, topic, name).await? else {
            return expected.map_or(Ok(false), |_| Err(SettingError::Stale { name: name.to_owned() }));
        };
        let (read, nothing) = (setting.changes, Value::Object(serde_json::Map::new()));
        if expected.is_some_and(|expected| expected != read) {
            return Err(SettingError::Stale { name: name.to_owned() });
        }
        self.floor_under(setting.clone(), by.as_ref(), &nothing)?;
        // A binary that does not know removed settings reads the empty value as no restriction.
        let value = record_value(TenantSetting { value: nothing, set_by: by.clone(), floor: None, ..setting }, true)?;
        let (space, key) = (SPACE.to_owned(), key(tenant, topic, name));
        let past = self.history_ops(&key, Some(read), &SettingChange { at: now, set_by: by, value: None }).await?;
        let gone = RecordOp::CompareAndSet { space, key, version: read, value };
        let ops = [gone].into_iter().chain(past).chain(beside).chain(self.evict_tombstone(tenant).await?).collect();
        self.write(ops, name, now).await?;
        Ok(true)
    }

    /// The changes of a setting, newest first: at most [`HISTORY_MAX`].
    pub async fn history(
        &self,
        tenant: &TenantId,
        topic: SettingTopic,
        name: &str,
    ) -> Result<Vec<SettingChange>, records::RecordError> {
        let records = self
            .records
            .list(&system_tenant(), HISTORY, &history_prefix(&key(tenant, topic, name)), None, PAGE)
            .await?;
        // The times are those of the changes, whenever they are read.
        Ok(records.into_iter().rev().filter_map(|record| serde_json::from_value(record.value).ok()).collect())
    }

    /// The floor that a change keeps from a higher role; `None` if its author has that role or a higher one.
    fn floor_under(
        &self,
        there: TenantSetting,
        by: Option<&SettingAuthor>,
        value: &Value,
    ) -> Result<Option<SettingFloor>, SettingError> {
        let TenantSetting { topic, name, value: was, set_by, floor, .. } = there;
        let floor = floor.map_or(SettingFloor { value: was, set_by }, |floor| *floor);
        let Some(by) = by.filter(|by| !by.role.covers(floor.role())) else { return Ok(None) };
        if let Some(what) = self.consumer.loosens(topic, &floor.value, value) {
            let set_by = match &floor.set_by {
                Some(SettingAuthor { name, role }) => format!("`{name}`, who is `{}`,", role.word()),
                None => "somebody who may be `admin`".to_owned(),
            };
            return Err(SettingError::Loosened { name, set_by, role: by.role.word(), what });
        }
        Ok(Some(floor))
    }

    /// The operations that add a change to the history and remove the oldest one.
    async fn history_ops(
        &self,
        key: &str,
        version: Option<u64>,
        past: &SettingChange,
    ) -> Result<Vec<RecordOp>, SettingError> {
        let value = serde_json::to_value(past).map_err(|error| SettingError::Refused(error.to_string()))?;
        let prefix = history_prefix(key);
        let insert = RecordOp::Put {
            space: HISTORY.to_owned(),
            key: format!("{prefix}{:020}", version.unwrap_or(0) + 1),
            value,
        };
        let all = self.records.list(&system_tenant(), HISTORY, &prefix, None, PAGE).await?;
        let spare = (all.len() + 1).saturating_sub(HISTORY_MAX);
        let delete = |record: StoredRecord| RecordOp::Delete { space: HISTORY.to_owned(), key: record.key };
        Ok(all.into_iter().take(spare).map(delete).chain([insert]).collect())
    }

    /// Copies the budget of a key to its replacement before the new key becomes valid: the current limits of the old
    /// key from files and settings. The spending of the old key is not carried over. Returns whether there was a
    /// budget.
    pub async fn inherit_budget(
        &self,
        allowed: &dyn BudgetPolicy,
        tenant: &TenantId,
        (old, new): (&str, &str),
        now: Time,
    ) -> Result<bool, SettingError> {
        let mut limits = serde_json::Map::new();
        for window in BudgetWindow::ALL {
            let allowance = allowed.rule_for(&BudgetPeriod::of(tenant, Some(old), window, now));
            if let Some(limit) = allowance.limit {
                limits.insert(format!("{}_usd", window.adjective()), limit.as_f64().into());
                limits.insert("on_exceeded".to_owned(), allowance.on_exceeded.into());
            }
        }
        if limits.is_empty() {
            return Ok(false);
        }
        let (tenant, value) = (tenant.clone(), Value::Object(limits));
        let name = new.to_owned();
        let heir =
            TenantSetting { tenant, topic: SettingTopic::Budget, name, value, set_by: None, floor: None, changes: 0 };
        self.put(heir, SettingPrecondition::Any, Vec::new(), now).await?;
        Ok(true)
    }

    /// Makes room for one more removed setting. If the tenant already keeps the maximum, the one removed first is
    /// deleted.
    async fn evict_tombstone(&self, tenant: &TenantId) -> Result<Option<RecordOp>, SettingError> {
        let mut gone: Vec<(Time, String)> = Vec::new();
        let (prefix, mut after) = (format!("{tenant}/"), None::<String>);
        loop {
            let page = self.records.list(&system_tenant(), SPACE, &prefix, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|record| record.key.clone());
            gone.extend(page.into_iter().filter(is_gone).map(|record| (record.at, record.key)));
            if is_last {
                break;
            }
        }
        let oldest = gone.iter().min().filter(|_| gone.len() >= SETTINGS_MAX);
        Ok(oldest.map(|(_, key)| RecordOp::Delete { space: SPACE.to_owned(), key: key.clone() }))
    }

    async fn write(&self, ops: Vec<RecordOp>, name: &str, now: Time) -> Result<(), SettingError> {
        match self.records.commit(&system_tenant(), ops, now).await {
            Ok(()) => {
                // The setting is stored, and takes effect once it can be read again: the periodic reload follows soon.
                if let Err(error) = self.reload().await {
                    tracing::warn!(%error, name, "what was set cannot be read yet");
                }
                Ok(())
            }
            Err(records::RecordError::Conflict { .. }) => Err(SettingError::Stale { name: name.to_owned() }),
            Err(error) => Err(error.into()),
        }
    }

    async fn list(&self, prefix: &str, most: usize) -> Result<Vec<TenantSetting>, records::RecordError> {
        let mut all: Vec<TenantSetting> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.records.list(&system_tenant(), SPACE, prefix, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|record| record.key.clone());
            all.extend(page.into_iter().filter_map(readable_setting));
            if is_last || all.len() >= most {
                return Ok(all);
            }
        }
    }
}

fn key(tenant: &TenantId, topic: SettingTopic, name: &str) -> String {
    format!("{tenant}/{}/{name}", topic.word())
}

/// The prefix of the keys in a setting's history. A name contains no line break.
fn history_prefix(key: &str) -> String {
    format!("{key}\n")
}

/// The setting, or a tool rule with an empty value if a newer binary wrote it in a form that this one cannot read.
fn readable_setting(record: StoredRecord) -> Option<TenantSetting> {
    let (key, changes) = (record.key.clone(), record.version);
    let error = match read(record) {
        Ok(setting) => return setting,
        Err(error) => error,
    };
    tracing::warn!(key, %error, "a setting cannot be read");
    let mut parts = key.splitn(3, '/');
    let (tenant, topic, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_rule = topic == SettingTopic::Tool.word();
    let (tenant, name) = (tenant.into(), name.to_owned());
    let value = Value::Null;
    is_rule.then_some(TenantSetting {
        tenant,
        topic: SettingTopic::Tool,
        name,
        value,
        set_by: None,
        floor: None,
        changes,
    })
}

/// `None` if it was removed.
fn read(record: StoredRecord) -> Result<Option<TenantSetting>, records::RecordError> {
    let kept: Result<SettingRecord, _> = serde_json::from_value(record.value);
    let kept = kept.map_err(|error| records::RecordError::Unreadable { reason: error.to_string() })?;
    Ok((!kept.is_gone).then_some(TenantSetting { changes: record.version, ..kept.setting }))
}

fn record_value(setting: TenantSetting, is_gone: bool) -> Result<Value, SettingError> {
    serde_json::to_value(SettingRecord { setting, is_gone }).map_err(|error| SettingError::Refused(error.to_string()))
}

fn is_gone(record: &StoredRecord) -> bool {
    record.value["is_gone"] == true
}
