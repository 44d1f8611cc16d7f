//! The agent registry: agents registered at run time, their health, and the limits of each tenant's tier.
//!
//! Health is measured from real outcomes: an exponentially weighted error rate and latency of an agent's tasks, stored
//! in records and shared by all processes. An agent that fails too often is *unhealthy*. If another agent may take its
//! place, that agent starts instead ([`AgentConstraints`]). After a while the unhealthy agent is tried again.

mod health;
mod listing;
mod quotas;
mod tiers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baton_core::agent::{AgentConstraints, AgentDefinition, TenantTier};
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{self, RecordOp, RecordStore, StoredRecord};

use crate::EngineError;
use crate::driver::lock;
use crate::tenants::TenantStore;

pub use health::{AgentHealth, AgentOutcome};
pub use listing::{AgentFilter, AgentListing};
pub use quotas::{QuotaError, QuotaStatus};
pub use tiers::{TierOverrides, TierSettings, TierTable};

/// Record spaces of the registered agents and of their health.
const AGENTS: &str = "agents";
const HEALTH: &str = "agent_health";
/// How long cached health of a tenant's agents is used before the records are read again.
const CACHE_TTL: Duration = Duration::from_secs(5);
/// Maximum number of agents registered with one tenant.
pub const AGENTS_MAX: usize = 1_000;
/// Records per read.
const PAGE: usize = 500;
/// Attempts to record an outcome under concurrent writes.
const ATTEMPTS_MAX: u32 = 5;
/// Maximum length of an agent's name, in characters.
pub const NAME_CHARS_MAX: usize = 100;

pub struct AgentRegistry {
    records: Arc<dyn RecordStore>,
    tiers: TierTable,
    tenants: TenantStore,
    cached: Mutex<BTreeMap<TenantId, TenantAgents>>,
    quotas: quotas::TierQuotas,
}

/// Cached state of one tenant's agents.
#[derive(Default)]
struct TenantAgents {
    read_at: Option<Time>,
    health: BTreeMap<String, AgentHealth>,
}

impl AgentRegistry {
    pub fn new(records: Arc<dyn RecordStore>, tiers: TierTable) -> Self {
        let turns = quotas::TierQuotas::new(records.clone());
        let tenants = TenantStore::new(records.clone(), tiers.names());
        Self { records, tiers, tenants, cached: Mutex::default(), quotas: turns }
    }

    /// The tenants that were created by name.
    pub fn tenants(&self) -> &TenantStore {
        &self.tenants
    }

    /// The tenant's limits: those of the tier in its row, otherwise of the tier in the settings. Reads memory only.
    pub fn tier(&self, tenant: &TenantId) -> &Arc<TenantTier> {
        self.tiers.of(tenant, self.tenants.tier(tenant).as_deref())
    }

    /// The tier of a tenant whose row names `own`.
    pub fn tier_named(&self, tenant: &TenantId, own: Option<&str>) -> &Arc<TenantTier> {
        self.tiers.of(tenant, own)
    }

    /// Takes one unit of the tenant's quota, for one request or one started run. Returns the status of the limit with
    /// the least left, or `None` if the tenant's tier has no limit.
    ///
    /// # Errors
    /// [`QuotaError::Exceeded`] says when the next unit is available.
    pub async fn take_quota(&self, tenant: &TenantId, now: Time) -> Result<Option<QuotaStatus>, QuotaError> {
        self.tenants.cached(tenant, now).await?;
        match self.quotas.take(tenant, self.tiers.rate(self.tier(tenant)), now).await? {
            None => Ok(None),
            Some(Ok(standing)) => Ok(Some(standing)),
            Some(Err(standing)) => Err(QuotaError::Exceeded { tier: self.tier(tenant).name.clone(), standing }),
        }
    }

    /// The constraints on a tenant's agents now, as far as this process knows them. Reads memory only.
    pub fn advice(&self, tenant: &TenantId, now: Time) -> Arc<AgentConstraints> {
        let known = lock(&self.cached);
        let unwell = known.get(tenant).into_iter().flat_map(|known| &known.health);
        let unwell = unwell.filter(|(_, health)| !health.is_healthy(now)).map(|(name, _)| name.clone()).collect();
        Arc::new(AgentConstraints { tier: Some(self.tier(tenant).clone()), failing: unwell })
    }

    /// Reads the health of the tenant's agents, unless it was read a moment ago.
    pub async fn refresh(&self, tenant: &TenantId, now: Time) {
        {
            let mut known = lock(&self.cached);
            let known = known.entry(tenant.clone()).or_default();
            if known.read_at.is_some_and(|read| now.since(read) < CACHE_TTL) {
                return;
            }
            known.read_at = Some(now);
        }
        if let Err(error) = self.tenants.cached(tenant, now).await {
            tracing::warn!(%tenant, %error, "a tenant's tier cannot be read");
        }
        // If health cannot be read, it is unknown and every agent counts as healthy.
        match self.health(tenant).await {
            Ok(health) => lock(&self.cached).entry(tenant.clone()).or_default().health = health,
            Err(error) => tracing::warn!(%tenant, %error, "how agents have done cannot be read"),
        }
    }

