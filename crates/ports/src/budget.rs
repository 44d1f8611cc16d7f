//! What tenants may spend, and what they have spent, across processes.
//!
//! A *line* is one budget in one window: of a tenant, or of one of its API keys. A process may spend only its
//! *allowance*: what it holds of every line that a call counts against, taken durably in advance and never beyond what
//! remains. A reservation is therefore made in memory, and all processes together never admit more than a line. An
//! allowance that its process never settled, because it was killed, counts as spent until the line's window ends: a
//! crash may under-use a budget, but cannot overrun it. Rules: `docs/concepts/money.md`.

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

/// Maximum number of lines in one reservation, and of spends in one settlement.
pub const ROWS_MAX: usize = 10_000;
/// At most this fraction of what a line has left beyond the current need is held in advance.
pub const PREFETCH_PART: i64 = 16;
/// Percentages of a line at which a notice is sent, once per window each. If one write passes both, only the higher one
/// is reported.
pub const NOTIFY_AT: [u8; 2] = [80, 100];
/// Maximum number of rows in one cost report.
pub const COST_ROWS_MAX: usize = 10_000;

/// One budget in one window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BudgetPeriod {
    pub tenant: TenantId,
    /// An API key's own budget, by the key's id; `None` for the tenant's.
    pub key_id: Option<String>,
    pub window: BudgetWindow,
    /// When the window began.
    pub begins: Time,
}

impl BudgetPeriod {
    pub fn of(tenant: &TenantId, key_id: Option<&str>, window: BudgetWindow, at: Time) -> Self {
        Self { tenant: tenant.clone(), key_id: key_id.map(str::to_owned), window, begins: window.begin(at) }
    }

    /// When the next window begins.
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

/// A readable name: ``the hourly budget of tenant `acme` ``.
impl fmt::Display for BudgetPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, key_id, window, .. } = self;
        match key_id {
            None => write!(f, "the {} budget of tenant `{tenant}`", window.adjective()),
            Some(key) => write!(f, "the {} budget of key `{key}` of tenant `{tenant}`", window.adjective()),
        }
    }
}

/// The holder of one process's allowances, numbered by the store; numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BudgetHolder(pub i64);

/// A holder's request for more of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct AllowanceRequest {
    pub line: BudgetPeriod,
    /// The line's limit, as configured in this process.
    pub limit: Usd,
    /// What calls wait for: granted as far as it is available.
    pub need: Usd,
    /// What should be held in advance: at most one part in [`PREFETCH_PART`] of what is left then.
    pub prefetch: Usd,
}

impl AllowanceRequest {
    /// The amount granted if this much is left.
    pub fn grant(&self, left: Usd) -> Usd {
        let left = left.max(Usd::ZERO);
        let need = self.need.clamp(Usd::ZERO, left);
        let share = Usd::from_nanos((left - need).as_nanos() / PREFETCH_PART);
        need + self.prefetch.clamp(Usd::ZERO, share)
    }
}

/// The state of a line, over all processes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetStanding {
    pub line: BudgetPeriod,
    /// The limit according to the process that last took from the line; `None` if none ever did.
    pub limit: Option<Usd>,
    pub spent: Usd,
    /// Held by processes, including dead ones: for calls in progress and in advance.
    pub held: Usd,
}

impl BudgetStanding {
    /// What may still be taken.
    pub fn remaining(&self, limit: Usd) -> Usd {
        limit - self.spent - self.held
    }
}

/// The result of one allowance request.
#[derive(Clone, Debug, PartialEq)]
pub struct AllowanceGrant {
    pub amount: Usd,
    /// Includes the granted amount.
    pub standing: BudgetStanding,
}

/// The dimensions by which calls are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SpendAccount {
    /// The workflow's name; empty for a call outside a run.
    pub workflow: String,
    pub agent: String,
    pub profile: String,
    pub model: String,
    pub provider: String,
}

/// The cost of one call, or of several of one account within one hour.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSpend {
    pub tenant: TenantId,
    pub key_id: Option<String>,
    pub account: SpendAccount,
    /// When it was admitted: determines its windows and its day.
    pub at: Time,
    /// The holder whose allowance pays. `None` if the allowance of a dead process covers it: then it is counted as
    /// cost, and not deducted from a line again.
    pub holder: Option<BudgetHolder>,
    pub calls: u64,
    /// Number of answered calls.
    pub answered: u64,
    /// Number of calls of unknown price, counted at the amount reserved for them.
    pub estimated: u64,
    pub cost: Usd,
    pub usage: TokenUsage,
    /// The sum over all calls.
    pub latency_ms: u64,
    /// Avoided cost: what the tools left out by a selection would have cost, with one call of each.
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

/// What a holder has spent and what it returns, written together.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetSettlement {
    pub holder: BudgetHolder,
    /// Increases with each settlement of the holder: a repeated one is written once.
    pub number: u64,
    pub spends: Vec<CallSpend>,
    pub returned: Vec<(BudgetPeriod, Usd)>,
}

/// Allowances, spending, and what it was spent on. The write that reaches a mark of [`NOTIFY_AT`] also opens a task
/// inbox item ([`notice`]) and stores a record of it for people who are notified by message ([`BudgetNotice::record`]).
/// [`JournalAppend::spends`](crate::journal::JournalAppend) settles the calls of runs.
#[async_trait]
pub trait BudgetStore: Send + Sync {
    /// A new holder without allowances.
    async fn open(&self, now: Time) -> Result<BudgetHolder, JournalError>;

    /// Takes more of lines for a holder, each as far as [`AllowanceRequest::grant`] allows, in the order of the
    /// requests. Durable when it returns. A line that cannot give what is needed is used up, and a notice is sent.
    async fn reserve(
        &self,
        holder: BudgetHolder,
        wants: Vec<AllowanceRequest>,
        now: Time,
    ) -> Result<Vec<AllowanceGrant>, JournalError>;

    /// Records what was spent and returns what is not needed. Durable when it returns; after an error it may be
    /// repeated under the same number.
    async fn settle(&self, settlement: BudgetSettlement) -> Result<(), JournalError>;

    /// Returns everything that the holder still holds.
    async fn close(&self, holder: BudgetHolder) -> Result<(), JournalError>;

    /// The state of the tenant's lines at `now`, including those of its keys; lines without spending and allowances are
    /// left out.
    async fn standings(&self, tenant: &TenantId, now: Time) -> Result<Vec<BudgetStanding>, JournalError>;

    /// Most expensive first, ordered by day if days are separate; at most [`COST_ROWS_MAX`].
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
