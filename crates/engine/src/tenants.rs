//! The tenants of one database: those created by name, the tier of each, and whether it is disabled.
//!
//! A tenant need not be created: a tenant that came with a key, or the project's own, has no row, is enabled, and has
//! the settings' tier. Rows are records of the system tenant, which no key or token can belong to.

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

/// The id of the system tenant that owns the rows; [`TenantId::parse`] does not accept it.
const SYSTEM: &str = "(house)";
const SPACE: &str = "tenant";
/// How long a cached row is valid; changes made by this process apply at once.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// Maximum number of cached tenants.
const CACHED_MAX: usize = 10_000;
/// Maximum number of tenants per page.
pub const PAGE_MAX: usize = 200;
/// Maximum length of a name, in characters.
const NAME_CHARS_MAX: usize = 200;
/// Attempts to change a row under concurrent changes.
const ATTEMPTS_MAX: u32 = 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    pub id: TenantId,
    /// Display name.
    pub name: String,
    /// `None` means the tier in the settings.
    pub tier: Option<String>,
    pub created_at: Time,
    /// When the tenant was disabled: its keys are rejected from then on.
    pub disabled_at: Option<Time>,
}

/// A change of a tenant's row.
#[derive(Clone, Debug)]
pub enum TenantChange {
    Name(String),
    /// `None` means the tier in the settings.
    Tier(Option<String>),
    /// Rejects the tenant's keys from now on.
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

/// The tenants of one database. Cached rows are valid for one second.
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

    /// The tenant as JSON.
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
    /// `tiers` are the tiers that a tenant's row may name.
    pub(crate) fn new(records: Arc<dyn RecordStore>, tiers: Vec<String>) -> Self {
        Self { records, tiers, cached: Mutex::default() }
    }

    /// Creates a tenant.
    ///
    /// # Errors
    /// The name or the tier is invalid, or the id is taken.
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

    /// Tenants ordered by id, after `after`: at most `limit`, and at most [`PAGE_MAX`].
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<Tenant>, TenantError> {
        let rows = self.records.list(&system_tenant(), SPACE, "", after, limit.min(PAGE_MAX)).await?;
        rows.into_iter().map(|row| Ok(read(row)?.1)).collect()
    }

    /// All tenants that were created or changed, by id.
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

    /// The row and its version.
    pub async fn find(&self, id: &TenantId) -> Result<Option<(u64, Tenant)>, TenantError> {
        Ok(self.records.get(&system_tenant(), SPACE, id.as_str()).await?.map(read).transpose()?)
    }

    /// Changes a tenant's row, if it has the version `expected`, if given. A tenant without a row gets one if it is
    /// disabled, and is unknown otherwise. Returns the row before, and the row after with its version.
    ///
    /// # Errors
    /// The name or the tier is invalid, or the tenant does not exist or was changed since it was read.
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

    /// The tenant's row, at most one second old; `None` if it has no row.
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

    /// Whether the tenant is enabled, as of at most one second ago.
    pub async fn is_enabled(&self, id: &TenantId, now: Time) -> Result<bool, records::RecordError> {
        Ok(self.cached(id, now).await?.is_none_or(|tenant| tenant.is_enabled()))
    }

    /// The tenant's own tier, as last read. Reads memory only.
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

/// The tenant of records that belong to no real tenant.
pub fn system_tenant() -> TenantId {
    TenantId::from(SYSTEM)
}

fn read(row: StoredRecord) -> Result<(u64, Tenant), records::RecordError> {
    match serde_json::from_value(row.value) {
        Ok(tenant) => Ok((row.version, tenant)),
        Err(error) => Err(records::RecordError::Unreadable { reason: format!("the tenant `{}`: {error}", row.key) }),
    }
}
