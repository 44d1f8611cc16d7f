//! One awake conversation or desk: a task that decides what comes in and writes it down.

use std::sync::Arc;

use baton_core::id::RunId;
use baton_ports::journal::{self, Claimed, InboxItem};
use tokio::sync::mpsc;

use super::task::{End, Left, stopped};
use super::{Inner, lock};
use crate::Error;
use crate::notices::Recorded;
use crate::plain::{Keeper, Plain};

/// Begins to move what was claimed.
pub fn spawn<P: Plain>(inner: Arc<Inner>, id: RunId, claimed: Claimed) -> Result<(), Error> {
    let keeper = Keeper::<P>::claimed(id.clone(), &claimed)?;
    let (nudge, nudged) = mpsc::channel(1);
    lock(&inner.nudges).insert(id.clone(), nudge);
    tokio::spawn(async move {
        let task = Task { inner: inner.clone(), id: id.clone(), keeper };
        let mut left = Left { inner, run: id, end: End::Fallen };
        left.end = task.go(claimed.inbox, nudged).await;
    });
    Ok(())
}

struct Task<P> {
    inner: Arc<Inner>,
    id: RunId,
    keeper: Keeper<P>,
}

impl<P: Plain> Task<P> {
    async fn go(mut self, mut items: Vec<InboxItem>, mut nudged: mpsc::Receiver<()>) -> End {
        let mut stopping = self.inner.stopping.subscribe();
        loop {
            if let Some(end) = self.write_down(&mut items).await {
                return end;
            }
            if !items.is_empty() {
                continue;
            }
            let clock = &self.inner.world.clock;
            let wake = self.keeper.wake_at().map(|at| at.since(clock.now()));
            tokio::select! {
                biased;
                () = stopped(&mut stopping) => return End::Asleep,
                Some(()) = nudged.recv() => {
                    lock(&self.inner.dispatcher).seen(&self.id);
                    let (handle, seen) = (self.keeper.ownership().handle, self.keeper.seen());
                    match self.inner.world.journal.inbox(handle, seen).await {
                        Ok(found) => items = found,
                        Err(error) => tracing::warn!(%error, id = %self.id, "an inbox cannot be read; trying again"),
                    }
                }
                () = tokio::time::sleep(wake.unwrap_or_default()), if wake.is_some() => {}
            }
        }
    }

    /// Decides and appends; how it ended, where it did.
    async fn write_down(&mut self, items: &mut Vec<InboxItem>) -> Option<End> {
        let inner = self.inner.clone();
        let now = inner.world.clock.now();
        let write = match self.keeper.decide(items, now, &inner.options) {
            Ok(write) => write,
            Err(error) => {
                tracing::error!(id = %self.id, %error, "what was decided cannot be written; it is claimed afresh");
                return Some(End::Fallen);
            }
        };
        let Some(write) = write else {
            if !self.keeper.will_sleep(now, &inner.options) {
                return None;
            }
            let released = inner.world.journal.release(self.keeper.ownership()).await;
            return Some(if released.is_ok() { End::Asleep } else { End::Fallen });
        };
        let announce: Vec<RunId> = write.append.outbox.iter().map(|submit| submit.aggregate.clone()).collect();
        let (items, released): (Arc<[i64]>, bool) = (write.append.inbox_done.clone().into(), write.append.release);
        match inner.world.journal.append(write.append).await {
            Ok(()) => {}
            Err(journal::Error::LeaseLost { .. }) => return Some(End::Lost),
            Err(error) => {
                tracing::warn!(id = %self.id, %error, "an append failed; it is claimed afresh");
                return Some(End::Fallen);
            }
        }
        for refused in &write.refused {
            tracing::info!(id = %self.id, item = refused.item, code = refused.code, refused.message, "refused");
        }
        inner.notices.tell(Recorded::Plain { aggregate: self.id.clone(), items, refused: write.refused.into() });
        announce.iter().for_each(|id| inner.announce(id));
        released.then_some(End::Asleep)
    }
}
