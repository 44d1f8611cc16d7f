//! Who the tenants' agents are: those registered while the system runs, how each has done, and what a tenant's tier lets
//! them use.
//!
//! How an agent does is told by real outcomes: an exponentially weighted error rate and latency of its tasks, kept in
//! records, shared by all processes. An agent that fails too often is *unwell*: where another may stand in for it, that
//! one begins ([`AgentConstraints`]). After a while it is tried again.

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

/// Registered agents, and how each has done.
const AGENTS: &str = "agents";
const HEALTH: &str = "agent_health";
/// How long what is known of a tenant's agents is used before the records are read again.
const CACHE_TTL: Duration = Duration::from_secs(5);
/// Agents that may be registered with one tenant.
pub const AGENTS_MAX: usize = 1_000;
/// Records that are read at once.
const PAGE: usize = 500;
/// Attempts to note an outcome while others note theirs.
const ATTEMPTS_MAX: u32 = 5;
/// Characters of an agent's name.
pub const NAME_CHARS_MAX: usize = 100;

pub struct AgentRegistry {
    records: Arc<dyn RecordStore>,
    tiers: TierTable,
    tenants: TenantStore,
    cached: Mutex<BTreeMap<TenantId, TenantAgents>>,
    quotas: quotas::TierQuotas,
}

/// What is known of one tenant's agents.
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

    /// Those that were made by name.
    pub fn tenants(&self) -> &TenantStore {
        &self.tenants
    }

    /// The tenant's limits: of the tier that its row says, else of the settings'; from memory alone.
    pub fn tier(&self, tenant: &TenantId) -> &Arc<TenantTier> {
        self.tiers.of(tenant, self.tenants.tier(tenant).as_deref())
    }

    /// The tier that a tenant has whose row says this.
    pub fn tier_named(&self, tenant: &TenantId, own: Option<&str>) -> &Arc<TenantTier> {
        self.tiers.of(tenant, own)
    }

    /// A turn for one request of a tenant's, or one run it begins: how the limit stands that is nearest, nothing where its
    /// tier has none.
    ///
    /// # Errors
    /// [`QuotaError::Exceeded`] says when the next one is.
    pub async fn take_quota(&self, tenant: &TenantId, now: Time) -> Result<Option<QuotaStatus>, QuotaError> {
        self.tenants.cached(tenant, now).await?;
        match self.quotas.take(tenant, self.tiers.rate(self.tier(tenant)), now).await? {
            None => Ok(None),
            Some(Ok(standing)) => Ok(Some(standing)),
            Some(Err(standing)) => Err(QuotaError::Exceeded { tier: self.tier(tenant).name.clone(), standing }),
        }
    }

    /// What holds for a tenant's agents now, as far as it is known here; from memory alone.
    pub fn advice(&self, tenant: &TenantId, now: Time) -> Arc<AgentConstraints> {
        let known = lock(&self.cached);
        let unwell = known.get(tenant).into_iter().flat_map(|known| &known.health);
        let unwell = unwell.filter(|(_, health)| !health.is_healthy(now)).map(|(name, _)| name.clone()).collect();
        Arc::new(AgentConstraints { tier: Some(self.tier(tenant).clone()), failing: unwell })
    }

    /// Reads how the tenant's agents are, unless that was read a moment ago.
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
        // What cannot be read is not known: then everybody counts as well.
        match self.health(tenant).await {
            Ok(health) => lock(&self.cached).entry(tenant.clone()).or_default().health = health,
            Err(error) => tracing::warn!(%tenant, %error, "how agents have done cannot be read"),
        }
    }

    /// How each of the tenant's agents has done.
    pub async fn health(&self, tenant: &TenantId) -> Result<BTreeMap<String, AgentHealth>, EngineError> {
        let rows = self.all(tenant, HEALTH).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.key, serde_json::from_value(row.value).ok()?))).collect())
    }

    /// Notes how tasks ended. What cannot be written is lost: it is one outcome of many.
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

    /// Makes an agent known to the tenant's definitions from here on; one of the same name is replaced.
    ///
    /// # Errors
    /// A name that is empty or too long; as many agents as may be, and this one not among them; records that cannot be
    /// written. Registrations at once may each find room for the last one.
    pub async fn register(&self, tenant: &TenantId, agent: &AgentDefinition, now: Time) -> Result<(), EngineError> {
        self.register_if_version(tenant, agent, None, now).await.map(drop)
    }

    /// The same, where it was written so often as `expected` says, if it says so; 0 stands for one that is not there. How
    /// often it was written now; nothing where it was otherwise, and then nothing is changed.
    ///
    /// # Errors
    /// As [`register`](Self::register).
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
            // Somebody was faster.
            Err(records::RecordError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A registered agent, and how often it was written.
    pub async fn registration(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Option<(AgentDefinition, u64)>, EngineError> {
        let Some(record) = self.records.get(tenant, AGENTS, name).await? else { return Ok(None) };
        Ok(Some((serde_json::from_value(record.value)?, record.version)))
    }

    /// Forgets a registered agent; says whether there was one. Versions that name it keep it: it is pinned with them.
    pub async fn remove(&self, tenant: &TenantId, name: &str, now: Time) -> Result<bool, EngineError> {
        let was_there = self.records.get(tenant, AGENTS, name).await?.is_some();
        let op = RecordOp::Delete { space: AGENTS.to_owned(), key: name.to_owned() };
        self.records.commit(tenant, vec![op], now).await?;
        Ok(was_there)
    }

    /// The same, where it was written so often; says whether it was, and it is gone.
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

    /// Every registered agent, by name.
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
