//! Looking for work, and taking a run over: from a process that died, or from sleep.

use std::sync::Arc;

use baton_core::conversation::Conversation;
use baton_core::desk::Desk;
use baton_core::id::RunId;
use baton_core::run::{Entry, FOLD_VERSION, Run};
use baton_ports::journal::{self, Claimed, Kind, Lease};

use super::held::Held;
use super::{Inner, lock, plain, task};
use crate::Error;
use crate::dispatcher::Admission;
use crate::lookout::Lookout;
use crate::own_time::Now;
use crate::owner::{Owner, versions_of};
use crate::plain::Keeper;

/// Runs asked for at once.
const DUE_MAX: usize = 512;

/// Claims what waits to be claimed afresh, and asks the store, at least every `poll` while it answers, for what nobody
/// announced.
pub async fn look_for_work(inner: Arc<Inner>) {
    let mut stopping = inner.stopping.subscribe();
    let mut lookout = Lookout::default();
    loop {
        if look(&inner, &mut lookout).await {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(inner.options.poll) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

/// Whether there is likely more at once.
async fn look(inner: &Arc<Inner>, lookout: &mut Lookout) -> bool {
    let now = Now::of(&*inner.world.clock);
    let again = lock(&inner.dispatcher).again(now.steady);
    again.into_iter().for_each(|run| inner.claim(run));
    if !lookout.asks(now) {
        return false;
    }
    match ask(inner, lookout, now).await {
        Ok(found) => {
            lookout.answered();
            found >= DUE_MAX
        }
        Err(error) => {
            tracing::warn!(%error, "cannot look for work; trying again");
            lookout.failed(now, inner.options.poll);
            false
        }
    }
}

/// How many runs were taken on.
async fn ask(inner: &Arc<Inner>, lookout: &mut Lookout, now: Now) -> Result<usize, journal::Error> {
    let process = inner.lease.borrow().process;
    let (room, waiting) = {
        let dispatcher = lock(&inner.dispatcher);
        (dispatcher.room().min(DUE_MAX), dispatcher.waiting())
    };
    let mut found = 0;
    if room > 0 {
        // What waits to be claimed afresh may be named as well, and must not hide the others.
        let due = inner.world.journal.due(process, now.wall, now.for_leases(), room + waiting).await?;
        found = due.iter().filter(|run| inner.announce(run) == Admission::Claim).count();
    }
    let nudged = inner.world.journal.nudged(process, DUE_MAX + waiting).await?;
    for run in &nudged {
        inner.announce(run);
    }
    if let Some(after) = lookout.astray_after().filter(|_| room > 0) {
        let page = inner.world.journal.astray(now.wall, after, room).await?;
        for run in &page.found {
            inner.announce(run);
        }
        lookout.astray_found(page.next);
    }
    Ok(found)
}

/// Takes a run over that the dispatcher has a place for.
pub async fn claim(inner: Arc<Inner>, run: RunId) {
    let mut held = Held::of(inner.clone(), run.clone());
    if inner.is_stopping() {
        return;
    }
    let (lease, now) = (*inner.lease.borrow(), Now::of(&*inner.world.clock));
    let claimed = inner.world.journal.claim(&run, lease.process, FOLD_VERSION, now.for_leases()).await;
    match claimed {
        // It is given back with all the others.
        Ok(Some(_)) if inner.is_stopping() => {}
        Ok(Some(claimed)) => match fold(&inner, &run, &claimed, lease).await {
            Ok(Folded::Run(owner)) => task::spawn(held, *owner, claimed.inbox),
            Ok(Folded::Conversation(keeper)) => plain::spawn(held, *keeper, claimed.inbox),
            Ok(Folded::Desk(keeper)) => plain::spawn(held, *keeper, claimed.inbox),
            Err(error) if is_lasting(&error) => {
                // Its journal is kept as it is; a newer binary, or a person, may yet read it.
                tracing::error!(%run, %error, "a run cannot be folded and is left where it is; it is looked at rarely");
                held.is_unreadable();
            }
            Err(error) => tracing::warn!(%run, %error, "a run could not be woken; it is claimed afresh"),
        },
        Ok(None) | Err(journal::Error::NotFound { .. }) => held.is_gone(),
        Err(journal::Error::Corrupt { reason, .. }) => {
            tracing::error!(%run, reason, "a run cannot be read back and is left where it is; it is looked at rarely");
            held.is_unreadable();
        }
        Err(error) => {
            if matches!(error, journal::Error::LeaseEnded { .. }) {
                inner.lease_lost.notify_one();
            }
            tracing::warn!(%run, %error, "a run could not be claimed; it is tried again");
        }
    }
}

/// Whether it will be so the next time, too.
fn is_lasting(error: &Error) -> bool {
    matches!(error, Error::Encoding(_) | Error::BadVersion { .. } | Error::Journal(journal::Error::Corrupt { .. }))
}

/// What moves what was claimed.
enum Folded {
    Run(Box<Owner>),
    Conversation(Box<Keeper<Conversation>>),
    Desk(Box<Keeper<Desk>>),
}

async fn fold(inner: &Inner, id: &RunId, claimed: &Claimed, lease: Lease) -> Result<Folded, Error> {
    let now = Now::of(&*inner.world.clock);
    Ok(match claimed.kind {
        Kind::Run => Folded::Run(Box::new(fold_run(inner, id, claimed, lease).await?)),
        Kind::Conversation => Folded::Conversation(Box::new(Keeper::claimed(id.clone(), claimed, now)?)),
        Kind::Desk => Folded::Desk(Box::new(Keeper::claimed(id.clone(), claimed, now)?)),
    })
}

async fn fold_run(inner: &Inner, id: &RunId, claimed: &Claimed, lease: Lease) -> Result<Owner, Error> {
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
    let now = Now::of(&*inner.world.clock);
    Ok(Owner::claimed(id.clone(), claimed, run, &tail, versions, lease.until, now))
}
