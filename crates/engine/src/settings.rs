//! What tenants set while the system runs, beside the settings' files: rules of their tools, and limits of what is spent.
//!
//! Kept with the records of the house itself. Each process hands all of it to whoever goes by it: at once what is set
//! here, and what others set when it looks next.
//!
//! What a role set, no lower role loosens or removes: a rule carries the newest value of the highest role that set it as its
//! floor, and whoever is below that role may only be stricter. Who set what, and when, is kept as its history.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::money::Window;
use baton_core::time::Time;
use baton_ports::budget::{Allowed, Line};
use baton_ports::keys::Role;
use baton_ports::records::{self, Op, Record, Records};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tenants::house;

const SPACE: &str = "setting";
/// Where the history of settings lies, by the setting's key and the number of the change.
const HISTORY: &str = "setting_history";
/// Changes of one setting that are kept; the oldest go first.
pub const HISTORY_MAX: usize = 100;
/// Attempts to change a setting, whatever it is, while others change it.
const ATTEMPTS_MAX: u32 = 10;
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
    /// Where tools of the tenant's own come from, by its name.
    Source,
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
    /// Who set it; nothing where that is not known, or the house itself did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<Author>,
    /// What a higher role set, where a lower one was stricter since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Box<Floor>>,
    /// Rises with each change, also where nothing was set in between.
    #[serde(skip)]
    pub changes: u64,
}

/// Who sets something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The name of a key.
    pub name: String,
    pub role: Role,
}

/// What a setting is not looser than.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    pub value: Value,
    /// Who set that; nothing where it is not known, which counts as the highest role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<Author>,
}

/// One change of a setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Past {
    pub at: Time,
    /// Nothing where the house itself did it.
    pub set_by: Option<Author>,
    /// Nothing where it was left to the files.
    pub value: Option<Value>,
}

impl Floor {
    fn role(&self) -> Role {
        self.set_by.as_ref().map_or(Role::Admin, |author| author.role)
    }
}

/// What must be there for a setting to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    Whatever,
    /// Nothing.
    Absent,
    /// One that has changed so often.
    At(u64),
}

impl Before {
    /// Whatever is there, where nobody says how often it has changed.
    pub fn of(expected: Option<u64>) -> Self {
        expected.map_or(Self::Whatever, Self::At)
    }
}

/// One as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    setting: Setting,
    /// Nothing is set any more. It stays for the number of its changes, which is not given twice: of each tenant, the
    /// [`SETTINGS_MAX`] that went last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_gone: bool,
}

