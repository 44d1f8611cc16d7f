//! Who the tenants' agents are: those registered while the system runs, how each has done, and what a tenant's tier lets
//! them use.
//!
//! How an agent does is told by real outcomes: an exponentially weighted error rate and latency of its tasks, kept in
//! records, shared by all processes. An agent that fails too often is *unwell*: where another may stand in for it, that
//! one begins ([`Advice`]). After a while it is tried again.

mod card;
mod health;
mod tiers;
mod turns;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baton_core::agent::{Advice, Agent, Tier};
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{self, Op, Record, Records};

use crate::Error;
use crate::driver::lock;
use crate::tenants::Tenants;

pub use card::{Card, Wanted};
pub use health::{Health, Outcome};
pub use tiers::{Changes, Settings, Tiers};
pub use turns::{NoTurn, Standing};

/// Registered agents, and how each has done.
const AGENTS: &str = "agents";
const HEALTH: &str = "agent_health";
/// How long what is known of a tenant's agents is used before the records are read again.
const FRESH: Duration = Duration::from_secs(5);
/// Agents that may be registered with one tenant.
pub const AGENTS_MAX: usize = 1_000;
/// Records that are read at once.
const PAGE: usize = 500;
/// Attempts to note an outcome while others note theirs.
const ATTEMPTS_MAX: u32 = 5;
/// Characters of an agent's name.
pub const NAME_CHARS_MAX: usize = 100;

pub struct Roster {
    records: Arc<dyn Records>,
    tiers: Tiers,
    tenants: Tenants,
    known: Mutex<BTreeMap<TenantId, Known>>,
    turns: turns::Turns,
}

/// What is known of one tenant's agents.
#[derive(Default)]
struct Known {
    read_at: Option<Time>,
    health: BTreeMap<String, Health>,
}

impl Roster {
    pub fn new(records: Arc<dyn Records>, tiers: Tiers) -> Self {
        let turns = turns::Turns::new(records.clone());
        let tenants = Tenants::new(records.clone(), tiers.names());
        Self { records, tiers, tenants, known: Mutex::default(), turns }
    }

    /// Those that were made by name.
    pub fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    /// The tenant's limits: of the tier that its row says, else of the settings'; from memory alone.
    pub fn tier(&self, tenant: &TenantId) -> &Arc<Tier> {
        self.tiers.of(tenant, self.tenants.tier(tenant).as_deref())
    }

    /// The tier that a tenant has whose row says this.
    pub fn tier_said(&self, tenant: &TenantId, own: Option<&str>) -> &Arc<Tier> {
        self.tiers.of(tenant, own)
    }

    /// A turn for one request of a tenant's, or one run it begins: how the limit stands that is nearest, nothing where its
    /// tier has none.
    ///
    /// # Errors
    /// [`NoTurn::Full`] says when the next one is.
    pub async fn turn(&self, tenant: &TenantId, now: Time) -> Result<Option<Standing>, NoTurn> {
        self.tenants.standing(tenant, now).await?;
        match self.turns.take(tenant, self.tiers.rate(self.tier(tenant)), now).await? {
            None => Ok(None),
            Some(Ok(standing)) => Ok(Some(standing)),
            Some(Err(standing)) => Err(NoTurn::Full { tier: self.tier(tenant).name.clone(), standing }),
        }
    }

    /// What holds for a tenant's agents now, as far as it is known here; from memory alone.
    pub fn advice(&self, tenant: &TenantId, now: Time) -> Arc<Advice> {
        let known = lock(&self.known);
        let unwell = known.get(tenant).into_iter().flat_map(|known| &known.health);
        let unwell = unwell.filter(|(_, health)| !health.is_healthy(now)).map(|(name, _)| name.clone()).collect();
        Arc::new(Advice { tier: Some(self.tier(tenant).clone()), unwell })
    }

    /// Reads how the tenant's agents are, unless that was read a moment ago.
    pub async fn look(&self, tenant: &TenantId, now: Time) {
        {
            let mut known = lock(&self.known);
            let known = known.entry(tenant.clone()).or_default();
            if known.read_at.is_some_and(|read| now.since(read) < FRESH) {
                return;
            }
            known.read_at = Some(now);
        }
        if let Err(error) = self.tenants.standing(tenant, now).await {
            tracing::warn!(%tenant, %error, "a tenant's tier cannot be read");
        }
        // What cannot be read is not known: then everybody counts as well.
        match self.health(tenant).await {
            Ok(health) => lock(&self.known).entry(tenant.clone()).or_default().health = health,
            Err(error) => tracing::warn!(%tenant, %error, "how agents have done cannot be read"),
        }
    }

