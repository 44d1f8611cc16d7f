//! Money, before it is spent: every call reserves what it may cost, exactly and in memory, out of an allowance that
//! this process holds durably of each budget line, and settles what it cost.
//!
//! The allowance is grown ahead of need, so that a call waits for the disk only where it is used up. What the store does
//! not grant is not there: then a call waits for others of this process to settle less than they reserved, and takes
//! what is left or is refused. A process that is killed loses the use of what it held and can overrun nothing.

mod config;
mod cost_bound;
mod gauges;
mod live_budgets;
mod refusal;
mod reservation;
mod settlement;
mod state;

pub use config::{BudgetConfig, OnExceeded, SpendLimit, SpendLimits, TenantBudgets};
pub(crate) use cost_bound::CostBound;
pub use live_budgets::LiveBudgets;
pub use reservation::{AttemptCharge, Reservation};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_core::id::TenantId;
use baton_core::money::{BudgetWindow, PriceQuote, Usd};
use baton_core::run::ModelCallError;
use baton_core::time::Time;
use baton_ports::budget::{AllowanceRequest, BudgetHolder, BudgetStore, CallSpend, SpendAccount};
use baton_ports::clock::Clock;
use baton_ports::journal::JournalError;
use baton_ports::models::ModelCaller;
use tokio::sync::{Notify, OnceCell};
use tokio::time::Instant;

use self::refusal::{budget_exceeded, budget_unavailable, settlement_backlog};
use self::state::{BudgetState, LimitedLine};

/// Kinds of spends that wait to be written down. Beyond it nothing more is admitted until they are.
const WAITING_MAX: usize = 5_000;

/// How much of a line is spent, in per cent, when whoever spends is told.
pub const WARNING_PERCENT: u8 = 80;

/// A line that is nearly used up, or wholly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetWarning {
    pub window: BudgetWindow,
    pub percent: u8,
}

impl BudgetWarning {
    fn of(limited: &LimitedLine, spent: Usd) -> Self {
        let (spent, limit) = (i128::from(spent.as_nanos()), i128::from(limited.limit.as_nanos()).max(1));
        let percent = u8::try_from((spent * 100 / limit).clamp(0, 100)).unwrap_or(100);
        Self { window: limited.line.window, percent }
    }
}

/// Why there is no money for a call.
#[derive(Clone, Debug, PartialEq)]
pub struct ReserveError {
    pub fault: ModelCallError,
    /// The window that is used up; nothing where nobody can say.
    pub window: Option<BudgetWindow>,
}

impl From<ModelCallError> for ReserveError {
    fn from(fault: ModelCallError) -> Self {
        Self { fault, window: None }
    }
}

/// This process's allowance of every tenant and key it spends for. Clones share it.
#[derive(Clone)]
pub struct BudgetLedger {
    inner: Arc<LedgerInner>,
}

struct LedgerInner {
    port: Arc<dyn BudgetStore>,
    config: Arc<LiveBudgets>,
    clock: Arc<dyn Clock>,
    holder: OnceCell<BudgetHolder>,
    state: Mutex<BudgetState>,
    /// One growth at a time; those who wait for it share it.
    growing: tokio::sync::Mutex<()>,
    /// A settlement under way: what it carries is in no other.
    settling: tokio::sync::Mutex<()>,
    /// A call has settled for less than it reserved.
    released: Notify,
}

