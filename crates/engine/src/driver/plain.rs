//! One awake conversation or desk: a task that decides what comes in and writes it down.

use std::sync::Arc;

use baton_core::id::RunId;
use baton_ports::journal::{self, InboxItem};
use tokio::sync::mpsc;

use super::held::Held;
use super::task::{NAP, stopped};
use super::{Inner, lock};
use crate::notices::Recorded;
use crate::own_time::Now;
use crate::plain::{Keeper, Plain};

/// Begins to move what was claimed.
pub fn spawn<P: Plain>(held: Held, keeper: Keeper<P>, items: Vec<InboxItem>) {
    let (inner, id) = (held.inner(), held.run().clone());
    let nudged = inner.woke(&id);
    let mut abandoned = inner.abandoned.subscribe();
    let task = Task { inner, id, keeper, held };
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = stopped(&mut abandoned) => {}
            () = task.go(items, nudged) => {}
        }
    });
}

struct Task<P> {
    inner: Arc<Inner>,
    id: RunId,
    keeper: Keeper<P>,
    held: Held,
}

impl<P: Plain> Task<P> {
    async fn go(mut self, mut items: Vec<InboxItem>, mut nudged: mpsc::Receiver<()>) {
        let mut stopping = self.inner.stopping.subscribe();
        let mut lease = self.inner.lease.subscribe();
        // Its process may have joined anew between the claim and here.
        if lease.borrow().process != self.keeper.ownership().process {
            return;
        }
        loop {
            if self.write_down(&mut items).await {
                return;
            }
            if !items.is_empty() {
                continue;
            }
            let left = self.keeper.time_left(Now::of(&*self.inner.world.clock));
            tokio::select! {
                biased;
                () = stopped(&mut stopping) => return,
                Some(()) = nudged.recv() => {
                    lock(&self.inner.dispatcher).seen(&self.id);
                    let (handle, seen) = (self.keeper.ownership().handle, self.keeper.seen());
                    match self.inner.world.journal.inbox(handle, seen).await {
                        Ok(found) => items = found,
                        Err(error) => {
                            tracing::warn!(%error, id = %self.id, "an inbox cannot be read; it is claimed afresh");
                            return;
                        }
                    }
                }
                // Its process has joined anew: it is claimed under the new number.
                Ok(()) = lease.changed() => if lease.borrow().process != self.keeper.ownership().process { return },
                () = tokio::time::sleep(left.unwrap_or_default().min(NAP)), if left.is_some() => {}
            }
        }
    }

    /// Decides and appends; whether it ended.
    async fn write_down(&mut self, items: &mut Vec<InboxItem>) -> bool {
        let inner = self.inner.clone();
        let now = Now::of(&*inner.world.clock);
        let write = match self.keeper.decide(items, now, &inner.options) {
            Ok(write) => write,
            Err(error) => {
                tracing::error!(id = %self.id, %error, "what was decided cannot be written; it is claimed afresh");
                return true;
            }
        };
        let Some(write) = write else {
            if !self.keeper.will_sleep(now, &inner.options) {
                return false;
            }
            let released = inner.world.journal.release(self.keeper.ownership(), self.keeper.wakes_at()).await;
            if released.is_ok() {
                self.held.is_gone();
            }
            return true;
        };
        let announce: Vec<RunId> = write.append.outbox.iter().map(|submit| submit.aggregate.clone()).collect();
        let (items, released): (Arc<[i64]>, bool) = (write.append.inbox_done.clone().into(), write.append.release);
        match inner.world.journal.append(write.append).await {
            Ok(()) => self.held.moved(),
            Err(journal::Error::LeaseLost { .. }) => return true,
            Err(error) => {
                tracing::warn!(id = %self.id, %error, "an append failed; it is claimed afresh");
                return true;
            }
        }
        if released {
            self.held.is_gone();
        }
        for refused in &write.refused {
            tracing::info!(id = %self.id, item = refused.item, code = refused.code, refused.message, "refused");
        }
        inner.notices.tell(Recorded::Plain { aggregate: self.id.clone(), items, refused: write.refused.into() });
        for id in &announce {
            inner.announce(id);
        }
        released
    }
}
