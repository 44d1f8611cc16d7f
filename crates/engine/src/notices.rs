//! Who is told what is recorded: those who watch every run, and those who watch some.
//!
//! A notice goes to the watchers of its own run and to nobody else, so a thousand followed runs cost a thousand times one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use baton_core::id::{RunId, TenantId};
use baton_core::run::{Entry, Refusal};
use baton_ports::journal::AggregateId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

use crate::driver::lock;
use crate::plain::Refused;

/// Notices kept for a slow watcher of every run; one that falls further behind misses some, and is told so.
const NOTICES_MAX: usize = 4_096;
/// The same for a watcher of some runs.
const NOTICES_OF_SOME_MAX: usize = 256;

/// What watchers are told, after it is durable.
#[derive(Clone, Debug)]
pub enum Recorded {
    /// `items` are those of the inbox that were taken with it.
    Entry {
        tenant: TenantId,
        run: RunId,
        seq: u64,
        entry: Arc<Entry>,
        items: Arc<[i64]>,
    },
    Refused {
        run: RunId,
        item: i64,
        refusal: Refusal,
    },
    /// These items were taken and changed nothing: a signal that had come before.
    Taken {
        run: RunId,
        items: Arc<[i64]>,
    },
    /// A conversation or a desk has moved: these items were taken, or refused.
    Plain {
        aggregate: AggregateId,
        items: Arc<[i64]>,
        refused: Arc<[Refused]>,
    },
}

/// Everybody who watches.
pub(crate) struct Notices {
    all: broadcast::Sender<Recorded>,
    /// A run is in here as long as somebody watches it.
    of_runs: Mutex<BTreeMap<RunId, Vec<Arc<Listener>>>>,
    /// Numbers for listeners.
    next: AtomicU64,
}

/// Where the notices of one watcher's runs go.
struct Listener {
    number: u64,
    queue: mpsc::Sender<Recorded>,
    /// Some notices found no room.
    has_missed: AtomicBool,
}

/// Notices of the runs that were named, from the moment they were.
pub(crate) struct Watch {
    notices: Arc<Notices>,
    listener: Arc<Listener>,
    runs: BTreeSet<RunId>,
    queue: mpsc::Receiver<Recorded>,
}

impl Default for Notices {
    fn default() -> Self {
        Self { all: broadcast::Sender::new(NOTICES_MAX), of_runs: Mutex::default(), next: AtomicU64::new(0) }
    }
}

impl Notices {
    /// Of every run.
    pub fn watch_all(&self) -> broadcast::Receiver<Recorded> {
        self.all.subscribe()
    }

    /// Of no run yet.
    pub fn watch(self: &Arc<Self>) -> Watch {
        let (sender, queue) = mpsc::channel(NOTICES_OF_SOME_MAX);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let listener = Arc::new(Listener { number, queue: sender, has_missed: AtomicBool::new(false) });
        Watch { notices: self.clone(), listener, runs: BTreeSet::new(), queue }
    }

    /// Tells what is durable: whoever comes later reads it from the store.
    pub fn tell(&self, recorded: Recorded) {
        let (Recorded::Entry { run, .. }
        | Recorded::Refused { run, .. }
        | Recorded::Taken { run, .. }
        | Recorded::Plain { aggregate: run, .. }) = &recorded;
        if let Some(listeners) = lock(&self.of_runs).get(run) {
            for listener in listeners {
                if listener.queue.try_send(recorded.clone()).is_err() {
                    listener.has_missed.store(true, Ordering::Release);
                }
            }
        }
        if self.all.receiver_count() > 0 {
            // The last of them may have gone by now.
            let _ = self.all.send(recorded);
        }
    }

    /// Runs that somebody watches by name.
    #[cfg(test)]
    fn watched(&self) -> usize {
        lock(&self.of_runs).len()
    }
}

