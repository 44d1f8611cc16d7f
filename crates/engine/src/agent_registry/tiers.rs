//! The table of tiers, and the tier of each tenant. The numbers are chosen by Baton.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use baton_core::agent::{AgentKind, AgentLimits, OverLimitPolicy, TenantTier};
use baton_core::id::TenantId;
use serde::{Deserialize, Serialize};

/// The whole table. The last tier is the default: its limits hardly restrict a self-hosted installation.
fn table() -> [(TenantTier, TierRate); 3] {
    let talkers = [AgentKind::Simple, AgentKind::Reasoning];
    let all = [AgentKind::Simple, AgentKind::Reasoning, AgentKind::Code, AgentKind::Custom];
    let row =
        |name: &str, types: &[AgentKind], [tools, concurrency]: [usize; 2], iterations, seconds, rate: [u32; 2]| {
            let types = types.iter().copied().collect::<BTreeSet<_>>();
            let limits = AgentLimits { types, tools, iterations, seconds, concurrency, above: OverLimitPolicy::Clamp };
            let [per_minute, per_hour] = rate.map(NonZeroU32::new);
            (TenantTier { name: name.to_owned(), limits }, TierRate { per_minute, per_hour })
        };
    //                   types    tools, at once  iterations  seconds  a minute, an hour
    [
        row("free", &talkers, [5, 2], 5, 60, [30, 500]),
        row("professional", &all, [20, 10], 15, 300, [300, 10_000]),
        row("enterprise", &all, [100, 100], 100, 3_600, [0, 0]),
    ]
}

/// How often a tenant may call the gateway and start runs, together. `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TierRate {
    /// Minutes and hours are those of UTC.
    pub per_minute: Option<NonZeroU32>,
    pub per_hour: Option<NonZeroU32>,
}

/// The table with the overrides of the settings, and the tier of each tenant.
#[derive(Clone, Debug)]
pub struct TierTable {
    table: BTreeMap<String, Arc<TenantTier>>,
    default: Arc<TenantTier>,
    of: BTreeMap<TenantId, String>,
    /// By tier name.
    rates: BTreeMap<String, TierRate>,
}

/// The settings of `[agents]` in `baton.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TierSettings {
    /// The tier of tenants that have none of their own. Default: `enterprise`.
    pub tier: Option<String>,
    /// The tier names of tenants.
    pub tenants: BTreeMap<TenantId, String>,
    /// Overrides of the table's tiers, or new tiers, which must set every field.
    pub tiers: BTreeMap<String, TierOverrides>,
}

/// The overrides of one tier.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TierOverrides {
    pub types: Option<BTreeSet<AgentKind>>,
    pub tools: Option<usize>,
    pub iterations: Option<u32>,
    pub seconds: Option<u64>,
    pub concurrency: Option<usize>,
    /// Requests to the gateway and started runs per minute, and per hour; 0 means no limit.
    pub per_minute: Option<u32>,
    pub per_hour: Option<u32>,
    pub above: Option<OverLimitPolicy>,
}

impl TierTable {
    /// # Errors
    /// A tier is not in the table and does not set every field, a tenant names an unknown tier, or a limit is zero.
    pub fn new(settings: TierSettings) -> Result<Self, String> {
        let Self { mut table, default, mut rates, .. } = Self::default();
        for (name, changes) in settings.tiers {
            let known = table.get(&name).map(|tier| &tier.limits);
            let rate = rates.entry(name.clone()).or_default();
            rate.per_minute = changes.per_minute.map_or(rate.per_minute, NonZeroU32::new);
            rate.per_hour = changes.per_hour.map_or(rate.per_hour, NonZeroU32::new);
            let limits = changes.over(known).map_err(|what| format!("agents.tiers.{name}: {what}"))?;
            table.insert(name.clone(), Arc::new(TenantTier { name, limits }));
        }
        let known = || table.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let missing = |name: &str| format!("there is no tier `{name}`; there are {}", known());
        let own = settings.tier.as_deref().unwrap_or(&default.name);
        let default = table.get(own).cloned().ok_or_else(|| format!("agents.tier: {}", missing(own)))?;
        for (tenant, name) in &settings.tenants {
            if !table.contains_key(name) {
                return Err(format!("agents.tenants.{tenant}: {}", missing(name)));
            }
        }
        Ok(Self { table, default, of: settings.tenants, rates })
    }

    pub(super) fn rate(&self, tier: &TenantTier) -> TierRate {
        self.rates.get(&tier.name).copied().unwrap_or_default()
    }

    /// The tier of a tenant: `own` if it is in the table, otherwise the tier in the settings.
    pub fn of(&self, tenant: &TenantId, own: Option<&str>) -> &Arc<TenantTier> {
        let known = |name: &str| self.table.get(name);
        let settings = || self.of.get(tenant).and_then(|name| known(name));
        own.and_then(known).or_else(settings).unwrap_or(&self.default)
    }

    /// The names of all tiers.
    pub fn names(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }
}

impl TierOverrides {
    fn over(self, known: Option<&AgentLimits>) -> Result<AgentLimits, String> {
        let need = |name: &str| format!("`{name}` is not written, and there is no such tier to take it from");
        let limits = AgentLimits {
            types: self.types.or(known.map(|known| known.types.clone())).ok_or_else(|| need("types"))?,
            tools: self.tools.or(known.map(|known| known.tools)).ok_or_else(|| need("tools"))?,
            iterations: self.iterations.or(known.map(|known| known.iterations)).ok_or_else(|| need("iterations"))?,
            seconds: self.seconds.or(known.map(|known| known.seconds)).ok_or_else(|| need("seconds"))?,
            concurrency: self
                .concurrency
                .or(known.map(|known| known.concurrency))
                .ok_or_else(|| need("concurrency"))?,
            above: self.above.or(known.map(|known| known.above)).unwrap_or_default(),
        };
        let none = [
            ("types", limits.types.len() as u64),
            ("iterations", u64::from(limits.iterations)),
            ("seconds", limits.seconds),
            ("concurrency", limits.concurrency as u64),
        ];
        match none.into_iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("`{name}` is nothing, so that no agent could run")),
            None => Ok(limits),
        }
    }
}

impl Default for TierTable {
    fn default() -> Self {
        let rows = table();
        let rates = rows.iter().map(|(tier, rate)| (tier.name.clone(), *rate)).collect();
        let rows = rows.map(|(tier, _)| Arc::new(tier));
        let default = rows[rows.len() - 1].clone();
        Self { table: rows.map(|tier| (tier.name.clone(), tier)).into(), default, of: BTreeMap::new(), rates }
    }
}