impl BudgetLedger {
    pub fn new(port: Arc<dyn BudgetStore>, config: BudgetConfig, clock: Arc<dyn Clock>) -> Self {
        let inner = LedgerInner {
            port,
            config: Arc::new(LiveBudgets::new(config)),
            clock,
            holder: OnceCell::new(),
            state: Mutex::default(),
            growing: tokio::sync::Mutex::default(),
            settling: tokio::sync::Mutex::default(),
            released: Notify::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Reserves what a call may cost in every line it counts against. Less than [`PriceQuote::most`] is reserved only where no
    /// line has more and nothing of this process is under way that might give some back: then the call must be kept to
    /// what [`Reservation::amount`] says. Waits at most until `deadline`.
    ///
    /// # Errors
    /// `BUDGET_EXCEEDED`, naming the line and when it begins anew; where budgets pause calls, with the block that says
    /// so. `SERVICE_UNAVAILABLE` where the store cannot be asked.
    pub async fn reserve(
        &self,
        asker: &ModelCaller,
        account: SpendAccount,
        quote: PriceQuote,
        deadline: Instant,
    ) -> Result<Reservation, ReserveError> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let holder = inner.holder(now).await.map_err(|error| budget_unavailable(&error))?;
        if inner.lock().waiting() > WAITING_MAX {
            return Err(settlement_backlog().into());
        }
        let ReservedAmount { amount, lines, at } = match inner.try_take(asker, quote, now) {
            Some(taken) => taken,
            // Boxed, for it is rare, and what it needs would make room in every call.
            None => Box::pin(inner.take(asker, quote, deadline)).await?,
        };
        inner.ensure_settler();
        inner.grow_ahead();
        let spend = CallSpend {
            tenant: asker.tenant.clone(),
            key_id: asker.key_id.clone(),
            account,
            at,
            holder: Some(holder),
            calls: 1,
            answered: 0,
            estimated: 0,
            cost: Usd::ZERO,
            usage: baton_core::model::TokenUsage::default(),
            latency_ms: 0,
            saved: Usd::ZERO,
        };
        Ok(Reservation::new(Arc::clone(inner), lines, amount, spend, asker.charges.clone()))
    }

    /// What may be spent, as it is now.
    pub fn limits(&self) -> &Arc<LiveBudgets> {
        &self.inner.config
    }

    /// Whether any line limits the calls of a tenant or key.
    pub fn has_limit(&self, tenant: &TenantId, key_id: Option<&str>) -> bool {
        self.inner.config.now().has_limit(tenant, key_id)
    }

    /// The line of a tenant or key that is nearest its limit, where at least [`WARNING_PERCENT`] of it are spent: about,
    /// and from memory alone.
    pub fn warning(&self, tenant: &TenantId, key_id: Option<&str>) -> Option<BudgetWarning> {
        let inner = &self.inner;
        let lines = inner.config.now().lines(tenant, key_id, inner.clock.now());
        let state = inner.lock();
        let of = |limited: &LimitedLine| state.spent(&limited.line).map(|spent| BudgetWarning::of(limited, spent));
        lines
            .iter()
            .filter_map(of)
            .filter(|nearly| nearly.percent >= WARNING_PERCENT)
            .max_by_key(|nearly| nearly.percent)
    }

    /// Settles everything that is known and gives back the rest. Call it once nothing is asked any more; what comes
    /// later is counted all the same.
    ///
    /// # Errors
    /// The store's; then what this process held counts as spent until its windows are over.
    pub async fn close(&self) -> Result<(), JournalError> {
        let Some(holder) = self.inner.holder.get() else { return Ok(()) };
        while self.inner.settle().await? {}
        self.inner.lock().clear();
        self.inner.port.close(*holder).await
    }
}

/// What was reserved, of which lines, and when.
struct ReservedAmount {
    amount: Usd,
    lines: Vec<LimitedLine>,
    at: Time,
}

impl LedgerInner {
    /// The number of this memory, fetched once.
    async fn holder(&self, now: Time) -> Result<BudgetHolder, JournalError> {
        self.holder.get_or_try_init(|| self.port.open(now)).await.copied()
    }

    /// What is there in memory. Nothing where some line has too little of it.
    fn try_take(&self, asker: &ModelCaller, quote: PriceQuote, now: Time) -> Option<ReservedAmount> {
        let lines = self.config.now().lines(&asker.tenant, asker.key_id.as_deref(), now);
        let amount = if quote.most > Usd::ZERO { self.lock().take(&lines, quote, false, now).ok()? } else { Usd::ZERO };
        Some(ReservedAmount { amount, lines, at: now })
    }

