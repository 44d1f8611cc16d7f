//! What tenants may spend, and what they have spent, across processes.
//!
//! A *line* is one budget in one window: of a tenant, or of one of its API keys. A process may spend only what it holds
//! of every line a call counts against: its *allowance*, taken durably ahead of need and never beyond what remains. So
//! a reservation is a matter of memory, and what all processes admit together never exceeds a line. An allowance that
//! its process never settled (it was killed) counts as spent until the line's window ends: a crash may under-use a
//! budget, and cannot overrun it. Rules: `docs/concepts/money.md`.

mod charge;
mod cost;
mod notice;
mod row;

use std::fmt;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::model::TokenUsage;
use baton_core::money::{BudgetWindow, Usd};
use baton_core::time::Time;
use serde::Serialize;

use crate::journal::JournalError;

pub use charge::{ChargeCollector, PendingCharge, SettlementSink};
pub use cost::{CostDimension, CostFilter, CostRow};
pub use notice::{BudgetNotice, NOTICES, notice_id, notice_item, reached};
pub use row::{BudgetPolicy, BudgetRow, BudgetRule};

/// Lines of one growth, and spends of one settlement.
pub const ROWS_MAX: usize = 10_000;
/// Of what is left of a line beyond what is needed now, this part is held ahead of need, at the most.
pub const PREFETCH_PART: i64 = 16;
/// Per cent of a line at which somebody is told, once a window each; where one write passes both, of the higher alone.
pub const NOTIFY_AT: [u8; 2] = [80, 100];
/// Rows one answer about costs has at the most.
pub const COST_ROWS_MAX: usize = 10_000;

/// One budget in one window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BudgetPeriod {
    pub tenant: TenantId,
    /// An API key's own budget, by the key's id; nothing for the tenant's.
    pub key_id: Option<String>,
    pub window: BudgetWindow,
    /// When the window began.
    pub begins: Time,
}

impl BudgetPeriod {
    pub fn of(tenant: &TenantId, key_id: Option<&str>, window: BudgetWindow, at: Time) -> Self {
        Self { tenant: tenant.clone(), key_id: key_id.map(str::to_owned), window, begins: window.begin(at) }
    }

    /// When it begins anew.
    pub fn ends(&self) -> Time {
        self.window.end(self.begins)
    }

    /// All lines that a call at `at` counts against: the tenant's, and the key's.
    pub fn all(tenant: &TenantId, key_id: Option<&str>, at: Time) -> Vec<Self> {
        let owners = [Some(None), key_id.map(Some)];
        let of = |owner: Option<&str>| BudgetWindow::ALL.map(|window| Self::of(tenant, owner, window, at));
        owners.into_iter().flatten().flat_map(of).collect()
    }
}

/// As people name it: ``the hourly budget of tenant `acme` ``.
impl fmt::Display for BudgetPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, key_id, window, .. } = self;
        match key_id {
            None => write!(f, "the {} budget of tenant `{tenant}`", window.adjective()),
            Some(key) => write!(f, "the {} budget of key `{key}` of tenant `{tenant}`", window.adjective()),
        }
    }
}

/// One process's memory of what it holds, numbered by the store; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BudgetHolder(pub i64);

/// What a holder would like to have of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct AllowanceRequest {
    pub line: BudgetPeriod,
    /// The line's limit, as this process was told it.
    pub limit: Usd,
    /// What calls wait for: granted as far as it is there.
    pub need: Usd,
    /// What would be good to have besides: at most one part in [`PREFETCH_PART`] of what is left then.
    pub prefetch: Usd,
}

impl AllowanceRequest {
    /// What is granted of it where so much is left.
    pub fn grant(&self, left: Usd) -> Usd {
        let left = left.max(Usd::ZERO);
        let need = self.need.clamp(Usd::ZERO, left);
        let share = Usd::from_nanos((left - need).as_nanos() / PREFETCH_PART);
        need + self.prefetch.clamp(Usd::ZERO, share)
    }
}

/// How a line stands, over all processes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetStanding {
    pub line: BudgetPeriod,
    /// As the process said that last took of it; nothing where none ever did.
    pub limit: Option<Usd>,
    pub spent: Usd,
    /// Held by processes, those that are gone included: for calls under way and ahead of need.
    pub held: Usd,
}

impl BudgetStanding {
    /// What may still be taken.
    pub fn remaining(&self, limit: Usd) -> Usd {
        limit - self.spent - self.held
    }
}

/// What a growth came to, for one of its wants.
#[derive(Clone, Debug, PartialEq)]
pub struct AllowanceGrant {
    pub amount: Usd,
    /// With the amount in it.
    pub standing: BudgetStanding,
}

/// What calls are counted by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SpendAccount {
    /// The workflow's name; empty for a call that is no run's.
    pub workflow: String,
    pub agent: String,
    pub profile: String,
    pub model: String,
    pub provider: String,
}

