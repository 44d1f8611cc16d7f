//! The process's lease: renewed well before it ends, and acquired again once it is lost. It uses the monotonic clock,
//! which cannot be set.

use std::sync::Arc;
use std::time::Duration;

use baton_ports::journal::{JournalError, LEASE, ProcessLease};

use super::EngineInner;
use crate::aggregate_clock::ClockReading;

/// Renewals per lease: all but one may fail before the lease ends.
const RENEWALS_PER_LEASE: u32 = 6;
/// Delay before a failed renewal is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(2);

pub async fn renew_loop(inner: Arc<EngineInner>) {
    let mut stopping = inner.stopping.subscribe();
    let mut wait = LEASE / RENEWALS_PER_LEASE;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            // A claim was refused because the lease is over.
            () = inner.lease_lost.notified() => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
        wait = match renew(&inner).await {
            Ok(lease) => {
                inner.lease.send_replace(lease);
                LEASE / RENEWALS_PER_LEASE
            }
            Err(error) => {
                tracing::warn!(%error, "the lease could not be renewed; trying again");
                RETRY_DELAY
            }
        };
    }
}

async fn renew(inner: &EngineInner) -> Result<ProcessLease, JournalError> {
    let (journal, now) = (&inner.ports.journal, || ClockReading::of(&*inner.ports.clock).for_leases());
    let process = inner.lease.borrow().process;
    match journal.renew(process, now()).await {
        Err(JournalError::LeaseEnded { .. }) => {
            tracing::warn!("the lease was lost; joining anew");
            // Other processes own some of these runs by now. The rest is released at once: nothing waits for this
            // process id any more, and this process's tasks claim their runs again under the next id.
            journal.leave(process).await?;
            journal.join(now()).await
        }
        renewed => renewed,
    }
}