    /// Takes as soon as there is enough: grown, or given back by others.
    async fn take(
        self: &Arc<Self>,
        asker: &ModelCaller,
        quote: PriceQuote,
        deadline: Instant,
    ) -> Result<ReservedAmount, ReserveError> {
        let mut is_known = false;
        loop {
            // Registered before it is looked, so that nothing given back in between is missed.
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            let now = self.clock.now();
            // Anew each time: while a call waits, a window may end and the next begin.
            let lines = self.config.now().lines(&asker.tenant, asker.key_id.as_deref(), now);
            let mut taken = self.lock().take(&lines, quote, false, now);
            if matches!(&taken, Err(short) if short.can_grow || !short.has_calls_in_flight) {
                self.grow(&lines, quote.most).await.map_err(|error| budget_unavailable(&error))?;
                taken = self.lock().take(&lines, quote, true, now);
            }
            let short = match taken {
                Ok(amount) => return Ok(ReservedAmount { amount, lines, at: now }),
                // Others were quicker to take what was grown.
                Err(short) if short.can_grow && Instant::now() < deadline => continue,
                Err(short) => short,
            };
            let waits = short.has_calls_in_flight && {
                let _waiting = ReserveWaiter::new(self, &lines);
                tokio::time::timeout_at(deadline, released).await.is_ok()
            };
            if !waits && !is_known {
                // What was spent here is written down first, so that the refusal tells spent from held.
                is_known = true;
                self.settle().await.map_err(|error| budget_unavailable(&error))?;
            } else if !waits {
                let on_exceeded = self.config.now().on_exceeded(&asker.tenant, asker.key_id.as_deref());
                let window = Some(short.limited.line.window);
                return Err(ReserveError { fault: budget_exceeded(&short, quote, now, on_exceeded), window });
            }
        }
    }

    /// Takes more of these lines, with whatever else is low. Callers that come while one is under way wait for the next
    /// and share it.
    async fn grow(&self, lines: &[LimitedLine], need: Usd) -> Result<(), JournalError> {
        let seen = self.lock().want(lines, need);
        let _turn = self.growing.lock().await;
        if self.lock().growths > seen {
            return Ok(());
        }
        self.grow_now().await
    }

    async fn grow_now(&self) -> Result<(), JournalError> {
        let now = self.clock.now();
        let holder = self.holder(now).await?;
        let wants: Vec<AllowanceRequest> = self.lock().wants(now);
        if wants.is_empty() {
            return Ok(());
        }
        let grown = self.port.reserve(holder, wants.clone(), now).await;
        self.lock().apply_growth(&wants, grown.as_deref().unwrap_or_default(), now);
        self.remember_tenants(&wants);
        grown.map(drop)
    }

    /// Where a line is low, it is grown before anybody waits for it.
    fn grow_ahead(self: &Arc<Self>) {
        if !self.lock().begin_prefetch() {
            return;
        }
        let inner = Arc::clone(self);
        let grows = async move {
            {
                let _turn = inner.growing.lock().await;
                if let Err(error) = inner.grow_now().await {
                    tracing::warn!(%error, "budgets cannot be looked at ahead; calls wait until they can");
                }
            }
            inner.lock().ahead = false;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(grows)),
            Err(_) => self.lock().ahead = false,
        }
    }

    /// These locks guard short, panic-free sections; a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits for others to give back.
struct ReserveWaiter<'a> {
    ledger: &'a LedgerInner,
    lines: &'a [LimitedLine],
}

impl<'a> ReserveWaiter<'a> {
    fn new(purse: &'a LedgerInner, lines: &'a [LimitedLine]) -> Self {
        purse.lock().wait(lines, true);
        Self { ledger: purse, lines }
    }
}

impl Drop for ReserveWaiter<'_> {
    fn drop(&mut self) {
        self.ledger.lock().wait(self.lines, false);
    }
}

impl std::fmt::Debug for BudgetLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BudgetLedger").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
