//! A journal that records its calls, so that they can be replayed without an engine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use baton_core::time::Time;
use baton_ports::clock::MonotonicTime;
use baton_ports::journal::{
    AggregateHandle, AggregateId, ClaimedAggregate, InboxItem, InboxReceipt, InboxSubmission, JournalAppend,
    JournalError, JournalStore, Ownership, ProcessId, ProcessLease, StrandedPage, TimerKey,
};

/// The journal calls of one run, in order.
#[derive(Clone, Debug, Default)]
pub struct JournalCalls {
    pub start: Option<InboxSubmission>,
    pub appends: Vec<JournalAppend>,
    /// When each append was acknowledged.
    pub answered_at: Vec<Instant>,
}

pub struct JournalRecorder {
    inner: Arc<dyn JournalStore>,
    calls: Mutex<BTreeMap<AggregateId, JournalCalls>>,
}

impl JournalRecorder {
    pub fn wrap(inner: Arc<dyn JournalStore>) -> Arc<Self> {
        Arc::new(Self { inner, calls: Mutex::default() })
    }

    pub fn take(&self) -> Vec<JournalCalls> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner)).into_values().collect()
    }

    fn note(&self, aggregate: &AggregateId, note: impl FnOnce(&mut JournalCalls)) {
        let mut asked = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        note(asked.entry(aggregate.clone()).or_default());
    }
}

#[async_trait]
impl JournalStore for JournalRecorder {
    async fn join(&self, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        self.inner.join(steady).await
    }

    async fn renew(&self, process: ProcessId, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        self.inner.renew(process, steady).await
    }

    async fn leave(&self, process: ProcessId) -> Result<(), JournalError> {
        self.inner.leave(process).await
    }

    async fn submit(&self, submit: InboxSubmission) -> Result<InboxReceipt, JournalError> {
        self.note(&submit.aggregate, |asked| asked.start = Some(submit.clone()));
        self.inner.submit(submit).await
    }

    async fn append(&self, append: JournalAppend) -> Result<(), JournalError> {
        let aggregate = append.aggregate.clone();
        self.note(&aggregate, |asked| asked.appends.push(append.clone()));
        self.inner.append(append).await?;
        self.note(&aggregate, |asked| asked.answered_at.push(Instant::now()));
        Ok(())
    }

    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold: u32,
        steady: MonotonicTime,
    ) -> Result<Option<ClaimedAggregate>, JournalError> {
        self.inner.claim(aggregate, process, fold, steady).await
    }

    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), JournalError> {
        self.inner.release(ownership, wake_at).await
    }

    async fn inbox(&self, handle: AggregateHandle, after: i64) -> Result<Vec<InboxItem>, JournalError> {
        self.inner.inbox(handle, after).await
    }

    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: MonotonicTime,
        limit: usize,
    ) -> Result<Vec<AggregateId>, JournalError> {
        self.inner.due(process, now, steady, limit).await
    }

    async fn stranded(&self, now: Time, after: TimerKey, limit: usize) -> Result<StrandedPage, JournalError> {
        self.inner.stranded(now, after, limit).await
    }

    async fn with_new_items(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, JournalError> {
        self.inner.with_new_items(process, limit).await
    }
}