    /// The health of each of the tenant's agents.
    pub async fn health(&self, tenant: &TenantId) -> Result<BTreeMap<String, AgentHealth>, EngineError> {
        let rows = self.all(tenant, HEALTH).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.key, serde_json::from_value(row.value).ok()?))).collect())
    }

    /// Records how tasks ended. An outcome that cannot be written is lost: it is one of many.
    pub async fn record_outcomes(&self, tenant: &TenantId, outcomes: &[AgentOutcome], now: Time) {
        for outcome in outcomes {
            if let Err(error) = self.record_outcome(tenant, outcome, now).await {
                tracing::warn!(%tenant, agent = outcome.agent, %error, "how an agent did cannot be noted");
            }
        }
    }

    async fn record_outcome(&self, tenant: &TenantId, outcome: &AgentOutcome, now: Time) -> Result<(), EngineError> {
        for _ in 0..ATTEMPTS_MAX {
            let (space, key) = (HEALTH.to_owned(), outcome.agent.clone());
            let before = self.records.get(tenant, HEALTH, &key).await?;
            let known = before.as_ref().and_then(|row| serde_json::from_value::<AgentHealth>(row.value.clone()).ok());
            let health = known.unwrap_or_default().after(outcome, now);
            let value = serde_json::to_value(&health)?;
            let op = match before {
                Some(StoredRecord { version, .. }) => RecordOp::CompareAndSet { space, key, version, value },
                None => RecordOp::Insert { space, key, value },
            };
            match self.records.commit(tenant, vec![op], now).await {
                Ok(()) => {
                    let mut known = lock(&self.cached);
                    known.entry(tenant.clone()).or_default().health.insert(outcome.agent.clone(), health);
                    return Ok(());
                }
                Err(records::RecordError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Registers an agent for the tenant's definitions from now on; replaces an agent of the same name.
    ///
    /// # Errors
    /// The name is empty or too long, the tenant has [`AGENTS_MAX`] agents and this one is not among them, or the
    /// records cannot be written. Concurrent registrations may each take the last free place.
    pub async fn register(&self, tenant: &TenantId, agent: &AgentDefinition, now: Time) -> Result<(), EngineError> {
        self.register_if_version(tenant, agent, None, now).await.map(drop)
    }

    /// Registers an agent only if its record has the version `expected`, if given; 0 means that it must not exist.
    /// Returns the new version, or `None` if the version differs, in which case nothing is changed.
    ///
    /// # Errors
    /// As for [`register`](Self::register).
    pub async fn register_if_version(
        &self,
        tenant: &TenantId,
        agent: &AgentDefinition,
        expected: Option<u64>,
        now: Time,
    ) -> Result<Option<u64>, EngineError> {
        let chars = agent.name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX {
            let message = format!("an agent's name has 1 to {NAME_CHARS_MAX} characters, not {chars}");
            return Err(EngineError::BadAgent { message });
        }
        let before = self.records.get(tenant, AGENTS, &agent.name).await?.map(|record| record.version);
        if expected.is_some_and(|expected| expected != before.unwrap_or(0)) {
            return Ok(None);
        }
        if before.is_none() && self.all(tenant, AGENTS).await?.len() >= AGENTS_MAX {
            let message = format!(
                "agent `{}` is not registered: {AGENTS_MAX} agents are with `{tenant}`, as many as may be; remove one first",
                agent.name
            );
            return Err(EngineError::BadAgent { message });
        }
        let (space, key, value) = (AGENTS.to_owned(), agent.name.clone(), serde_json::to_value(agent)?);
        let op = match (expected, before) {
            (None, _) => RecordOp::Put { space, key, value },
            (Some(_), None) => RecordOp::Insert { space, key, value },
            (Some(version), Some(_)) => RecordOp::CompareAndSet { space, key, version, value },
        };
        match self.records.commit(tenant, vec![op], now).await {
            Ok(()) => Ok(Some(before.unwrap_or(0) + 1)),
            // Another writer was first.
            Err(records::RecordError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A registered agent and the version of its record.
    pub async fn registration(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Option<(AgentDefinition, u64)>, EngineError> {
        let Some(record) = self.records.get(tenant, AGENTS, name).await? else { return Ok(None) };
        Ok(Some((serde_json::from_value(record.value)?, record.version)))
    }

    /// Removes a registered agent. Returns whether it existed. Workflow versions that name the agent keep it: it is
    /// pinned with them.
    pub async fn remove(&self, tenant: &TenantId, name: &str, now: Time) -> Result<bool, EngineError> {
        let was_there = self.records.get(tenant, AGENTS, name).await?.is_some();
        let op = RecordOp::Delete { space: AGENTS.to_owned(), key: name.to_owned() };
        self.records.commit(tenant, vec![op], now).await?;
        Ok(was_there)
    }

    /// Removes a registered agent only if its record has this version. Returns whether it was removed.
    pub async fn remove_if_version(
        &self,
        tenant: &TenantId,
        name: &str,
        expected: u64,
        now: Time,
    ) -> Result<bool, EngineError> {
        let (space, key) = (AGENTS.to_owned(), name.to_owned());
        let expect = RecordOp::Expect { space: space.clone(), key: key.clone(), version: Some(expected) };
        match self.records.commit(tenant, vec![expect, RecordOp::Delete { space, key }], now).await {
            Ok(()) => Ok(true),
            Err(records::RecordError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// All registered agents, by name.
    pub async fn registered(&self, tenant: &TenantId) -> Result<BTreeMap<String, AgentDefinition>, EngineError> {
        let rows = self.all(tenant, AGENTS).await?;
        rows.into_iter().map(|row| Ok((row.key, serde_json::from_value(row.value)?))).collect()
    }

    async fn all(&self, tenant: &TenantId, space: &str) -> Result<Vec<StoredRecord>, EngineError> {
        let mut all: Vec<StoredRecord> = Vec::new();
        loop {
            let after = all.last().map(|record| record.key.clone());
            let page = self.records.list(tenant, space, "", after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }
}

#[cfg(test)]
mod tests;