/// Who goes by what is set.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Why it cannot be set, where that is so.
    fn check(&self, topic: Topic, value: &Value) -> Result<(), String>;

    /// What of it `to` would allow that `from` does not, in words; nothing where it is as strict or stricter.
    fn loosens(&self, topic: Topic, from: &Value, to: &Value) -> Option<String>;

    /// All that is set now, by tenant and name.
    async fn take(&self, all: &[Setting]);
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
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
            Self::Source => "source",
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
        self.hands.take(&all).await;
        Ok(())
    }

    /// What a tenant has set of this; nothing where it has set nothing.
    pub async fn find(&self, tenant: &TenantId, topic: Topic, name: &str) -> Result<Option<Setting>, records::Error> {
        let found = self.records.get(&house(), SPACE, &key(tenant, topic, name)).await?;
        Ok(found.map(read).transpose()?.flatten())
    }

    /// All that a tenant has set of a topic, by name.
    pub async fn of(&self, tenant: &TenantId, topic: Topic) -> Result<Vec<Setting>, records::Error> {
        self.list(&key(tenant, topic, ""), usize::MAX).await
    }

    /// Sets it, with records `beside` it that are written if it is, and hands it over. Its `floor` is worked out here.
    ///
    /// # Errors
    /// [`Error::Stale`] where it is not as `before` says; [`Error::Loosened`] where a higher role than its author's set it
    /// stricter.
    pub async fn put(&self, new: Setting, before: Before, beside: Vec<Op>, now: Time) -> Result<Setting, Error> {
        self.hands.check(new.topic, &new.value).map_err(Error::Refused)?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.put_once(new.clone(), before, beside.clone(), now).await {
                Err(Error::Stale { .. }) if before == Before::Whatever && attempt < ATTEMPTS_MAX => {}
                done => return done,
            }
        }
    }

    async fn put_once(&self, new: Setting, before: Before, beside: Vec<Op>, now: Time) -> Result<Setting, Error> {
        let (space, key) = (SPACE.to_owned(), key(&new.tenant, new.topic, &new.name));
        let found = self.records.get(&house(), SPACE, &key).await?;
        let version = found.as_ref().map(|record| record.version);
        let there = found.map(read).transpose()?.flatten();
        let is_there = there.is_some();
        let floor = there.map(|there| self.floor_under(there, new.set_by.as_ref(), &new.value)).transpose()?.flatten();
        let new = Setting { floor: floor.map(Box::new), ..new };
        let value = kept(new.clone(), false)?;
        let own = format!("{}/", new.tenant);
        if !is_there && self.list(&own, SETTINGS_MAX).await?.len() >= SETTINGS_MAX {
            return Err(Error::TooMany);
        }
        let past = Past { at: now, set_by: new.set_by.clone(), value: Some(new.value.clone()) };
        let past = self.remembered(&key, version, &past).await?;
        // What was read is what is replaced: a floor that somebody laid meanwhile is not overwritten.
        let op = match (before, version) {
            (Before::Absent, _) if is_there => return Err(Error::Stale { name: new.name }),
            (Before::At(expected), _) if version != Some(expected) => return Err(Error::Stale { name: new.name }),
            (_, Some(version)) => Op::CompareAndSet { space, key, version, value },
            (_, None) => Op::Insert { space, key, value },
        };
        self.write([op].into_iter().chain(past).chain(beside).collect(), &new.name, now).await?;
        Ok(self.find(&new.tenant, new.topic, &new.name).await?.unwrap_or(new))
    }

    /// From here on it is as the files have it; where `expected` is told, only what has changed so often. Records `beside` it
    /// are written if it was there. Whether anything was set.
    ///
    /// # Errors
    /// [`Error::Loosened`] where a higher role than `by`'s set it.
    pub async fn remove(
        &self,
        tenant: &TenantId,
        (topic, name): (Topic, &str),
        by: Option<Author>,
        expected: Option<u64>,
        beside: Vec<Op>,
        now: Time,
    ) -> Result<bool, Error> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.remove_once(tenant, (topic, name), by.clone(), expected, beside.clone(), now).await {
                Err(Error::Stale { .. }) if expected.is_none() && attempt < ATTEMPTS_MAX => {}
                done => return done,
            }
        }
    }

    async fn remove_once(
        &self,
        tenant: &TenantId,
        (topic, name): (Topic, &str),
        by: Option<Author>,
        expected: Option<u64>,
        beside: Vec<Op>,
        now: Time,
    ) -> Result<bool, Error> {
        let Some(setting) = self.find(tenant, topic, name).await? else {
            return expected.map_or(Ok(false), |_| Err(Error::Stale { name: name.to_owned() }));
        };
        let (read, nothing) = (setting.changes, Value::Object(serde_json::Map::new()));
        if expected.is_some_and(|expected| expected != read) {
            return Err(Error::Stale { name: name.to_owned() });
        }
        self.floor_under(setting.clone(), by.as_ref(), &nothing)?;
        // An empty value says nothing to a binary that does not know of those that are gone.
        let value = kept(Setting { value: nothing, set_by: by.clone(), floor: None, ..setting }, true)?;
        let (space, key) = (SPACE.to_owned(), key(tenant, topic, name));
        let past = self.remembered(&key, Some(read), &Past { at: now, set_by: by, value: None }).await?;
        let gone = Op::CompareAndSet { space, key, version: read, value };
        let ops = [gone].into_iter().chain(past).chain(beside).chain(self.forgotten(tenant).await?).collect();
        self.write(ops, name, now).await?;
        Ok(true)
    }

    /// The changes of a setting, newest first: [`HISTORY_MAX`] at the most.
    pub async fn history(&self, tenant: &TenantId, topic: Topic, name: &str) -> Result<Vec<Past>, records::Error> {
        let records = self.records.list(&house(), HISTORY, &past_of(&key(tenant, topic, name)), None, PAGE).await?;
        // Times are those of the changes, whoever reads them.
        Ok(records.into_iter().rev().filter_map(|record| serde_json::from_value(record.value).ok()).collect())
    }

    /// What a change keeps of what a higher role set before; nothing where its author is of that role, or of one above.
    fn floor_under(&self, there: Setting, by: Option<&Author>, value: &Value) -> Result<Option<Floor>, Error> {
        let Setting { topic, name, value: was, set_by, floor, .. } = there;
        let floor = floor.map_or(Floor { value: was, set_by }, |floor| *floor);
        let Some(by) = by.filter(|by| !by.role.stands_for(floor.role())) else { return Ok(None) };
        if let Some(what) = self.hands.loosens(topic, &floor.value, value) {
            let set_by = match &floor.set_by {
                Some(Author { name, role }) => format!("`{name}`, who is `{}`,", role.word()),
                None => "somebody who may be `admin`".to_owned(),
            };
            return Err(Error::Loosened { name, set_by, role: by.role.word(), what });
        }
        Ok(Some(floor))
    }

    /// What is written of a change, and which of the older ones goes for it.
    async fn remembered(&self, key: &str, version: Option<u64>, past: &Past) -> Result<Vec<Op>, Error> {
        let value = serde_json::to_value(past).map_err(|error| Error::Refused(error.to_string()))?;
        let prefix = past_of(key);
        let insert =
            Op::Put { space: HISTORY.to_owned(), key: format!("{prefix}{:020}", version.unwrap_or(0) + 1), value };
        let all = self.records.list(&house(), HISTORY, &prefix, None, PAGE).await?;
        let spare = (all.len() + 1).saturating_sub(HISTORY_MAX);
        let delete = |record: Record| Op::Delete { space: HISTORY.to_owned(), key: record.key };
        Ok(all.into_iter().take(spare).map(delete).chain([insert]).collect())
    }

    /// The budget of a key goes to the one that is made in its place, before that opens a door: what files and settings allow
    /// the old one now. What the old one has spent is not counted again. Whether there was one.
    pub async fn inherit_budget(
        &self,
        allowed: &dyn Allowed,
        tenant: &TenantId,
        (old, new): (&str, &str),
        now: Time,
    ) -> Result<bool, Error> {
        let mut limits = serde_json::Map::new();
        for window in Window::ALL {
            let allowance = allowed.of(&Line::of(tenant, Some(old), window, now));
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
        let heir = Setting { tenant, topic: Topic::Budget, name, value, set_by: None, floor: None, changes: 0 };
        self.put(heir, Before::Whatever, Vec::new(), now).await?;
        Ok(true)
    }

    /// Room for one more that is gone, where a tenant has left as many as are kept: the one that went first is forgotten.
    async fn forgotten(&self, tenant: &TenantId) -> Result<Option<Op>, Error> {
        let mut gone: Vec<(Time, String)> = Vec::new();
        let (prefix, mut after) = (format!("{tenant}/"), None::<String>);
        loop {
            let page = self.records.list(&house(), SPACE, &prefix, after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|record| record.key.clone());
            gone.extend(page.into_iter().filter(is_gone).map(|record| (record.at, record.key)));
            if is_last {
                break;
            }
        }
        let oldest = gone.iter().min().filter(|_| gone.len() >= SETTINGS_MAX);
        Ok(oldest.map(|(_, key)| Op::Delete { space: SPACE.to_owned(), key: key.clone() }))
    }

    async fn write(&self, ops: Vec<Op>, name: &str, now: Time) -> Result<(), Error> {
        match self.records.commit(&house(), ops, now).await {
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

/// How the keys of a setting's history begin. No name has a line break.
fn past_of(key: &str) -> String {
    format!("{key}\n")
}

/// What is set, or a tool's rule without a word where a newer binary wrote it in a way that this one cannot read.
fn known(record: Record) -> Option<Setting> {
    let (key, changes) = (record.key.clone(), record.version);
    let error = match read(record) {
        Ok(setting) => return setting,
        Err(error) => error,
    };
    tracing::warn!(key, %error, "a setting cannot be read");
    let mut parts = key.splitn(3, '/');
    let (tenant, topic, name) = (parts.next()?, parts.next()?, parts.next()?);
    let is_rule = topic == Topic::Tool.word();
    let (tenant, name) = (tenant.into(), name.to_owned());
    let value = Value::Null;
    is_rule.then_some(Setting { tenant, topic: Topic::Tool, name, value, set_by: None, floor: None, changes })
}

/// Nothing where it is gone.
fn read(record: Record) -> Result<Option<Setting>, records::Error> {
    let kept: Result<Kept, _> = serde_json::from_value(record.value);
    let kept = kept.map_err(|error| records::Error::Unreadable { reason: error.to_string() })?;
    Ok((!kept.is_gone).then_some(Setting { changes: record.version, ..kept.setting }))
}

fn kept(setting: Setting, is_gone: bool) -> Result<Value, Error> {
    serde_json::to_value(Kept { setting, is_gone }).map_err(|error| Error::Refused(error.to_string()))
}

fn is_gone(record: &Record) -> bool {
    record.value["is_gone"] == true
}