/// What one call cost, or several of one account within one hour.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSpend {
    pub tenant: TenantId,
    pub key_id: Option<String>,
    pub account: SpendAccount,
    /// When it was admitted: says the windows and the day it counts to.
    pub at: Time,
    /// Out of whose allowance. Nothing where the allowance of a process that died covers it: then it is counted among
    /// the costs and taken from no line a second time.
    pub holder: Option<BudgetHolder>,
    pub calls: u64,
    /// Those that were answered.
    pub answered: u64,
    /// Those whose price nobody knows, counted as what was reserved for them.
    pub estimated: u64,
    pub cost: Usd,
    pub usage: TokenUsage,
    /// Of all calls together.
    pub latency_ms: u64,
    /// What was not spent: tools that a selection left out would have cost so much, one call of each.
    pub saved: Usd,
}

impl CallSpend {
    /// Adds another of the same tenant, key, account and hour.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.estimated += other.estimated;
        self.cost += other.cost;
        self.usage.add(&other.usage);
        self.latency_ms += other.latency_ms;
        self.saved += other.saved;
    }
}

/// What a holder has spent and what it gives back, written together.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetSettlement {
    pub holder: BudgetHolder,
    /// Rises with each settlement of the holder: one that is told twice is written once.
    pub number: u64,
    pub spends: Vec<CallSpend>,
    pub returned: Vec<(BudgetPeriod, Usd)>,
}

/// Allowances, what was spent of them, and what it was spent on. At each mark of [`NOTIFY_AT`] the very write that reaches it
/// opens a desk item ([`notice`]) and keeps a record of it for those who are written to ([`BudgetNotice::record`]).
/// [`JournalAppend::spends`](crate::journal::JournalAppend) settles the calls of runs.
#[async_trait]
pub trait BudgetStore: Send + Sync {
    /// A new holder, with nothing.
    async fn open(&self, now: Time) -> Result<BudgetHolder, JournalError>;

    /// Takes more of lines for a holder, each as far as [`AllowanceRequest::grant`] says; in the order of the wants. Durable when
    /// it returns. A line that cannot give what is needed is used up: then somebody is told.
    async fn reserve(
        &self,
        holder: BudgetHolder,
        wants: Vec<AllowanceRequest>,
        now: Time,
    ) -> Result<Vec<AllowanceGrant>, JournalError>;

    /// Writes down what was spent and gives back what is not needed. Durable when it returns; on an error it may be
    /// told again under the same number.
    async fn settle(&self, settlement: BudgetSettlement) -> Result<(), JournalError>;

    /// Gives everything back that the holder still holds.
    async fn close(&self, holder: BudgetHolder) -> Result<(), JournalError>;

    /// How the tenant's lines stand at `now`, those of its keys included; those that nothing was ever spent or held of
    /// are left out.
    async fn standings(&self, tenant: &TenantId, now: Time) -> Result<Vec<BudgetStanding>, JournalError>;

    /// Most expensive first, by day where days are apart; at most [`COST_ROWS_MAX`].
    async fn costs(&self, filter: CostFilter) -> Result<Vec<CostRow>, JournalError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(usd: f64) -> Usd {
        Usd::from_f64(usd)
    }

    fn want(need: f64, ahead: f64) -> AllowanceRequest {
        let line = BudgetPeriod::of(&"acme".into(), None, BudgetWindow::Hour, Time::EPOCH);
        AllowanceRequest { line, limit: usd(100.0), need: usd(need), prefetch: usd(ahead) }
    }

    #[test]
    fn need_comes_first_and_what_is_held_ahead_is_a_small_part_of_the_rest() {
        assert_eq!(want(1.0, 2.0).grant(usd(100.0)), usd(3.0));
        assert_eq!(want(1.0, 20.0).grant(usd(33.0)), usd(3.0));
        assert_eq!(want(1.0, 20.0).grant(usd(1.0)), usd(1.0));
        assert_eq!(want(2.0, 20.0).grant(usd(1.0)), usd(1.0));
        assert_eq!(want(2.0, 20.0).grant(usd(-1.0)), Usd::ZERO);
    }

    #[test]
    fn eighty_and_a_hundred_per_cent_are_told_exactly() {
        let reached = |spent: i64, limit: i64| reached(Usd::from_nanos(spent), Usd::from_nanos(limit));
        assert_eq!([reached(79, 100), reached(80, 100), reached(99, 100), reached(100, 100)], [0, 80, 80, 100]);
        assert_eq!(reached(i64::MAX, i64::MAX), 100);
        assert_eq!(reached(0, 0), 0);
    }

    #[test]
    fn a_call_counts_against_the_lines_of_its_tenant_and_its_key() {
        let at: Time = "2026-11-21T06:01:06Z".parse().unwrap_or_default();
        let lines = BudgetPeriod::all(&"acme".into(), Some("k1"), at);
        let said: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 6);
        assert_eq!(said[0], "the hourly budget of tenant `acme`");
        assert_eq!(said[5], "the monthly budget of key `k1` of tenant `acme`");
        assert_eq!(BudgetPeriod::all(&"acme".into(), None, at).len(), 3);
    }
}