impl Watch {
    /// From here on this run's notices come too.
    pub fn add(&mut self, run: &RunId) {
        if self.runs.insert(run.clone()) {
            lock(&self.notices.of_runs).entry(run.clone()).or_default().push(self.listener.clone());
        }
    }

    /// From here on this run's notices come no more; those that wait still do.
    pub fn remove(&mut self, run: &RunId) {
        if self.runs.remove(run) {
            forget(&mut lock(&self.notices.of_runs), run, self.listener.number);
        }
    }

    /// The next one.
    ///
    /// # Errors
    /// Where some were missed: what they said is in the store.
    pub async fn recv(&mut self) -> Result<Recorded, RecvError> {
        if self.listener.has_missed.swap(false, Ordering::AcqRel) {
            // Those that wait are in the store as well.
            let mut missed = 1;
            while self.queue.try_recv().is_ok() {
                missed += 1;
            }
            return Err(RecvError::Lagged(missed));
        }
        self.queue.recv().await.ok_or(RecvError::Closed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut of_runs = lock(&self.notices.of_runs);
        for run in &self.runs {
            forget(&mut of_runs, run, self.listener.number);
        }
    }
}

fn forget(of_runs: &mut BTreeMap<RunId, Vec<Arc<Listener>>>, run: &RunId, number: u64) {
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

    fn refused(run: &str, item: i64) -> Recorded {
        Recorded::Refused { run: RunId::new(run), item, refusal: Refusal::NotStarted }
    }

    /// The items that wait to be heard of.
    fn heard(watch: &mut Watch) -> Vec<i64> {
        let mut items = Vec::new();
        while let Some(Ok(Recorded::Refused { item, .. })) = watch.recv().now_or_never() {
            items.push(item);
        }
        items
    }

    #[test]
    fn a_notice_goes_to_those_who_watch_its_run_and_to_nobody_else() {
        let notices = Arc::new(Notices::default());
        let (mut one, mut other, mut both) = (notices.watch(), notices.watch(), notices.watch());
        one.add(&RunId::new("a"));
        other.add(&RunId::new("b"));
        both.add(&RunId::new("a"));
        both.add(&RunId::new("b"));
        notices.tell(refused("a", 1));
        notices.tell(refused("b", 2));
        notices.tell(refused("c", 3));
        assert_eq!((heard(&mut one), heard(&mut other), heard(&mut both)), (vec![1], vec![2], vec![1, 2]));
    }

    #[test]
    fn a_run_that_nobody_watches_any_more_is_kept_by_nobody() {
        let notices = Arc::new(Notices::default());
        let (mut one, mut other) = (notices.watch(), notices.watch());
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
        let notices = Arc::new(Notices::default());
        let (mut all, mut one) = (notices.watch_all(), notices.watch());
        one.add(&RunId::new("a"));
        notices.tell(refused("a", 1));
        notices.tell(refused("b", 2));
        let mut items = Vec::new();
        while let Ok(Recorded::Refused { item, .. }) = all.try_recv() {
            items.push(item);
        }
        assert_eq!((items, heard(&mut one)), (vec![1, 2], vec![1]));
    }

    #[test]
    fn a_watcher_that_falls_behind_is_told_once_and_then_goes_on() {
        let notices = Arc::new(Notices::default());
        let (mut slow, mut quick) = (notices.watch(), notices.watch());
        let run = RunId::new("a");
        slow.add(&run);
        quick.add(&RunId::new("b"));
        for item in 0..=NOTICES_OF_SOME_MAX as i64 {
            notices.tell(refused("a", item));
        }
        notices.tell(refused("b", 7));
        assert!(matches!(slow.recv().now_or_never(), Some(Err(RecvError::Lagged(_)))));
        assert!(slow.recv().now_or_never().is_none());
        notices.tell(refused("a", 500));
        assert_eq!((heard(&mut slow), heard(&mut quick)), (vec![500], vec![7]));
    }
}
