//! Polls for work, and claims runs of a dead process or runs that slept.

use std::sync::Arc;

use baton_core::conversation::Conversation;
use baton_core::id::RunId;
use baton_core::routing::RoutingQueue;
use baton_core::run::{FOLD_VERSION, Run, RunEntry};
use baton_ports::journal::{self, AggregateKind, ClaimedAggregate, ProcessLease};

use super::slot_guard::SlotGuard;
use super::{EngineInner, aggregate_task, lock, run_task};
use crate::EngineError;
use crate::aggregate::AggregateOwner;
use crate::aggregate_clock::ClockReading;
use crate::dispatcher::RunAdmission;
use crate::owner::{RunOwner, versions_of};
use crate::work_poller::WorkPoller;

/// Maximum number of runs per poll.
const DUE_MAX: usize = 512;

/// Claims runs that wait to be claimed again, and asks the store for work that was not announced: at least every
/// `poll`, while the store answers.
pub async fn poll_for_work(inner: Arc<EngineInner>) {
    let mut stopping = inner.stopping.subscribe();
    let mut poller = WorkPoller::default();
    loop {
        if poll_once(&inner, &mut poller).await {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(inner.options.poll) => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

/// Returns whether more work is likely at once.
async fn poll_once(inner: &Arc<EngineInner>, poller: &mut WorkPoller) -> bool {
    let now = ClockReading::of(&*inner.ports.clock);
    let again = lock(&inner.dispatcher).due_retries(now.monotonic);
    again.into_iter().for_each(|run| inner.claim(run));
    if !poller.is_due(now) {
        return false;
    }
    match claim_due(inner, poller, now).await {
        Ok(found) => {
            poller.poll_succeeded();
            found >= DUE_MAX
        }
        Err(error) => {
            tracing::warn!(%error, "cannot look for work; trying again");
            poller.poll_failed(now, inner.options.poll);
            false
        }
    }
}

/// Returns the number of runs that were claimed.
async fn claim_due(
    inner: &Arc<EngineInner>,
    poller: &mut WorkPoller,
    now: ClockReading,
) -> Result<usize, journal::JournalError> {
    let process = inner.lease.borrow().process;
    let (room, waiting) = {
        let dispatcher = lock(&inner.dispatcher);
        (dispatcher.free_slots().min(DUE_MAX), dispatcher.waiting())
    };
    let mut found = 0;
    if room > 0 {
        // The store may also name runs that wait to be claimed again; they must not hide the others.
        let due = inner.ports.journal.due(process, now.wall, now.for_leases(), room + waiting).await?;
        found = due.iter().filter(|run| inner.announce(run) == RunAdmission::Claim).count();
    }
    let nudged = inner.ports.journal.with_new_items(process, DUE_MAX + waiting).await?;
    for run in &nudged {
        inner.announce(run);
    }
    if let Some(after) = poller.stranded_after().filter(|_| room > 0) {
        let page = inner.ports.journal.stranded(now.wall, after, room).await?;
        for run in &page.found {
            inner.announce(run);
        }
        poller.stranded_found(page.next);
    }
    Ok(found)
}

/// Claims a run for which the dispatcher has a slot.
pub async fn claim(inner: Arc<EngineInner>, run: RunId) {
    let mut held = SlotGuard::of(inner.clone(), run.clone());
    if inner.is_stopping() {
        return;
    }
    let (lease, now) = (*inner.lease.borrow(), ClockReading::of(&*inner.ports.clock));
    let claimed = inner.ports.journal.claim(&run, lease.process, FOLD_VERSION, now.for_leases()).await;
    match claimed {
        // It is released with all the others.
        Ok(Some(_)) if inner.is_stopping() => {}
        Ok(Some(claimed)) => match fold(&inner, &run, &claimed, lease).await {
            Ok(ClaimedOwner::Run(owner)) => run_task::spawn(held, *owner, claimed.inbox),
            Ok(ClaimedOwner::Conversation(aggregate_owner)) => {
                aggregate_task::spawn(held, *aggregate_owner, claimed.inbox)
            }
            Ok(ClaimedOwner::Desk(aggregate_owner)) => aggregate_task::spawn(held, *aggregate_owner, claimed.inbox),
            Err(error) if is_permanent(&error) => {
                // Its journal is kept as it is: a newer binary or a person may still read it.
                tracing::error!(%run, %error, "a run cannot be folded and is left where it is; it is looked at rarely");
                held.mark_unreadable();
            }
            Err(error) => tracing::warn!(%run, %error, "a run could not be woken; it is claimed afresh"),
        },
        Ok(None) | Err(journal::JournalError::NotFound { .. }) => held.mark_not_owned(),
        Err(journal::JournalError::Corrupt { reason, .. }) => {
            tracing::error!(%run, reason, "a run cannot be read back and is left where it is; it is looked at rarely");
            held.mark_unreadable();
        }
        Err(error) => {
            if matches!(error, journal::JournalError::LeaseEnded { .. }) {
                inner.lease_lost.notify_one();
            }
            tracing::warn!(%run, %error, "a run could not be claimed; it is tried again");
        }
    }
}

/// Whether the error will be the same the next time.
fn is_permanent(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Encoding(_)
            | EngineError::BadVersion { .. }
            | EngineError::Journal(journal::JournalError::Corrupt { .. })
    )
}

/// The owner of a claimed run or aggregate.
enum ClaimedOwner {
    Run(Box<RunOwner>),
    Conversation(Box<AggregateOwner<Conversation>>),
    Desk(Box<AggregateOwner<RoutingQueue>>),
}

async fn fold(
    inner: &EngineInner,
    id: &RunId,
    claimed: &ClaimedAggregate,
    lease: ProcessLease,
) -> Result<ClaimedOwner, EngineError> {
    let now = ClockReading::of(&*inner.ports.clock);
    Ok(match claimed.kind {
        AggregateKind::Run => ClaimedOwner::Run(Box::new(fold_run(inner, id, claimed, lease).await?)),
        AggregateKind::Conversation => {
            ClaimedOwner::Conversation(Box::new(AggregateOwner::claimed(id.clone(), claimed, now)?))
        }
        AggregateKind::Desk => ClaimedOwner::Desk(Box::new(AggregateOwner::claimed(id.clone(), claimed, now)?)),
    })
}

async fn fold_run(
    inner: &EngineInner,
    id: &RunId,
    claimed: &ClaimedAggregate,
    lease: ProcessLease,
) -> Result<RunOwner, EngineError> {
    let tail = claimed.tail.iter().map(|entry| crate::decode(entry)).collect::<Result<Vec<RunEntry>, _>>()?;
    let run = match &claimed.snapshot {
        Some(snapshot) => serde_json::from_slice::<Run>(&snapshot.state)?,
        None => Run::new(),
    };
    let mut versions = Vec::new();
    for hash in versions_of(&tail, &claimed.inbox, Some(&run)) {
        match inner.ports.workflows.version(&hash).await {
            Ok(workflow) => versions.push((hash, workflow)),
            // An item that names a bad version is refused; a journal that names one cannot be folded.
            Err(error) if versions_of(&tail, &[], Some(&run)).contains(&hash) => return Err(error),
            Err(error) => tracing::warn!(%error, run = %id, "an inbox item names a version that cannot be run"),
        }
    }
    let now = ClockReading::of(&*inner.ports.clock);
    Ok(RunOwner::claimed(id.clone(), claimed, run, &tail, versions, lease.until, now))
}
