//! Whose work one database keeps: tenants that somebody made by name, the tier of each, and those that are shut.
//!
//! A tenant needs no making: one that came with a key or is the project's own has no row, is open, and has the settings'
//! tier. Rows are records of the house itself, which no key and no token can be of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baton_core::actor;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{self, Op, Record, Records};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::driver::lock;

/// Whose records the rows are: no name that [`TenantId::parse`] takes.
const HOUSE: &str = "(house)";
const SPACE: &str = "tenant";
/// How long what was read of a tenant is believed; what is changed by this process holds at once.
const BELIEVED: Duration = Duration::from_secs(1);
/// Tenants that are remembered at once.
const REMEMBERED_MAX: usize = 10_000;
/// Tenants of one page.
pub const PAGE_MAX: usize = 200;
/// Characters of a name.
const NAME_CHARS_MAX: usize = 200;
/// Attempts to change a row while others change it.
const ATTEMPTS_MAX: u32 = 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    pub id: TenantId,
    /// For people.
    pub name: String,
    /// Nothing: as the settings have it.
    pub tier: Option<String>,
    pub created_at: Time,
    /// From when on nobody of it comes in.
    pub disabled_at: Option<Time>,
}

/// What becomes of a tenant's row.
#[derive(Clone, Debug)]
pub enum Change {
    Name(String),
    /// Nothing: as the settings have it.
    Tier(Option<String>),
    /// Nobody of it comes in any more.
    Disable,
    Enable,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a tenant's name cannot be so: {why}")]
    Name { why: String },
    #[error("there is no tier `{tier}`; there are {known}")]
    Tier { tier: String, known: String },
    #[error("there is a tenant `{0}` already")]
    Taken(TenantId),
    #[error("no tenant `{0}` was made")]
    Unknown(TenantId),
    /// It was changed since it was read.
    #[error("the tenant `{0}` was changed since it was read")]
    Stale(TenantId),
    #[error(transparent)]
    Records(#[from] records::Error),
}

/// The tenants of one database. What was read of one is believed for a second.
pub struct Tenants {
    records: Arc<dyn Records>,
    tiers: Vec<String>,
    known: Mutex<BTreeMap<TenantId, (Time, Option<Tenant>)>>,
}

impl Tenant {
    pub fn new(id: TenantId, name: Option<String>, tier: Option<String>, now: Time) -> Self {
        let name = name.unwrap_or_else(|| id.to_string());
        Self { id, name, tier, created_at: now, disabled_at: None }
    }

    pub fn is_open(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// For programs.
    pub fn as_json(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "tier": self.tier, "created_at": self.created_at.to_string(),
            "disabled_at": self.disabled_at.map(|at| at.to_string()),
        })
    }

    fn take(&mut self, change: &Change, now: Time) {
        match change {
            Change::Name(name) => self.name.clone_from(name),
            Change::Tier(tier) => self.tier.clone_from(tier),
            Change::Disable => self.disabled_at = self.disabled_at.or(Some(now)),
            Change::Enable => self.disabled_at = None,
        }
    }
}

impl Tenants {
    /// Tenants have one of these tiers, or none of their own.
    pub(crate) fn new(records: Arc<dyn Records>, tiers: Vec<String>) -> Self {
        Self { records, tiers, known: Mutex::default() }
    }

