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
use baton_ports::records::{self, RecordOp, RecordStore, StoredRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::driver::lock;

/// Whose records the rows are: no name that [`TenantId::parse`] takes.
const SYSTEM: &str = "(house)";
const SPACE: &str = "tenant";
/// How long what was read of a tenant is believed; what is changed by this process holds at once.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// Tenants that are remembered at once.
const CACHED_MAX: usize = 10_000;
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
pub enum TenantChange {
    Name(String),
    /// Nothing: as the settings have it.
    Tier(Option<String>),
    /// Nobody of it comes in any more.
    Disable,
    Enable,
}

#[derive(Debug, thiserror::Error)]
pub enum TenantError {
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
    Records(#[from] records::RecordError),
}

/// The tenants of one database. What was read of one is believed for a second.
pub struct TenantStore {
    records: Arc<dyn RecordStore>,
    tiers: Vec<String>,
    cached: Mutex<BTreeMap<TenantId, (Time, Option<Tenant>)>>,
}

impl Tenant {
    pub fn new(id: TenantId, name: Option<String>, tier: Option<String>, now: Time) -> Self {
        let name = name.unwrap_or_else(|| id.to_string());
        Self { id, name, tier, created_at: now, disabled_at: None }
    }

    pub fn is_enabled(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// For programs.
    pub fn as_json(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "tier": self.tier, "created_at": self.created_at.to_string(),
            "disabled_at": self.disabled_at.map(|at| at.to_string()),
        })
    }

    fn apply(&mut self, change: &TenantChange, now: Time) {
        match change {
            TenantChange::Name(name) => self.name.clone_from(name),
            TenantChange::Tier(tier) => self.tier.clone_from(tier),
            TenantChange::Disable => self.disabled_at = self.disabled_at.or(Some(now)),
            TenantChange::Enable => self.disabled_at = None,
        }
    }
}

impl TenantStore {
    /// Tenants have one of these tiers, or none of their own.
    pub(crate) fn new(records: Arc<dyn RecordStore>, tiers: Vec<String>) -> Self {
        Self { records, tiers, cached: Mutex::default() }
    }

    /// Keeps a new tenant.
    ///
    /// # Errors
    /// A name or a tier that cannot be; an id that is another's.
    pub async fn create(&self, tenant: &Tenant, now: Time) -> Result<(), TenantError> {
        self.check_name(&tenant.name)?;
        self.check_tier(tenant.tier.as_deref())?;
        let insert = RecordOp::Insert { space: SPACE.to_owned(), key: tenant.id.to_string(), value: json!(tenant) };
        match self.records.commit(&system_tenant(), vec![insert], now).await {
            Ok(()) => {
                self.forget(&tenant.id);
                Ok(())
            }
            Err(records::RecordError::Conflict { .. }) => Err(TenantError::Taken(tenant.id.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// By id, those after `after`: at most `limit` and [`PAGE_MAX`].
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<Tenant>, TenantError> {
        let rows = self.records.list(&system_tenant(), SPACE, "", after, limit.min(PAGE_MAX)).await?;
        rows.into_iter().map(|row| Ok(read(row)?.1)).collect()
    }

    /// Every one that was made or changed, by id.
    pub async fn all(&self) -> Result<Vec<Tenant>, TenantError> {
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
    pub async fn find(&self, id: &TenantId) -> Result<Option<(u64, Tenant)>, TenantError> {
        Ok(self.records.get(&system_tenant(), SPACE, id.as_str()).await?.map(read).transpose()?)
    }

    /// Changes a tenant's row, where it was written so often as `expected` says, if it says so. A tenant without a row gets
    /// one where it is disabled, and is unknown otherwise. What it was before, and is now with how often it was written.
    ///
    /// # Errors
    /// A name or a tier that cannot be; one that is not there, or was changed since it was read.
    pub async fn change(
        &self,
        id: &TenantId,
        changes: &[TenantChange],
        expected: Option<u64>,
        now: Time,
    ) -> Result<(Option<Tenant>, (u64, Tenant)), TenantError> {
        for change in changes {
            match change {
                TenantChange::Name(name) => self.check_name(name)?,
                TenantChange::Tier(tier) => self.check_tier(tier.as_deref())?,
                TenantChange::Disable | TenantChange::Enable => {}
            }
        }
        for _ in 0..ATTEMPTS_MAX {
            let before = self.find(id).await?;
            if expected.is_some_and(|expected| before.as_ref().map_or(0, |(version, _)| *version) != expected) {
                return Err(TenantError::Stale(id.clone()));
            }
            let mut after = match &before {
                Some((_, tenant)) => tenant.clone(),
                None if changes.iter().any(|change| matches!(change, TenantChange::Disable)) => {
                    Tenant::new(id.clone(), None, None, now)
                }
                None => return Err(TenantError::Unknown(id.clone())),
            };
            changes.iter().for_each(|change| after.apply(change, now));
            let (space, key, value) = (SPACE.to_owned(), id.to_string(), json!(after));
            let (op, written) = match &before {
                Some((version, _)) => (RecordOp::CompareAndSet { space, key, version: *version, value }, version + 1),
                None => (RecordOp::Insert { space, key, value }, 1),
            };
            match self.records.commit(&system_tenant(), vec![op], now).await {
                Ok(()) => {
                    self.cache(id, now, Some(after.clone()));
                    return Ok((before.map(|(_, before)| before), (written, after)));
                }
                Err(records::RecordError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(TenantError::Stale(id.clone()))
    }

    /// How a tenant stands, as of a second ago at the most; nothing where it has no row.
    pub async fn cached(&self, id: &TenantId, now: Time) -> Result<Option<Tenant>, records::RecordError> {
        if let Some((read_at, known)) = lock(&self.cached).get(id)
            && now.since(*read_at) < CACHE_TTL
            && *read_at <= now
        {
            return Ok(known.clone());
        }
        let row = self.records.get(&system_tenant(), SPACE, id.as_str()).await?;
        let tenant = row.map(read).transpose()?.map(|(_, tenant)| tenant);
        self.cache(id, now, tenant.clone());
        Ok(tenant)
    }

    fn cache(&self, id: &TenantId, now: Time, tenant: Option<Tenant>) {
        let mut known = lock(&self.cached);
        if known.len() >= CACHED_MAX && !known.contains_key(id) {
            known.pop_first();
        }
        known.insert(id.clone(), (now, tenant));
    }

    /// Whether somebody of it comes in, as of a second ago at the most.
    pub async fn is_enabled(&self, id: &TenantId, now: Time) -> Result<bool, records::RecordError> {
        Ok(self.cached(id, now).await?.is_none_or(|tenant| tenant.is_enabled()))
    }

    /// The tier of its own, as it was last read; from memory alone.
    pub(crate) fn tier(&self, id: &TenantId) -> Option<String> {
        lock(&self.cached).get(id).and_then(|(_, tenant)| tenant.as_ref()?.tier.clone())
    }

    fn forget(&self, id: &TenantId) {
        lock(&self.cached).remove(id);
    }

    fn check_name(&self, name: &str) -> Result<(), TenantError> {
        actor::check_text(name, NAME_CHARS_MAX).map_err(|why| TenantError::Name { why })
    }

    fn check_tier(&self, tier: Option<&str>) -> Result<(), TenantError> {
        match tier.filter(|tier| !self.tiers.iter().any(|known| known == tier)) {
            Some(tier) => Err(TenantError::Tier { tier: tier.to_owned(), known: self.tiers.join(", ") }),
            None => Ok(()),
        }
    }
}

/// Whose records those are that belong to no tenant.
pub fn system_tenant() -> TenantId {
    TenantId::from(SYSTEM)
}

fn read(row: StoredRecord) -> Result<(u64, Tenant), records::RecordError> {
    match serde_json::from_value(row.value) {
        Ok(tenant) => Ok((row.version, tenant)),
        Err(error) => Err(records::RecordError::Unreadable { reason: format!("the tenant `{}`: {error}", row.key) }),
    }
}
