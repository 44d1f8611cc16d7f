//! What calls cost, on its way to being written down.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use baton_core::money::Usd;

use super::CallSpend;

/// Who settles a charge that nobody else made durable.
pub trait SettlementSink: Send + Sync {
    /// It is settled out of the next batch.
    fn settle_later(&self, spend: CallSpend);
}

/// What a call cost, not durable yet. Whoever writes it down says so with [`PendingCharge::mark_settled`]; dropped without that, it
/// goes back to the process's own books, which settle it.
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

    /// It is durable.
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

/// Where a run's call is charged: whoever serves it puts what each attempt cost, and whoever asked takes it into the
/// append that records the answer. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ChargeCollector(Arc<Mutex<Vec<PendingCharge>>>);

impl ChargeCollector {
    pub fn put(&self, charge: PendingCharge) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(charge);
    }

    /// What is on it.
    pub fn total(&self) -> Usd {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|charge| charge.spend.cost).sum()
    }

    pub fn take(&self) -> Vec<PendingCharge> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The same tab, not one with the same charges.
impl PartialEq for ChargeCollector {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
