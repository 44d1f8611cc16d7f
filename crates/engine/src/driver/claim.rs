//! Looking for work, and taking a run over: from a process that died, or from sleep.

use std::sync::Arc;

use baton_core::conversation::Conversation;
use baton_core::desk::Desk;
use baton_core::id::RunId;
use baton_core::run::{Entry, FOLD_VERSION, Run};
use baton_ports::journal::{Claimed, Kind};

use super::{Inner, lock, plain, task};
use crate::Error;
use crate::owner::{Owner, versions_of};

/// Runs asked for at once.
const DUE_MAX: usize = 512;

/// Asks the store, at least every `poll`, for what nobody announced.
pub async fn look_for_work(inner: Arc<Inner>) {
    let mut stopping = inner.stopping.subscribe();
    loop {
        let found = look(&inner).await;
        if found >= DUE_MAX {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(inner.options.poll) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

async fn look(inner: &Arc<Inner>) -> usize {
    let process = inner.lease.borrow().process;
    let fallen = std::mem::take(&mut *lock(&inner.fallen));
    for run in fallen {
        inner.announce(&run);
    }
    let room = lock(&inner.dispatcher).room().min(DUE_MAX);
    let mut found = 0;
    if room > 0 {
        match inner.world.journal.due(process, inner.world.clock.now(), room).await {
            Ok(due) => {
                found = due.len();
                due.iter().for_each(|run| inner.announce(run));
            }
            Err(error) => tracing::warn!(%error, "cannot look for work; trying again"),
        }
    }
    match inner.world.journal.nudged(process, DUE_MAX).await {
        Ok(nudged) => nudged.iter().for_each(|run| inner.announce(run)),
        Err(error) => tracing::warn!(%error, "cannot look into inboxes; trying again"),
    }
    found
}

pub async fn claim(inner: Arc<Inner>, run: RunId) {
    if inner.is_stopping() {
        return inner.left(&run);
    }
    let lease = *inner.lease.borrow();
    let claimed = inner.world.journal.claim(&run, lease.process, FOLD_VERSION, inner.world.clock.now()).await;
    match claimed {
        Ok(Some(claimed)) => {
            if let Err(error) = wake(&inner, &run, claimed, lease.until).await {
                // Its journal is kept as it is; a newer binary, or a person, may yet read it.
                tracing::error!(%run, %error, "a run cannot be folded and is left where it is");
                inner.left(&run);
            }
        }
        Ok(None) => inner.left(&run),
        Err(error) => {
            tracing::warn!(%run, %error, "a run could not be claimed; trying again");
            inner.left(&run);
        }
    }
}

/// Begins to move what was claimed.
async fn wake(
    inner: &Arc<Inner>,
    id: &RunId,
    claimed: Claimed,
    lease_until: baton_core::time::Time,
) -> Result<(), Error> {
    match claimed.kind {
        Kind::Run => {
            let owner = fold(inner, id, &claimed, lease_until).await?;
            task::spawn(inner.clone(), id.clone(), owner, claimed.inbox);
        }
        Kind::Conversation => plain::spawn::<Conversation>(inner.clone(), id.clone(), claimed)?,
        Kind::Desk => plain::spawn::<Desk>(inner.clone(), id.clone(), claimed)?,
    }
    Ok(())
}

async fn fold(
    inner: &Inner,
    id: &RunId,
    claimed: &Claimed,
    lease_until: baton_core::time::Time,
) -> Result<Owner, Error> {
    let tail = claimed.tail.iter().map(|entry| crate::decode(entry)).collect::<Result<Vec<Entry>, _>>()?;
    let run = match &claimed.snapshot {
        Some(snapshot) => serde_json::from_slice::<Run>(&snapshot.state)?,
        None => Run::new(),
    };
    let mut versions = Vec::new();
    for hash in versions_of(&tail, &claimed.inbox, Some(&run)) {
        match inner.world.library.version(&hash).await {
            Ok(workflow) => versions.push((hash, workflow)),
            // An item that names a bad version is refused; a journal that does cannot be folded.
            Err(error) if versions_of(&tail, &[], Some(&run)).contains(&hash) => return Err(error),
            Err(error) => tracing::warn!(%error, run = %id, "an inbox item names a version that cannot be run"),
        }
    }
    Ok(Owner::claimed(id.clone(), claimed, run, &tail, versions, lease_until))
}
