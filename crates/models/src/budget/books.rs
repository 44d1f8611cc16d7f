//! What was spent, on its way to the store: in batches, each told until it is heard of.

use std::sync::{Arc, Weak};
use std::time::Duration;

use baton_ports::backoff::Backoff;
use baton_ports::budget::Spend;
use baton_ports::journal::Error;
use tokio::runtime::Handle;

use super::Inner;

/// Between two settlements, of what no append settles.
const SETTLE_EVERY: Duration = Duration::from_millis(50);
/// After a settlement that the store did not take.
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

impl Inner {
    /// Takes a spend to be settled with the next batch.
    pub(super) fn enter(self: &Arc<Self>, spend: Spend) {
        self.lock().enter(spend);
        self.keep();
    }

    /// Has somebody settle every now and then, as long as anything is held. Without a runtime there is nobody: then it
    /// is settled by whoever closes, or counts as spent.
    pub(super) fn keep(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.is_kept {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            state.is_kept = true;
            runtime.spawn(settle_now_and_then(Arc::downgrade(self)));
        }
    }

    /// Writes down what waits. Whether there was anything.
    pub(super) async fn settle(&self) -> Result<bool, Error> {
        let _turn = self.settling.lock().await;
        let now = self.clock.now();
        let Some(holder) = self.holder.get().copied() else { return Ok(false) };
        let Some(settlement) = self.lock().settlement(holder, now) else { return Ok(false) };
        self.port.settle(settlement).await?;
        self.lock().is_settled();
        Ok(true)
    }
}

/// Ends with the purse, or once nothing is left to do.
async fn settle_now_and_then(purse: Weak<Inner>) {
    let (mut wait, mut backoff) = (SETTLE_EVERY, Backoff::from(SETTLE_AGAIN));
    loop {
        tokio::time::sleep(wait).await;
        let Some(purse) = purse.upgrade() else { return };
        wait = match purse.settle().await {
            Ok(_) => {
                backoff.succeeded();
                SETTLE_EVERY
            }
            Err(error) => {
                tracing::warn!(%error, "what was spent could not be written down; trying again");
                backoff.failed()
            }
        };
        let mut state = purse.lock();
        if state.is_at_rest() {
            state.is_kept = false;
            return;
        }
    }
}
