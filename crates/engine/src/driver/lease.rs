//! The process's lease: renewed well before its end, joined anew once it is lost.

use std::sync::Arc;

use baton_ports::journal::LEASE;

use super::Inner;

/// Renewals per lease: all but one may fail before it ends.
const RENEWALS_PER_LEASE: u32 = 6;

pub async fn keep(inner: Arc<Inner>) {
    let mut stopping = inner.stopping.subscribe();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LEASE / RENEWALS_PER_LEASE) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        renew(&inner).await;
    }
}

async fn renew(inner: &Inner) {
    let held = *inner.lease.borrow();
    let journal = &inner.world.journal;
    match journal.renew(held.process, inner.world.clock.now()).await {
        Ok(lease) => {
            inner.lease.send_replace(lease);
        }
        // Others may own our runs by now: our appends are refused one by one, and we go on under a new number.
        Err(baton_ports::journal::Error::LeaseEnded { .. }) => {
            tracing::warn!("the lease was lost; joining anew");
            match journal.join(inner.world.clock.now()).await {
                Ok(lease) => {
                    inner.lease.send_replace(lease);
                }
                Err(error) => tracing::error!(%error, "cannot join"),
            }
        }
        Err(error) => tracing::warn!(%error, "the lease could not be renewed; trying again"),
    }
}
