//! A reservation. It is settled at the cost of the call or, if that is unknown, at the reserved amount.

use std::sync::Arc;
use std::time::Duration;

use baton_core::model::TokenUsage;
use baton_core::money::Usd;
use baton_ports::budget::{CallSpend, ChargeCollector, PendingCharge, SettlementSink};

use super::LedgerInner;
use super::state::LimitedLine;

/// An amount reserved for one attempt of one call. If it is dropped unsettled (the caller has gone, the outcome is
/// unknown), it is settled at the reserved amount.
#[must_use]
pub struct Reservation {
    ledger: Arc<LedgerInner>,
    lines: Vec<LimitedLine>,
    amount: Usd,
    /// `None` once it is settled.
    spend: Option<CallSpend>,
    tab: Option<ChargeCollector>,
}

/// The charge of an attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttemptCharge {
    pub cost: Usd,
    pub usage: TokenUsage,
    pub answered: bool,
    /// No token count is available: the cost is the reserved amount.
    pub estimated: bool,
    pub latency: Duration,
}

impl Reservation {
    pub(super) fn new(
        budget_ledger: Arc<LedgerInner>,
        lines: Vec<LimitedLine>,
        amount: Usd,
        spend: CallSpend,
        tab: Option<ChargeCollector>,
    ) -> Self {
        Self { ledger: budget_ledger, lines, amount, spend: Some(spend), tab }
    }

    /// The reserved amount.
    pub fn amount(&self) -> Usd {
        self.amount
    }

    /// Settles the attempt, whether it was answered or not. An unknown cost counts as the reserved amount.
    pub fn settle(mut self, paid: AttemptCharge) {
        self.finish(paid);
    }

    fn finish(&mut self, paid: AttemptCharge) {
        let Some(spend) = self.spend.take() else { return };
        self.ledger.lock().finish(&self.lines, self.amount, paid.cost);
        self.ledger.released.notify_waiters();
        let spend = CallSpend {
            cost: paid.cost,
            usage: paid.usage,
            answered: u64::from(paid.answered),
            estimated: u64::from(paid.estimated),
            latency_ms: u64::try_from(paid.latency.as_millis()).unwrap_or(u64::MAX),
            ..spend
        };
        match self.tab.take() {
            Some(tab) => tab.put(PendingCharge::new(spend, Arc::new(ChargeSettler(Arc::clone(&self.ledger))))),
            None => self.ledger.queue_spend(spend),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let cost = self.amount;
        self.finish(AttemptCharge { cost, estimated: true, ..AttemptCharge::default() });
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation").field("amount", &self.amount).finish_non_exhaustive()
    }
}

/// The fallback for charges that no append makes durable.
struct ChargeSettler(Arc<LedgerInner>);

impl SettlementSink for ChargeSettler {
    fn settle_later(&self, spend: CallSpend) {
        self.0.queue_spend(spend);
    }
}