    /// How each of the tenant's agents has done.
    pub async fn health(&self, tenant: &TenantId) -> Result<BTreeMap<String, Health>, Error> {
        let rows = self.all(tenant, HEALTH).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.key, serde_json::from_value(row.value).ok()?))).collect())
    }

    /// Notes how tasks ended. What cannot be written is lost: it is one outcome of many.
    pub async fn note(&self, tenant: &TenantId, outcomes: &[Outcome], now: Time) {
        for outcome in outcomes {
            if let Err(error) = self.note_one(tenant, outcome, now).await {
                tracing::warn!(%tenant, agent = outcome.agent, %error, "how an agent did cannot be noted");
            }
        }
    }

    async fn note_one(&self, tenant: &TenantId, outcome: &Outcome, now: Time) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let (space, key) = (HEALTH.to_owned(), outcome.agent.clone());
            let before = self.records.get(tenant, HEALTH, &key).await?;
            let known = before.as_ref().and_then(|row| serde_json::from_value::<Health>(row.value.clone()).ok());
            let health = known.unwrap_or_default().after(outcome, now);
            let value = serde_json::to_value(&health)?;
            let op = match before {
                Some(Record { version, .. }) => Op::CompareAndSet { space, key, version, value },
                None => Op::Insert { space, key, value },
            };
            match self.records.commit(tenant, vec![op], now).await {
                Ok(()) => {
                    let mut known = lock(&self.known);
                    known.entry(tenant.clone()).or_default().health.insert(outcome.agent.clone(), health);
                    return Ok(());
                }
                Err(records::Error::Conflict { .. }) => {}
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
    pub async fn register(&self, tenant: &TenantId, agent: &Agent, now: Time) -> Result<(), Error> {
        self.register_over(tenant, agent, None, now).await.map(drop)
    }

    /// The same, where it was written so often as `expected` says, if it says so; 0 stands for one that is not there. How
    /// often it was written now; nothing where it was otherwise, and then nothing is changed.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub async fn register_over(
        &self,
        tenant: &TenantId,
        agent: &Agent,
        expected: Option<u64>,
        now: Time,
    ) -> Result<Option<u64>, Error> {
        let chars = agent.name.chars().count();
        if chars == 0 || chars > NAME_CHARS_MAX {
            let message = format!("an agent's name has 1 to {NAME_CHARS_MAX} characters, not {chars}");
            return Err(Error::BadAgent { message });
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
            return Err(Error::BadAgent { message });
        }
        let (space, key, value) = (AGENTS.to_owned(), agent.name.clone(), serde_json::to_value(agent)?);
        let op = match (expected, before) {
            (None, _) => Op::Put { space, key, value },
            (Some(_), None) => Op::Insert { space, key, value },
            (Some(version), Some(_)) => Op::CompareAndSet { space, key, version, value },
        };
        match self.records.commit(tenant, vec![op], now).await {
            Ok(()) => Ok(Some(before.unwrap_or(0) + 1)),
            // Somebody was faster.
            Err(records::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A registered agent, and how often it was written.
    pub async fn registration(&self, tenant: &TenantId, name: &str) -> Result<Option<(Agent, u64)>, Error> {
        let Some(record) = self.records.get(tenant, AGENTS, name).await? else { return Ok(None) };
        Ok(Some((serde_json::from_value(record.value)?, record.version)))
    }

    /// Forgets a registered agent; says whether there was one. Versions that name it keep it: it is pinned with them.
    pub async fn remove(&self, tenant: &TenantId, name: &str, now: Time) -> Result<bool, Error> {
        let was_there = self.records.get(tenant, AGENTS, name).await?.is_some();
        let op = Op::Delete { space: AGENTS.to_owned(), key: name.to_owned() };
        self.records.commit(tenant, vec![op], now).await?;
        Ok(was_there)
    }

    /// The same, where it was written so often; says whether it was, and it is gone.
    pub async fn remove_over(&self, tenant: &TenantId, name: &str, expected: u64, now: Time) -> Result<bool, Error> {
        let (space, key) = (AGENTS.to_owned(), name.to_owned());
        let expect = Op::Expect { space: space.clone(), key: key.clone(), version: Some(expected) };
        match self.records.commit(tenant, vec![expect, Op::Delete { space, key }], now).await {
            Ok(()) => Ok(true),
            Err(records::Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Every registered agent, by name.
    pub async fn registered(&self, tenant: &TenantId) -> Result<BTreeMap<String, Agent>, Error> {
        let rows = self.all(tenant, AGENTS).await?;
        rows.into_iter().map(|row| Ok((row.key, serde_json::from_value(row.value)?))).collect()
    }

    async fn all(&self, tenant: &TenantId, space: &str) -> Result<Vec<Record>, Error> {
        let mut all: Vec<Record> = Vec::new();
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
