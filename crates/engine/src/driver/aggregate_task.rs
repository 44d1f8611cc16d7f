//! The task of one awake conversation or routing queue: it decides incoming items and appends the result.

use std::sync::Arc;

use baton_core::id::RunId;
use baton_ports::journal::{self, InboxItem};
use tokio::sync::mpsc;

use super::run_task::{SLEEP_MAX, until_stopping};
use super::slot_guard::SlotGuard;
use super::{EngineInner, lock};
use crate::aggregate::{Aggregate, AggregateOwner};
use crate::aggregate_clock::ClockReading;
use crate::event_bus::Notification;

/// Starts to move the claimed aggregate.
pub fn spawn<P: Aggregate>(held: SlotGuard, owner: AggregateOwner<P>, items: Vec<InboxItem>) {
    let (inner, id) = (held.inner(), held.run().clone());
    let nudged = inner.register_waker(&id);
    let mut abandoned = inner.abandoned.subscribe();
    let task = AggregateTask { inner, id, owner, slot: held };
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = until_stopping(&mut abandoned) => {}
            () = task.run_loop(items, nudged) => {}
        }
    });
}

struct AggregateTask<P> {
    inner: Arc<EngineInner>,
    id: RunId,
    owner: AggregateOwner<P>,
    slot: SlotGuard,
}

impl<P: Aggregate> AggregateTask<P> {
    async fn run_loop(mut self, mut items: Vec<InboxItem>, mut nudged: mpsc::Receiver<()>) {
        let mut stopping = self.inner.stopping.subscribe();
        let mut lease = self.inner.lease.subscribe();
        // The process may have joined again between the claim and this point.
        if lease.borrow().process != self.owner.ownership().process {
            return;
        }
        loop {
            if self.decide_and_append(&mut items).await {
                return;
            }
            if !items.is_empty() {
                continue;
            }
            let left = self.owner.time_until_wake(ClockReading::of(&*self.inner.ports.clock));
            tokio::select! {
                biased;
                () = until_stopping(&mut stopping) => return,
                Some(()) = nudged.recv() => {
                    lock(&self.inner.dispatcher).wake_handled(&self.id);
                    let (handle, seen) = (self.owner.ownership().handle, self.owner.inbox_seen());
                    match self.inner.ports.journal.inbox(handle, seen).await {
                        Ok(found) => items = found,
                        Err(error) => {
                            tracing::warn!(%error, id = %self.id, "an inbox cannot be read; it is claimed afresh");
                            return;
                        }
                    }
                }
                // The process has joined again: the aggregate is claimed under the new process id.
                Ok(()) = lease.changed() => if lease.borrow().process != self.owner.ownership().process { return },
                () = tokio::time::sleep(left.unwrap_or_default().min(SLEEP_MAX)), if left.is_some() => {}
            }
        }
    }

    /// Decides and appends. Returns whether the task has ended.
    async fn decide_and_append(&mut self, items: &mut Vec<InboxItem>) -> bool {
        let inner = self.inner.clone();
        let now = ClockReading::of(&*inner.ports.clock);
        let write = match self.owner.decide(items, now, &inner.options) {
            Ok(write) => write,
            Err(error) => {
                tracing::error!(id = %self.id, %error, "what was decided cannot be written; it is claimed afresh");
                return true;
            }
        };
        let Some(write) = write else {
            if !self.owner.will_sleep(now, &inner.options) {
                return false;
            }
            let released = inner.ports.journal.release(self.owner.ownership(), self.owner.wakes_at()).await;
            if released.is_ok() {
                self.slot.mark_not_owned();
            }
            return true;
        };
        let announce: Vec<RunId> = write.append.outbox.iter().map(|submit| submit.aggregate.clone()).collect();
        let (items, released): (Arc<[i64]>, bool) = (write.append.inbox_done.clone().into(), write.append.release);
        match inner.ports.journal.append(write.append).await {
            Ok(()) => self.slot.mark_progress(),
            Err(journal::JournalError::LeaseLost { .. }) => return true,
            Err(error) => {
                tracing::warn!(id = %self.id, %error, "an append failed; it is claimed afresh");
                return true;
            }
        }
        if released {
            self.slot.mark_not_owned();
        }
        for refused in &write.refused {
            tracing::info!(id = %self.id, item = refused.item, code = refused.code, refused.message, "refused");
        }
        inner.event_bus.publish(Notification::Aggregate {
            aggregate: self.id.clone(),
            items,
            refused: write.refused.into(),
        });
        for id in &announce {
            inner.announce(id);
        }
        released
    }
}