    /// Keeps a new tenant.
    ///
    /// # Errors
    /// A name or a tier that cannot be; an id that is another's.
    pub async fn create(&self, tenant: &Tenant, now: Time) -> Result<(), Error> {
        self.check_name(&tenant.name)?;
        self.check_tier(tenant.tier.as_deref())?;
        let insert = Op::Insert { space: SPACE.to_owned(), key: tenant.id.to_string(), value: json!(tenant) };
        match self.records.commit(&house(), vec![insert], now).await {
            Ok(()) => {
                self.forget(&tenant.id);
                Ok(())
            }
            Err(records::Error::Conflict { .. }) => Err(Error::Taken(tenant.id.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// By id, those after `after`: at most `limit` and [`PAGE_MAX`].
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<Tenant>, Error> {
        let rows = self.records.list(&house(), SPACE, "", after, limit.min(PAGE_MAX)).await?;
        rows.into_iter().map(|row| Ok(read(row)?.1)).collect()
    }

    /// Every one that was made or changed, by id.
    pub async fn all(&self) -> Result<Vec<Tenant>, Error> {
        let mut all: Vec<Tenant> = Vec::new();
        loop {
            let page = self.list(all.last().map(|tenant| tenant.id.as_str()), PAGE_MAX).await?;
            let is_last = page.len() < PAGE_MAX;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The row, and how often it was written.
    pub async fn find(&self, id: &TenantId) -> Result<Option<(u64, Tenant)>, Error> {
        Ok(self.records.get(&house(), SPACE, id.as_str()).await?.map(read).transpose()?)
    }

    /// Changes a tenant's row, where it was written so often as `expected` says, if it says so. A tenant without a row gets
    /// one where it is disabled, and is unknown otherwise. What it was before, and is now with how often it was written.
    ///
    /// # Errors
    /// A name or a tier that cannot be; one that is not there, or was changed since it was read.
    pub async fn change(
        &self,
        id: &TenantId,
        changes: &[Change],
        expected: Option<u64>,
        now: Time,
    ) -> Result<(Option<Tenant>, (u64, Tenant)), Error> {
        for change in changes {
            match change {
                Change::Name(name) => self.check_name(name)?,
                Change::Tier(tier) => self.check_tier(tier.as_deref())?,
                Change::Disable | Change::Enable => {}
            }
        }
        for _ in 0..ATTEMPTS_MAX {
            let before = self.find(id).await?;
            if expected.is_some_and(|expected| before.as_ref().map_or(0, |(version, _)| *version) != expected) {
                return Err(Error::Stale(id.clone()));
            }
            let mut after = match &before {
                Some((_, tenant)) => tenant.clone(),
                None if changes.iter().any(|change| matches!(change, Change::Disable)) => {
                    Tenant::new(id.clone(), None, None, now)
                }
                None => return Err(Error::Unknown(id.clone())),
            };
            changes.iter().for_each(|change| after.take(change, now));
            let (space, key, value) = (SPACE.to_owned(), id.to_string(), json!(after));
            let (op, written) = match &before {
                Some((version, _)) => (Op::CompareAndSet { space, key, version: *version, value }, version + 1),
                None => (Op::Insert { space, key, value }, 1),
            };
            match self.records.commit(&house(), vec![op], now).await {
                Ok(()) => {
                    self.remember(id, now, Some(after.clone()));
                    return Ok((before.map(|(_, before)| before), (written, after)));
                }
                Err(records::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Stale(id.clone()))
    }

    /// How a tenant stands, as of a second ago at the most; nothing where it has no row.
    pub async fn standing(&self, id: &TenantId, now: Time) -> Result<Option<Tenant>, records::Error> {
        if let Some((read_at, known)) = lock(&self.known).get(id)
            && now.since(*read_at) < BELIEVED
            && *read_at <= now
        {
            return Ok(known.clone());
        }
        let row = self.records.get(&house(), SPACE, id.as_str()).await?;
        let tenant = row.map(read).transpose()?.map(|(_, tenant)| tenant);
        self.remember(id, now, tenant.clone());
        Ok(tenant)
    }

    fn remember(&self, id: &TenantId, now: Time, tenant: Option<Tenant>) {
        let mut known = lock(&self.known);
        if known.len() >= REMEMBERED_MAX && !known.contains_key(id) {
            known.pop_first();
        }
        known.insert(id.clone(), (now, tenant));
    }

    /// Whether somebody of it comes in, as of a second ago at the most.
    pub async fn is_open(&self, id: &TenantId, now: Time) -> Result<bool, records::Error> {
        Ok(self.standing(id, now).await?.is_none_or(|tenant| tenant.is_open()))
    }

    /// The tier of its own, as it was last read; from memory alone.
    pub(crate) fn tier(&self, id: &TenantId) -> Option<String> {
        lock(&self.known).get(id).and_then(|(_, tenant)| tenant.as_ref()?.tier.clone())
    }

    fn forget(&self, id: &TenantId) {
        lock(&self.known).remove(id);
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        actor::check_text(name, NAME_CHARS_MAX).map_err(|why| Error::Name { why })
    }

    fn check_tier(&self, tier: Option<&str>) -> Result<(), Error> {
        match tier.filter(|tier| !self.tiers.iter().any(|known| known == tier)) {
            Some(tier) => Err(Error::Tier { tier: tier.to_owned(), known: self.tiers.join(", ") }),
            None => Ok(()),
        }
    }
}

/// Whose records those are that belong to no tenant.
pub fn house() -> TenantId {
    TenantId::from(HOUSE)
}

fn read(row: Record) -> Result<(u64, Tenant), records::Error> {
    match serde_json::from_value(row.value) {
        Ok(tenant) => Ok((row.version, tenant)),
        Err(error) => Err(records::Error::Unreadable { reason: format!("the tenant `{}`: {error}", row.key) }),
    }
}
