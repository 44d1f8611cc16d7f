//! Settlement of spends with the store: in batches, each sent until it is confirmed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use baton_ports::backoff::Backoff;
use baton_ports::budget::CallSpend;
use baton_ports::journal::JournalError;
use tokio::runtime::Handle;

use super::LedgerInner;

/// Interval between settlements of spends that no append settles.
const SETTLE_EVERY: Duration = Duration::from_millis(50);
/// Delay after a settlement that the store did not accept.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

impl LedgerInner {
    /// Queues a spend for the next batch.
    pub(super) fn queue_spend(self: &Arc<Self>, spend: CallSpend) {
        self.lock().add_spend(spend);
        self.ensure_settler();
    }

    /// Ensures that a task settles periodically as long as anything is held. Without a runtime there is no such task;
    /// the spends are then settled on close, or count as spent.
    pub(super) fn ensure_settler(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.has_settler {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            state.has_settler = true;
            runtime.spawn(settle_periodically(Arc::downgrade(self)));
        }
    }

    /// Settles the waiting spends. Returns whether there were any.
    pub(super) async fn settle(&self) -> Result<bool, JournalError> {
        let _turn = self.settling.lock().await;
        let now = self.clock.now();
        let Some(holder) = self.holder.get().copied() else { return Ok(false) };
        let Some(settlement) = self.lock().settlement(holder, now) else { return Ok(false) };
        self.port.settle(settlement).await?;
        self.lock().confirm_settlement();
        Ok(true)
    }
}

/// Ends when the ledger is dropped, or when nothing is left to settle.
async fn settle_periodically(ledger: Weak<LedgerInner>) {
    let (mut wait, mut backoff) = (SETTLE_EVERY, Backoff::from(SETTLE_AGAIN));
    loop {
        tokio::time::sleep(wait).await;
        let Some(ledger) = ledger.upgrade() else { return };
        wait = match ledger.settle().await {
            Ok(_) => {
                backoff.succeeded();
                SETTLE_EVERY
            }
            Err(error) => {
                tracing::warn!(%error, "what was spent could not be written down; trying again");
                backoff.failed()
            }
        };
        let mut state = ledger.lock();
        if state.is_idle() {
            state.has_settler = false;
            return;
        }
    }
}
