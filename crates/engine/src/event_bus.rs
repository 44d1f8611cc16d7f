//! Notifies subscribers of what is recorded, either of every run or of some runs.
//!
//! A notification goes only to the subscribers of its own run, so following a thousand runs costs a thousand times as
//! much as following one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use baton_core::id::{RunId, TenantId};
use baton_core::run::{RunEntry, RunRefusal};
use baton_ports::journal::AggregateId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::aggregate::RefusedItem;
use crate::driver::lock;

/// Notifications buffered for a slow subscriber to every run. A subscriber that falls further behind misses some, and
/// receives an error.
const NOTIFICATIONS_MAX: usize = 4_096;
/// The same for a subscriber to some runs.
const RUN_NOTIFICATIONS_MAX: usize = 256;

/// A notification of something that is durable.
#[derive(Clone, Debug)]
pub enum Notification {
    /// `items` are the inbox items that were consumed with the entry.
    Entry {
        tenant: TenantId,
        run: RunId,
        seq: u64,
        entry: Arc<RunEntry>,
        items: Arc<[i64]>,
    },
    Refused {
        run: RunId,
        item: i64,
        refusal: RunRefusal,
    },
    /// These items were consumed and changed nothing, such as a signal that had been received before.
    Consumed {
        run: RunId,
        items: Arc<[i64]>,
    },
    /// A conversation or a routing queue has moved: these items were accepted or refused.
    Aggregate {
        aggregate: AggregateId,
        items: Arc<[i64]>,
        refused: Arc<[RefusedItem]>,
    },
}

/// All subscribers.
pub(crate) struct EventBus {
    all: broadcast::Sender<Notification>,
    /// Contains a run as long as it has a subscriber.
    of_runs: Mutex<BTreeMap<RunId, Vec<Arc<BusListener>>>>,
    /// The next listener number.
    next: AtomicU64,
}

/// Where the notifications of one subscriber's runs go.
struct BusListener {
    number: u64,
    queue: mpsc::Sender<Notification>,
    /// Some notifications found the queue full.
    has_lagged: AtomicBool,
}

/// A subscription to the runs that were added to it, each from the moment it was added.
pub(crate) struct RunSubscription {
    bus: Arc<EventBus>,
    listener: Arc<BusListener>,
    runs: BTreeSet<RunId>,
    queue: mpsc::Receiver<Notification>,
}

impl Default for EventBus {
    fn default() -> Self {
        Self { all: broadcast::Sender::new(NOTIFICATIONS_MAX), of_runs: Mutex::default(), next: AtomicU64::new(0) }
    }
}

impl EventBus {
    /// Subscribes to every run.
    pub fn subscribe_all(&self) -> broadcast::Receiver<Notification> {
        self.all.subscribe()
    }

    /// Creates a subscription that has no run yet.
    pub fn subscribe(self: &Arc<Self>) -> RunSubscription {
        let (sender, queue) = mpsc::channel(RUN_NOTIFICATIONS_MAX);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let listener = Arc::new(BusListener { number, queue: sender, has_lagged: AtomicBool::new(false) });
        RunSubscription { bus: self.clone(), listener, runs: BTreeSet::new(), queue }
    }

    /// Publishes what is durable; later subscribers read it from the store.
    pub fn publish(&self, recorded: Notification) {
        let (Notification::Entry { run, .. }
        | Notification::Refused { run, .. }
        | Notification::Consumed { run, .. }
        | Notification::Aggregate { aggregate: run, .. }) = &recorded;
        if let Some(listeners) = lock(&self.of_runs).get(run) {
            for listener in listeners {
                if listener.queue.try_send(recorded.clone()).is_err() {
                    listener.has_lagged.store(true, Ordering::Release);
                }
            }
        }
        if self.all.receiver_count() > 0 {
            // The last receiver may be gone by now.
            let _ = self.all.send(recorded);
        }
    }

    /// Number of runs that have a subscriber.
    #[cfg(test)]
    fn watched(&self) -> usize {
        lock(&self.of_runs).len()
    }
}

impl RunSubscription {
    /// Adds a run: its notifications are received from now on.
    pub fn add(&mut self, run: &RunId) {
        if self.runs.insert(run.clone()) {
            lock(&self.bus.of_runs).entry(run.clone()).or_default().push(self.listener.clone());
        }
    }

