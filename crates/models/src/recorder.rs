//! Batches decision records. No call waits for a record: it queues the record here, and within [`BATCH_AFTER`] all
//! queued records are written together. A crash loses the records that are still queued.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_ports::decisions::{BATCH_MAX, DecisionLog, ModelDecision};
use tokio::sync::Notify;

use crate::router::{ExplanationCache, ModelChoice};

/// The longest time that a record waits.
pub(crate) const BATCH_AFTER: Duration = Duration::from_millis(100);
/// This number of records is written at once, however short they have waited.
const BATCH_FULL: usize = 256;
/// Maximum number of waiting records; beyond it records are dropped, and that is reported.
const WAITING_MAX: usize = 16_384;

/// A record, with the choice it came from if it is to be explained.
#[derive(Debug)]
pub(crate) struct DecisionRecord {
    pub decision: ModelDecision,
    pub choice: Option<Arc<ModelChoice>>,
}

/// The handle on the port. Clones share it; dropping the last one writes the records that still wait.
#[derive(Clone)]
pub(crate) struct DecisionRecorder(Arc<RecorderInner>);

struct RecorderInner {
    port: Arc<dyn DecisionLog>,
    waiting: Mutex<PendingRecords>,
    full: Notify,
}

#[derive(Default)]
struct PendingRecords {
    records: Vec<DecisionRecord>,
    lost: u64,
    /// A flush is scheduled.
    flush_scheduled: bool,
}

impl DecisionRecorder {
    pub fn new(port: Arc<dyn DecisionLog>) -> Self {
        Self(Arc::new(RecorderInner { port, waiting: Mutex::default(), full: Notify::new() }))
    }

    pub fn port(&self) -> &dyn DecisionLog {
        &*self.0.port
    }

    /// Queues a record; must be called within a runtime.
    pub fn record(&self, record: DecisionRecord) {
        let mut waiting = self.0.lock();
        if waiting.records.len() >= WAITING_MAX {
            waiting.lost += 1;
            return;
        }
        waiting.records.push(record);
        let (is_full, is_awaited) = (waiting.records.len() >= BATCH_FULL, waiting.flush_scheduled);
        waiting.flush_scheduled = true;
        drop(waiting);
        if !is_awaited {
            tokio::spawn(flush_after_delay(Arc::clone(&self.0)));
        } else if is_full {
            self.0.full.notify_one();
        }
    }

    /// Writes the waiting records now.
    pub fn flush(&self) {
        self.0.flush();
    }
}

async fn flush_after_delay(inner: Arc<RecorderInner>) {
    // Flush on either event: the batch is full, or the time has passed.
    let _ = tokio::time::timeout(BATCH_AFTER, inner.full.notified()).await;
    inner.lock().flush_scheduled = false;
    inner.flush();
}

impl RecorderInner {
    fn flush(&self) {
        let (records, lost) = {
            let mut waiting = self.lock();
            (std::mem::take(&mut waiting.records), std::mem::take(&mut waiting.lost))
        };
        if lost > 0 {
            tracing::warn!(lost, "more routing decisions came than are kept; these have no record");
        }
        let mut told = ExplanationCache::default();
        let mut records = records.into_iter().map(|DecisionRecord { mut decision, choice }| {
            decision.explanation = choice.map(|choice| choice.explain_cached(&mut told));
            decision
        });
        loop {
            let batch: Vec<ModelDecision> = records.by_ref().take(BATCH_MAX).collect();
            if batch.is_empty() {
                return;
            }
            let count = batch.len();
            if let Err(error) = self.port.record(batch) {
                tracing::warn!(count, %error, "routing decisions were not kept");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, PendingRecords> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RecorderInner {
    fn drop(&mut self) {
        self.flush();
    }
}

impl std::fmt::Debug for DecisionRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecisionRecorder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use baton_sim::conformance::fixtures::decision;

    use super::*;
    use crate::test_support::DecisionCapture;

    fn record(key: &str) -> DecisionRecord {
        DecisionRecord { decision: decision(key, 0), choice: None }
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_handed_over_together_within_a_tenth_of_a_second() {
        let kept = Arc::new(DecisionCapture::default());
        let recorder = DecisionRecorder::new(kept.clone());
        for key in ["a", "b", "c"] {
            recorder.record(record(key));
        }
        tokio::time::sleep(BATCH_AFTER / 2).await;
        assert_eq!(kept.batches(), Vec::<usize>::new());
        tokio::time::sleep(BATCH_AFTER).await;
        assert_eq!(kept.batches(), [3]);
        recorder.record(record("d"));
        tokio::time::sleep(BATCH_AFTER * 2).await;
        assert_eq!(kept.batches(), [3, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_does_not_wait() {
        let kept = Arc::new(DecisionCapture::default());
        let recorder = DecisionRecorder::new(kept.clone());
        for _ in 0..BATCH_FULL {
            recorder.record(record("a"));
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(kept.batches(), [BATCH_FULL]);
    }

    #[test]
    fn what_waits_is_handed_over_when_all_ends() {
        let kept = Arc::new(DecisionCapture::default());
        let recorder = DecisionRecorder::new(kept.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async { recorder.record(record("a")) });
        drop(runtime);
        assert_eq!(kept.batches(), Vec::<usize>::new());
        drop(recorder);
        assert_eq!(kept.batches(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_kept_than_may_wait() {
        let kept = Arc::new(DecisionCapture::default());
        let recorder = DecisionRecorder::new(kept.clone());
        for _ in 0..WAITING_MAX + 5 {
            recorder.record(record("a"));
        }
        recorder.flush();
        assert_eq!(kept.batches(), [BATCH_MAX; WAITING_MAX / BATCH_MAX]);
    }
}
