//! A reservation: it ends in what the call cost, or, where nobody says, in what it may have cost.

use std::sync::Arc;
use std::time::Duration;

use baton_core::model::Usage;
use baton_core::money::Usd;
use baton_ports::budget::{Charge, Settles, Spend, Tab};

use super::Inner;
use super::state::Limited;

/// Reserved for one attempt of one call. Dropped without a word (the caller has gone, the outcome is unknown), it is
/// settled at what was reserved.
#[must_use]
pub struct Hold {
    purse: Arc<Inner>,
    lines: Vec<Limited>,
    amount: Usd,
    /// Nothing once it is settled.
    spend: Option<Spend>,
    tab: Option<Tab>,
}

/// What an attempt came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paid {
    pub cost: Usd,
    pub usage: Usage,
    pub answered: bool,
    /// Nobody has counted: the cost is what was reserved.
    pub estimated: bool,
    pub latency: Duration,
}

impl Hold {
    pub(super) fn new(purse: Arc<Inner>, lines: Vec<Limited>, amount: Usd, spend: Spend, tab: Option<Tab>) -> Self {
        Self { purse, lines, amount, spend: Some(spend), tab }
    }

    /// What was reserved.
    pub fn amount(&self) -> Usd {
        self.amount
    }

    /// It was answered, or not, and what it cost is known or counts as what was reserved.
    pub fn paid(mut self, paid: Paid) {
        self.finish(paid);
    }

    fn finish(&mut self, paid: Paid) {
        let Some(spend) = self.spend.take() else { return };
        self.purse.lock().finish(&self.lines, self.amount, paid.cost);
        self.purse.released.notify_waiters();
        let spend = Spend {
            cost: paid.cost,
            usage: paid.usage,
            answered: u64::from(paid.answered),
            estimated: u64::from(paid.estimated),
            latency_ms: u64::try_from(paid.latency.as_millis()).unwrap_or(u64::MAX),
            ..spend
        };
        match self.tab.take() {
            Some(tab) => tab.put(Charge::new(spend, Arc::new(Books(Arc::clone(&self.purse))))),
            None => self.purse.enter(spend),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let cost = self.amount;
        self.finish(Paid { cost, estimated: true, ..Paid::default() });
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hold").field("amount", &self.amount).finish_non_exhaustive()
    }
}

/// The way back for charges that nobody else made durable.
struct Books(Arc<Inner>);

impl Settles for Books {
    fn settle_alone(&self, spend: Spend) {
        self.0.enter(spend);
    }
}
