//! What calls cost, on its way to being written down.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use baton_core::money::Usd;

use super::Spend;

/// Who settles a charge that nobody else made durable.
pub trait Settles: Send + Sync {
    /// It is settled out of the next batch.
    fn settle_alone(&self, spend: Spend);
}

/// What a call cost, not durable yet. Whoever writes it down says so with [`Charge::settled`]; dropped without that, it
/// goes back to the process's own books, which settle it.
pub struct Charge {
    spend: Spend,
    otherwise: Option<Arc<dyn Settles>>,
}

impl Charge {
    pub fn new(spend: Spend, otherwise: Arc<dyn Settles>) -> Self {
        Self { spend, otherwise: Some(otherwise) }
    }

    pub fn spend(&self) -> &Spend {
        &self.spend
    }

    /// It is durable.
    pub fn settled(mut self) {
        self.otherwise = None;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(books) = self.otherwise.take() {
            books.settle_alone(self.spend.clone());
        }
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Charge").field(&self.spend).finish()
    }
}

/// Where a run's call is charged: whoever serves it puts what each attempt cost, and whoever asked takes it into the
/// append that records the answer. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Tab(Arc<Mutex<Vec<Charge>>>);

impl Tab {
    pub fn put(&self, charge: Charge) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(charge);
    }

    /// What is on it.
    pub fn total(&self) -> Usd {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|charge| charge.spend.cost).sum()
    }

    pub fn take(&self) -> Vec<Charge> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The same tab, not one with the same charges.
impl PartialEq for Tab {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
