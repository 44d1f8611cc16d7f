//! Budgets as shown to people: each line with its limit, what is spent and held of it, and when its next window begins.

use std::collections::BTreeSet;

use baton_core::id::TenantId;
use baton_core::money::{BudgetWindow, Usd};
use baton_core::time::Time;
use serde_json::{Value, json};

use super::{BudgetPeriod, BudgetStanding};

/// The budget limits in the settings.
pub trait BudgetPolicy: Send + Sync {
    fn rule_for(&self, line: &BudgetPeriod) -> BudgetRule;

    /// The ids of keys that have limits of their own.
    fn keys(&self) -> Vec<String>;
}

/// The settings of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetRule {
    /// `None` means unlimited.
    pub limit: Option<Usd>,
    /// What happens to a call above the limit: `refuse` or `pause`.
    pub on_exceeded: &'static str,
    /// The setting that limits it.
    pub setting: Option<String>,
}

/// The state of one line.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetRow {
    pub line: BudgetPeriod,
    pub allowance: BudgetRule,
    pub spent: Usd,
    pub held: Usd,
}

impl BudgetRow {
    /// The lines of a tenant and of its keys at `now`. A key's line without a limit and without spending is left out.
    /// Keys named by `allowed` that have no spending may belong to another tenant: `of_tenant` decides by the key's id
    /// whether it is one of this tenant's.
    pub fn all(
        tenant: &TenantId,
        standings: &[BudgetStanding],
        allowed: &dyn BudgetPolicy,
        of_tenant: impl Fn(&str) -> bool,
        now: Time,
    ) -> Vec<Self> {
        let named = allowed.keys().into_iter().filter(|key| of_tenant(key));
        let spending = standings.iter().filter_map(|of| of.line.key_id.clone());
        let keys: BTreeSet<String> = named.chain(spending).collect();
        let owners = std::iter::once(None).chain(keys.iter().map(|key| Some(key.as_str())));
        let lines = owners.flat_map(|key| BudgetWindow::ALL.map(|window| BudgetPeriod::of(tenant, key, window, now)));
        lines.map(|line| Self::of(line, standings, allowed)).filter(Self::is_relevant).collect()
    }

    fn of(line: BudgetPeriod, standings: &[BudgetStanding], allowed: &dyn BudgetPolicy) -> Self {
        let known = standings.iter().find(|standing| standing.line == line);
        let (spent, held) = known.map_or_else(Default::default, |known| (known.spent, known.held));
        Self { allowance: allowed.rule_for(&line), line, spent, held }
    }

    fn is_relevant(&self) -> bool {
        self.line.key_id.is_none() || self.allowance.limit.is_some() || self.spent > Usd::ZERO
    }

    /// What may still be spent; `None` if unlimited.
    pub fn remaining(&self) -> Option<Usd> {
        self.allowance.limit.map(|limit| (limit - self.spent - self.held).max(Usd::ZERO))
    }

    /// The row as JSON.
    pub fn as_json(&self) -> Value {
        let BudgetRule { limit, on_exceeded, setting } = &self.allowance;
        json!({
            "tenant": self.line.tenant, "key_id": self.line.key_id, "window": self.line.window,
            "begins_at": self.line.begins.to_string(), "resets_at": self.line.ends().to_string(),
            "limit_usd": limit.map(Usd::as_f64), "spent_usd": self.spent.as_f64(),
            "held_usd": self.held.as_f64(), "left_usd": self.remaining().map(Usd::as_f64),
            "on_exceeded": on_exceeded, "setting": setting,
        })
    }
}
