//! A store that is watched, a clock that is set by hand, and calls that purses admit.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::money::{Quote, Window};
use baton_core::time::Time;
use baton_ports::budget::{CostFilter, CostRow, Grown, Holder, Line, Settlement, Standing, Tab};
use baton_ports::journal::Error;
use baton_sim::fake::Store;

use crate::budget::*;
use crate::providers::rehearsal;

pub(super) const TENANT: &str = "clinic";

/// A clock that is set by hand.
#[derive(Debug)]
pub(super) struct Hands(Mutex<Time>);

impl Hands {
    pub fn at(text: &str) -> Arc<Self> {
        Arc::new(Self(Mutex::new(text.parse().expect("an instant"))))
    }

    pub fn move_on(&self, time: Duration) {
        let mut now = self.0.lock().expect("a clock");
        *now = *now + time;
    }
}

impl Clock for Hands {
    fn now(&self) -> Time {
        *self.0.lock().expect("a clock")
    }
}

/// A store that counts what it is asked, and fails where it is told to.
#[derive(Default)]
pub(super) struct Watched {
    pub store: Store,
    pub growths: AtomicU64,
    pub settlements: AtomicU64,
    /// It does what it is asked, and the answer is lost.
    pub loses_answers: AtomicBool,
}

impl Watched {
    pub fn answer<T>(&self, answer: T) -> Result<T, Error> {
        if self.loses_answers.load(Ordering::Relaxed) {
            return Err(Error::Unwritable { reason: "no answer".into() });
        }
        Ok(answer)
    }
}

#[async_trait]
impl Budget for Watched {
    async fn open(&self, now: Time) -> Result<Holder, Error> {
        self.store.open(now).await
    }

    async fn grow(&self, holder: Holder, wants: Vec<Want>, now: Time) -> Result<Vec<Grown>, Error> {
        self.growths.fetch_add(1, Ordering::Relaxed);
        // Others come meanwhile.
        tokio::task::yield_now().await;
        let grown = self.store.grow(holder, wants, now).await?;
        self.answer(grown)
    }

    async fn settle(&self, settlement: Settlement) -> Result<(), Error> {
        self.settlements.fetch_add(1, Ordering::Relaxed);
        self.store.settle(settlement).await?;
        self.answer(())
    }

    async fn close(&self, holder: Holder) -> Result<(), Error> {
        self.store.close(holder).await
    }

    async fn standings(&self, tenant: &TenantId, now: Time) -> Result<Vec<Standing>, Error> {
        self.store.standings(tenant, now).await
    }

    async fn costs(&self, filter: CostFilter) -> Result<Vec<CostRow>, Error> {
        self.store.costs(filter).await
    }
}

/// A store, its clock, and budgets as settings write them.
pub(super) struct World {
    pub watched: Arc<Watched>,
    pub clock: Arc<Hands>,
    pub config: Config,
}

impl World {
    pub fn new(budgets: serde_json::Value) -> Self {
        let config = serde_json::from_value(budgets).expect("budgets");
        Self { watched: Arc::default(), clock: Hands::at("2026-11-21T06:30:00Z"), config }
    }

    /// One process's.
    pub fn purse(&self) -> Purse {
        Purse::new(self.watched.clone(), self.config.clone(), self.clock.clone())
    }

    pub async fn hour(&self) -> (Usd, Usd) {
        self.line(None, Window::Hour).await.map_or_else(Default::default, |now| (now.spent, now.held))
    }

    pub async fn line(&self, key: Option<&str>, window: Window) -> Option<Standing> {
        let now = self.clock.now();
        let line = Line::of(&TENANT.into(), key, window, now);
        let all = self.watched.standings(&TENANT.into(), now).await.expect("reads");
        all.into_iter().find(|standing| standing.line == line)
    }

    pub fn growths(&self) -> u64 {
        self.watched.growths.load(Ordering::Relaxed)
    }
}

pub(super) fn usd(usd: f64) -> Usd {
    Usd::from_f64(usd)
}

pub(super) fn exactly(price: f64) -> Quote {
    Quote::exactly(usd(price))
}

/// From the price of a short reply to that of the longest.
pub(super) fn between(least: Usd, most: Usd) -> Quote {
    Quote { most, usual: least, least }
}

pub(super) fn gateway() -> Asker {
    Asker { run: None, ..rehearsal::asker(1) }
}

pub(super) fn in_run(tab: &Tab) -> Asker {
    Asker { tab: Some(tab.clone()), ..rehearsal::asker(1) }
}

pub(super) async fn reserve(purse: &Purse, price: Quote) -> Result<Hold, ModelFault> {
    purse.reserve(&gateway(), Account::default(), price, soon()).await.map_err(|refused| refused.fault)
}

pub(super) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

pub(super) fn costing(cost: f64) -> Paid {
    Paid { cost: usd(cost), answered: true, ..Paid::default() }
}

/// A call that is admitted, out for a moment, and paid.
pub(super) async fn call(purse: &Purse, price: Quote, cost: f64) -> Result<(), ModelFault> {
    let hold = reserve(purse, price).await?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    hold.paid(costing(cost));
    Ok(())
}