    /// Removes a run: its notifications are no longer received, except those already queued.
    pub fn remove(&mut self, run: &RunId) {
        if self.runs.remove(run) {
            unsubscribe(&mut lock(&self.bus.of_runs), run, self.listener.number);
        }
    }

    /// Receives the next notification.
    ///
    /// # Errors
    /// Some notifications were missed; their content is in the store.
    pub async fn recv(&mut self) -> Result<Notification, RecvError> {
        if self.listener.has_lagged.swap(false, Ordering::AcqRel) {
            // The queued notifications are in the store as well.
            let mut missed = 1;
            while self.queue.try_recv().is_ok() {
                missed += 1;
            }
            return Err(RecvError::Lagged(missed));
        }
        self.queue.recv().await.ok_or(RecvError::Closed)
    }
}

impl Drop for RunSubscription {
    fn drop(&mut self) {
        let mut of_runs = lock(&self.bus.of_runs);
        for run in &self.runs {
            unsubscribe(&mut of_runs, run, self.listener.number);
        }
    }
}

fn unsubscribe(of_runs: &mut BTreeMap<RunId, Vec<Arc<BusListener>>>, run: &RunId, number: u64) {
    if let Some(listeners) = of_runs.get_mut(run) {
        listeners.retain(|listener| listener.number != number);
        if listeners.is_empty() {
            of_runs.remove(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn refused(run: &str, item: i64) -> Notification {
        Notification::Refused { run: RunId::new(run), item, refusal: RunRefusal::NotStarted }
    }

    /// The items of the notifications that are queued.
    fn heard(watch: &mut RunSubscription) -> Vec<i64> {
        let mut items = Vec::new();
        while let Some(Ok(Notification::Refused { item, .. })) = watch.recv().now_or_never() {
            items.push(item);
        }
        items
    }

    #[test]
    fn a_notice_goes_to_those_who_watch_its_run_and_to_nobody_else() {
        let notices = Arc::new(EventBus::default());
        let (mut one, mut other, mut both) = (notices.subscribe(), notices.subscribe(), notices.subscribe());
        one.add(&RunId::new("a"));
        other.add(&RunId::new("b"));
        both.add(&RunId::new("a"));
        both.add(&RunId::new("b"));
        notices.publish(refused("a", 1));
        notices.publish(refused("b", 2));
        notices.publish(refused("c", 3));
        assert_eq!((heard(&mut one), heard(&mut other), heard(&mut both)), (vec![1], vec![2], vec![1, 2]));
    }

    #[test]
    fn a_run_that_nobody_watches_any_more_is_kept_by_nobody() {
        let notices = Arc::new(EventBus::default());
        let (mut one, mut other) = (notices.subscribe(), notices.subscribe());
        let run = RunId::new("a");
        one.add(&run);
        one.add(&run);
        other.add(&run);
        drop(other);
        assert_eq!(notices.watched(), 1);
        one.remove(&run);
        assert_eq!(notices.watched(), 0);
        one.add(&run);
        one.add(&RunId::new("b"));
        drop(one);
        assert_eq!(notices.watched(), 0);
    }

    #[test]
    fn whoever_watches_every_run_is_told_of_runs_that_others_watch_too() {
        let notices = Arc::new(EventBus::default());
        let (mut all, mut one) = (notices.subscribe_all(), notices.subscribe());
        one.add(&RunId::new("a"));
        notices.publish(refused("a", 1));
        notices.publish(refused("b", 2));
        let mut items = Vec::new();
        while let Ok(Notification::Refused { item, .. }) = all.try_recv() {
            items.push(item);
        }
        assert_eq!((items, heard(&mut one)), (vec![1, 2], vec![1]));
    }

    #[test]
    fn a_watcher_that_falls_behind_is_told_once_and_then_goes_on() {
        let notices = Arc::new(EventBus::default());
        let (mut slow, mut quick) = (notices.subscribe(), notices.subscribe());
        let run = RunId::new("a");
        slow.add(&run);
        quick.add(&RunId::new("b"));
        for item in 0..=RUN_NOTIFICATIONS_MAX as i64 {
            notices.publish(refused("a", item));
        }
        notices.publish(refused("b", 7));
        assert!(matches!(slow.recv().now_or_never(), Some(Err(RecvError::Lagged(_)))));
        assert!(slow.recv().now_or_never().is_none());
        notices.publish(refused("a", 500));
        assert_eq!((heard(&mut slow), heard(&mut quick)), (vec![500], vec![7]));
    }
}
