//! Budgets, enforced before money is spent. Every call reserves its possible cost, exactly and in memory, from an
//! allowance that this process holds durably of each budget line, and settles its actual cost.
//!
//! The allowance is grown ahead of need, so that a call waits for the disk only when the allowance is used up. If the
//! store grants no more, a call waits until other calls of this process settle for less than they reserved, and then
//! takes what is left or is refused. A process that is killed loses the use of its allowance; it can never overrun a
//! budget.

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

/// Maximum number of kinds of spends that wait for settlement. Beyond it, no call is admitted until they are settled.
const WAITING_MAX: usize = 5_000;

/// The share of a line, in per cent, at which callers get a warning.
pub const WARNING_PERCENT: u8 = 80;

/// A line that is nearly or completely used up.
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

/// Why no budget could be reserved for a call.
#[derive(Clone, Debug, PartialEq)]
pub struct ReserveError {
    pub fault: ModelCallError,
    /// The window that is used up; `None` if it is unknown.
    pub window: Option<BudgetWindow>,
}

impl From<ModelCallError> for ReserveError {
    fn from(fault: ModelCallError) -> Self {
        Self { fault, window: None }
    }
}

/// This process's allowance for every tenant and key that it spends for. Clones share it.
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
    /// Allows one growth at a time; callers that wait for it share it.
    growing: tokio::sync::Mutex<()>,
    /// The settlement in progress. No two settlements carry the same spends.
    settling: tokio::sync::Mutex<()>,
    /// Notified when a call settles for less than it reserved.
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

    /// Reserves the possible cost of a call in every line that it counts against. Less than [`PriceQuote::most`] is
    /// reserved only if no line has more and no call of this process is in flight that might give some back; the call
    /// must then be limited to [`Reservation::amount`]. Waits at most until `deadline`.
    ///
    /// # Errors
    /// `BUDGET_EXCEEDED`, naming the line and when its next window begins; if budgets pause calls, with the block that
    /// says so. `SERVICE_UNAVAILABLE` if the store cannot be reached.
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
            // Boxed because this path is rare and its state would enlarge the future of every call.
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

    /// Returns the limits that apply now.
    pub fn limits(&self) -> &Arc<LiveBudgets> {
        &self.inner.config
    }

    /// Whether any line limits the calls of a tenant or key.
    pub fn has_limit(&self, tenant: &TenantId, key_id: Option<&str>) -> bool {
        self.inner.config.now().has_limit(tenant, key_id)
    }

    /// Returns the line of a tenant or key that is nearest its limit, if at least [`WARNING_PERCENT`] of it is spent.
    /// Approximate; reads only memory.
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

    /// Settles everything that is known and gives back the rest. Call it after the last call has been made; later
    /// spends are still counted.
    ///
    /// # Errors
    /// Those of the store. The allowance of this process then counts as spent until its windows end.
    pub async fn close(&self) -> Result<(), JournalError> {
        let Some(holder) = self.inner.holder.get() else { return Ok(()) };
        while self.inner.settle().await? {}
        self.inner.lock().clear();
        self.inner.port.close(*holder).await
    }
}

/// An amount reserved, with its lines and the instant.
struct ReservedAmount {
    amount: Usd,
    lines: Vec<LimitedLine>,
    at: Time,
}

impl LedgerInner {
    /// The holder number of this process, fetched once.
    async fn holder(&self, now: Time) -> Result<BudgetHolder, JournalError> {
        self.holder.get_or_try_init(|| self.port.open(now)).await.copied()
    }

    /// Reserves from memory. Returns `None` if some line has too little.
    fn try_take(&self, asker: &ModelCaller, quote: PriceQuote, now: Time) -> Option<ReservedAmount> {
        let lines = self.config.now().lines(&asker.tenant, asker.key_id.as_deref(), now);
        let amount = if quote.most > Usd::ZERO { self.lock().take(&lines, quote, false, now).ok()? } else { Usd::ZERO };
        Some(ReservedAmount { amount, lines, at: now })
    }

    /// Reserves as soon as there is enough, by growth or because other calls give some back.
    async fn take(
        self: &Arc<Self>,
        asker: &ModelCaller,
        quote: PriceQuote,
        deadline: Instant,
    ) -> Result<ReservedAmount, ReserveError> {
        let mut is_known = false;
        loop {
            // Registered before the check, so that no release in between is missed.
            let released = self.released.notified();
            tokio::pin!(released);
            released.as_mut().enable();
            let now = self.clock.now();
            // Computed in each iteration: while a call waits, a window may end and the next one begin.
            let lines = self.config.now().lines(&asker.tenant, asker.key_id.as_deref(), now);
            let mut taken = self.lock().take(&lines, quote, false, now);
            if matches!(&taken, Err(short) if short.can_grow || !short.has_calls_in_flight) {
                self.grow(&lines, quote.most).await.map_err(|error| budget_unavailable(&error))?;
                taken = self.lock().take(&lines, quote, true, now);
            }
            let short = match taken {
                Ok(amount) => return Ok(ReservedAmount { amount, lines, at: now }),
                // Other calls took the growth first.
                Err(short) if short.can_grow && Instant::now() < deadline => continue,
                Err(short) => short,
            };
            let waits = short.has_calls_in_flight && {
                let _waiting = ReserveWaiter::new(self, &lines);
                tokio::time::timeout_at(deadline, released).await.is_ok()
            };
            if !waits && !is_known {
                // Spends of this process are settled first, so that the refusal can tell spent from reserved amounts.
                is_known = true;
                self.settle().await.map_err(|error| budget_unavailable(&error))?;
            } else if !waits {
                let on_exceeded = self.config.now().on_exceeded(&asker.tenant, asker.key_id.as_deref());
                let window = Some(short.limited.line.window);
                return Err(ReserveError { fault: budget_exceeded(&short, quote, now, on_exceeded), window });
            }
        }
    }

    /// Requests more for these lines, and for any other line that is low. Callers that arrive while a growth is in
    /// progress wait for the next one and share it.
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

    /// Grows a line that is low before any call has to wait for it.
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

    /// These locks guard short sections that cannot panic; a poisoned lock is safe to use.
    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits for other calls to give some back.
struct ReserveWaiter<'a> {
    ledger: &'a LedgerInner,
    lines: &'a [LimitedLine],
}

impl<'a> ReserveWaiter<'a> {
    fn new(budget_ledger: &'a LedgerInner, lines: &'a [LimitedLine]) -> Self {
        budget_ledger.lock().wait(lines, true);
        Self { ledger: budget_ledger, lines }
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
