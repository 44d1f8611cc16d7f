//! A store that counts requests, a manual clock, and calls that budget ledgers admit.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::money::{BudgetWindow, PriceQuote};
use baton_core::time::Time;
use baton_ports::budget::{
    AllowanceGrant, BudgetHolder, BudgetPeriod, BudgetSettlement, BudgetStanding, ChargeCollector, CostFilter, CostRow,
};
use baton_ports::journal::JournalError;
use baton_sim::fake::FakeStore;

use crate::budget::*;
use crate::providers::test_support;

pub(super) const TENANT: &str = "clinic";

/// A manual clock.
#[derive(Debug)]
pub(super) struct BudgetTestClock(Mutex<Time>);

impl BudgetTestClock {
    pub fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(text.parse().expect("an instant"))))
    }

    pub fn advance(&self, time: Duration) {
        let mut now = self.0.lock().expect("a clock");
        *now = *now + time;
    }
}

impl Clock for BudgetTestClock {
    fn now(&self) -> Time {
        *self.0.lock().expect("a clock")
    }
}

/// A store that counts requests and fails on demand.
#[derive(Default)]
pub(super) struct CountingBudgetStore {
    pub store: FakeStore,
    pub growths: AtomicU64,
    pub settlements: AtomicU64,
    /// The request is performed and the answer is lost.
    pub loses_answers: AtomicBool,
}

impl CountingBudgetStore {
    pub fn answer<T>(&self, answer: T) -> Result<T, JournalError> {
        if self.loses_answers.load(Ordering::Relaxed) {
            return Err(JournalError::Unwritable { reason: "no answer".into() });
        }
        Ok(answer)
    }
}

#[async_trait]
impl BudgetStore for CountingBudgetStore {
    async fn open(&self, now: Time) -> Result<BudgetHolder, JournalError> {
        self.store.open(now).await
    }

    async fn reserve(
        &self,
        holder: BudgetHolder,
        wants: Vec<AllowanceRequest>,
        now: Time,
    ) -> Result<Vec<AllowanceGrant>, JournalError> {
        self.growths.fetch_add(1, Ordering::Relaxed);
        // Other tasks run in between.
        tokio::task::yield_now().await;
        let grown = self.store.reserve(holder, wants, now).await?;
        self.answer(grown)
    }

    async fn settle(&self, settlement: BudgetSettlement) -> Result<(), JournalError> {
        self.settlements.fetch_add(1, Ordering::Relaxed);
        self.store.settle(settlement).await?;
        self.answer(())
    }

    async fn close(&self, holder: BudgetHolder) -> Result<(), JournalError> {
        self.store.close(holder).await
    }

    async fn standings(&self, tenant: &TenantId, now: Time) -> Result<Vec<BudgetStanding>, JournalError> {
        self.store.standings(tenant, now).await
    }

    async fn costs(&self, filter: CostFilter) -> Result<Vec<CostRow>, JournalError> {
        self.store.costs(filter).await
    }
}

/// A store, its clock, and budgets from settings.
pub(super) struct BudgetFixture {
    pub store: Arc<CountingBudgetStore>,
    pub clock: Arc<BudgetTestClock>,
    pub config: BudgetConfig,
}

impl BudgetFixture {
    pub fn new(budgets: serde_json::Value) -> Self {
        let config = serde_json::from_value(budgets).expect("budgets");
        Self { store: Arc::default(), clock: BudgetTestClock::at("2026-11-21T06:30:00Z"), config }
    }

    /// The ledger of one process.
    pub fn ledger(&self) -> BudgetLedger {
        BudgetLedger::new(self.store.clone(), self.config.clone(), self.clock.clone())
    }

    pub async fn hour(&self) -> (Usd, Usd) {
        self.line(None, BudgetWindow::Hour).await.map_or_else(Default::default, |now| (now.spent, now.held))
    }

    pub async fn line(&self, key: Option<&str>, window: BudgetWindow) -> Option<BudgetStanding> {
        let now = self.clock.now();
        let line = BudgetPeriod::of(&TENANT.into(), key, window, now);
        let all = self.store.standings(&TENANT.into(), now).await.expect("reads");
        all.into_iter().find(|standing| standing.line == line)
    }

    pub fn growths(&self) -> u64 {
        self.store.growths.load(Ordering::Relaxed)
    }
}

pub(super) fn usd(usd: f64) -> Usd {
    Usd::from_f64(usd)
}

pub(super) fn exactly(price: f64) -> PriceQuote {
    PriceQuote::exactly(usd(price))
}

/// A quote from the price of a short reply to that of the longest.
pub(super) fn between(least: Usd, most: Usd) -> PriceQuote {
    PriceQuote { most, usual: least, least }
}

pub(super) fn gateway() -> ModelCaller {
    ModelCaller { run: None, ..test_support::asker(1) }
}

pub(super) fn in_run(tab: &ChargeCollector) -> ModelCaller {
    ModelCaller { charges: Some(tab.clone()), ..test_support::asker(1) }
}

pub(super) async fn reserve(ledger: &BudgetLedger, price: PriceQuote) -> Result<Reservation, ModelCallError> {
    ledger.reserve(&gateway(), SpendAccount::default(), price, soon()).await.map_err(|refused| refused.fault)
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

pub(super) fn costing(cost: f64) -> AttemptCharge {
    AttemptCharge { cost: usd(cost), answered: true, ..AttemptCharge::default() }
}

/// A call that is admitted, in flight for a moment, and settled.
pub(super) async fn call(ledger: &BudgetLedger, price: PriceQuote, cost: f64) -> Result<(), ModelCallError> {
    let hold = reserve(ledger, price).await?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    hold.settle(costing(cost));
    Ok(())
}
