//! Costs of calls that are not durable yet.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use baton_core::money::Usd;

use super::CallSpend;

/// Settles a charge that no append made durable.
pub trait SettlementSink: Send + Sync {
    /// Settles it in the next batch.
    fn settle_later(&self, spend: CallSpend);
}

/// The cost of a call, not durable yet. The writer that makes it durable calls [`PendingCharge::mark_settled`]. If it
/// is dropped before that, it goes back to the process's own ledger, which settles it.
pub struct PendingCharge {
    spend: CallSpend,
    fallback: Option<Arc<dyn SettlementSink>>,
}

impl PendingCharge {
    pub fn new(spend: CallSpend, otherwise: Arc<dyn SettlementSink>) -> Self {
        Self { spend, fallback: Some(otherwise) }
    }

    pub fn spend(&self) -> &CallSpend {
        &self.spend
    }

    /// Marks the charge as durable.
    pub fn mark_settled(mut self) {
        self.fallback = None;
    }
}

impl Drop for PendingCharge {
    fn drop(&mut self) {
        if let Some(books) = self.fallback.take() {
            books.settle_later(self.spend.clone());
        }
    }
}

impl fmt::Debug for PendingCharge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PendingCharge").field(&self.spend).finish()
    }
}

/// Collects the charges of a run's call: the service adds the cost of each attempt, and the caller takes them into the
/// append that records the answer. Clones share one collector.
#[derive(Clone, Debug, Default)]
pub struct ChargeCollector(Arc<Mutex<Vec<PendingCharge>>>);

impl ChargeCollector {
    pub fn put(&self, charge: PendingCharge) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(charge);
    }

    /// The sum of its charges.
    pub fn total(&self) -> Usd {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|charge| charge.spend.cost).sum()
    }

    pub fn take(&self) -> Vec<PendingCharge> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Compares identity, not charges.
impl PartialEq for ChargeCollector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
