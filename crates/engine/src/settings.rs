//! What tenants set while the system runs, beside the settings' files: rules of their tools, and limits of what is spent.
//!
//! Kept with the records of the house itself. Each process hands all of it to whoever goes by it: at once what is set
//! here, and what others set when it looks next.

use std::sync::Arc;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{self, Op, Record, Records};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tenants::house;

const SPACE: &str = "setting";
/// Settings of one tenant.
pub const SETTINGS_MAX: usize = 1_000;
/// Records read at once.
const PAGE: usize = 500;

/// What a setting is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// A tool, by its name.
    Tool,
    /// What is spent: by a key, by its id, or by the tenant, by [`TENANT`].
    Budget,
}

/// What a limit of all a tenant spends goes by.
pub const TENANT: &str = "tenant";

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    pub tenant: TenantId,
    pub topic: Topic,
    pub name: String,
    pub value: Value,
    /// Rises with each change.
    #[serde(skip)]
    pub changes: u64,
}

/// Who goes by what is set.
pub trait Hands: Send + Sync {
    /// Why it cannot be set, where that is so.
    fn check(&self, topic: Topic, value: &Value) -> Result<(), String>;

    /// All that is set now, by tenant and name.
    fn take(&self, all: &[Setting]);
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Refused(String),
    /// It was changed since it was read.
    #[error("`{name}` was changed since it was read")]
    Stale { name: String },
    #[error("a tenant sets at most {SETTINGS_MAX} of these")]
    TooMany,
    #[error(transparent)]
    Records(#[from] records::Error),
}

/// The settings of one database.
pub struct Settings {
    records: Arc<dyn Records>,
    hands: Arc<dyn Hands>,
    /// One reading at a time, so that an older one never stands in place of a newer.
    turn: tokio::sync::Mutex<()>,
}

impl Topic {
    fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Budget => "budget",
        }
    }
}

impl Settings {
    pub fn new(records: Arc<dyn Records>, hands: Arc<dyn Hands>) -> Self {
        Self { records, hands, turn: tokio::sync::Mutex::default() }
    }

    /// Hands over all that is set now.
    ///
    /// # Errors
    /// It cannot be read; what held before holds.
    pub async fn take_in(&self) -> Result<(), records::Error> {
        let _turn = self.turn.lock().await;
        let all = self.list("", usize::MAX).await?;
        self.hands.take(&all);
        Ok(())
    }

    /// What a tenant has set of this; nothing where it has set nothing.
    pub async fn find(&self, tenant: &TenantId, topic: Topic, name: &str) -> Result<Option<Setting>, records::Error> {
        let found = self.records.get(&house(), SPACE, &key(tenant, topic, name)).await?;
        found.map(read).transpose()
    }

    /// Sets it, and hands it over; where `expected` is told, only what has changed so often.
    pub async fn put(&self, new: Setting, expected: Option<u64>, now: Time) -> Result<Setting, Error> {
        self.hands.check(new.topic, &new.value).map_err(Error::Refused)?;
        let (space, key) = (SPACE.to_owned(), key(&new.tenant, new.topic, &new.name));
        let value = serde_json::to_value(&new).map_err(|error| Error::Refused(error.to_string()))?;
        let is_there = self.records.get(&house(), SPACE, &key).await?.is_some();
        let own = format!("{}/", new.tenant);
        if !is_there && self.list(&own, SETTINGS_MAX).await?.len() >= SETTINGS_MAX {
            return Err(Error::TooMany);
        }
        let op = match expected {
            Some(version) => Op::CompareAndSet { space, key, version, value },
            None => Op::Put { space, key, value },
        };
        self.write(op, &new.name, now).await?;
        Ok(self.find(&new.tenant, new.topic, &new.name).await?.unwrap_or(new))
    }

    /// From here on it is as the files have it. Whether anything was set.
    pub async fn remove(&self, tenant: &TenantId, topic: Topic, name: &str, now: Time) -> Result<bool, Error> {
        let is_there = self.find(tenant, topic, name).await?.is_some();
        if is_there {
            let gone = Op::Delete { space: SPACE.to_owned(), key: key(tenant, topic, name) };
            self.write(gone, name, now).await?;
        }
        Ok(is_there)
    }

    async fn write(&self, op: Op, name: &str, now: Time) -> Result<(), Error> {
        match self.records.commit(&house(), vec![op], now).await {
            Ok(()) => {
                // It is set, and holds once it can be read again: whoever looks for what others set comes by soon.
                if let Err(error) = self.take_in().await {
                    tracing::warn!(%error, name, "what was set cannot be read yet");
                }
                Ok(())
            }
            Err(records::Error::Conflict { .. }) => Err(Error::Stale { name: name.to_owned() }),
            Err(error) => Err(error.into()),
        }
    }

    async fn list(&self, prefix: &str, most: usize) -> Result<Vec<Setting>, records::Error> {
        let mut all: Vec<Setting> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.records.list(&house(), SPACE, prefix, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|record| record.key.clone());
            all.extend(page.into_iter().filter_map(known));
            if is_last || all.len() >= most {
                return Ok(all);
            }
        }
    }
}

fn key(tenant: &TenantId, topic: Topic, name: &str) -> String {
    format!("{tenant}/{}/{name}", topic.word())
}

/// What is set, or a tool's rule without a word where a newer binary wrote it in a way that this one cannot read.
fn known(record: Record) -> Option<Setting> {
    let (key, changes) = (record.key.clone(), record.version);
    let error = match read(record) {
        Ok(setting) => return Some(setting),
        Err(error) => error,
    };
    tracing::warn!(key, %error, "a setting cannot be read");
    let mut parts = key.splitn(3, '/');
    let (tenant, topic, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_rule = topic == Topic::Tool.word();
    let (tenant, name) = (tenant.into(), name.to_owned());
    is_rule.then_some(Setting { tenant, topic: Topic::Tool, name, value: Value::Null, changes })
}

fn read(record: Record) -> Result<Setting, records::Error> {
    let setting: Result<Setting, _> = serde_json::from_value(record.value);
    let setting = setting.map_err(|error| records::Error::Unreadable { reason: error.to_string() })?;
    Ok(Setting { changes: record.version, ..setting })
}
