//! A journal that remembers what it was asked, so that the same can be replayed without an engine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use baton_core::time::Time;
use baton_ports::clock::Steady;
use baton_ports::journal::{
    AggregateId, Append, AstrayPage, Claimed, Error, Handle, InboxItem, Journal, Lease, Ownership, ProcessId, Submit,
    Submitted, TimerKey,
};

/// What one run asked of its journal, in order.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub start: Option<Submit>,
    pub appends: Vec<Append>,
    /// When each append was answered.
    pub answered: Vec<Instant>,
}

pub struct Recorder {
    inner: Arc<dyn Journal>,
    asked: Mutex<BTreeMap<AggregateId, Asked>>,
}

impl Recorder {
    pub fn over(inner: Arc<dyn Journal>) -> Arc<Self> {
        Arc::new(Self { inner, asked: Mutex::default() })
    }

    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner)).into_values().collect()
    }

    fn note(&self, aggregate: &AggregateId, note: impl FnOnce(&mut Asked)) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        note(asked.entry(aggregate.clone()).or_default());
    }
}

#[async_trait]
impl Journal for Recorder {
    async fn join(&self, steady: Steady) -> Result<Lease, Error> {
        self.inner.join(steady).await
    }

    async fn renew(&self, process: ProcessId, steady: Steady) -> Result<Lease, Error> {
        self.inner.renew(process, steady).await
    }

    async fn leave(&self, process: ProcessId) -> Result<(), Error> {
        self.inner.leave(process).await
    }

    async fn submit(&self, submit: Submit) -> Result<Submitted, Error> {
        self.note(&submit.aggregate, |asked| asked.start = Some(submit.clone()));
        self.inner.submit(submit).await
    }

    async fn append(&self, append: Append) -> Result<(), Error> {
        let aggregate = append.aggregate.clone();
        self.note(&aggregate, |asked| asked.appends.push(append.clone()));
        self.inner.append(append).await?;
        self.note(&aggregate, |asked| asked.answered.push(Instant::now()));
        Ok(())
    }

    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold: u32,
        steady: Steady,
    ) -> Result<Option<Claimed>, Error> {
        self.inner.claim(aggregate, process, fold, steady).await
    }

    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), Error> {
        self.inner.release(ownership, wake_at).await
    }

    async fn inbox(&self, handle: Handle, after: i64) -> Result<Vec<InboxItem>, Error> {
        self.inner.inbox(handle, after).await
    }

    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: Steady,
        limit: usize,
    ) -> Result<Vec<AggregateId>, Error> {
        self.inner.due(process, now, steady, limit).await
    }

    async fn astray(&self, now: Time, after: TimerKey, limit: usize) -> Result<AstrayPage, Error> {
        self.inner.astray(now, after, limit).await
    }

    async fn nudged(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, Error> {
        self.inner.nudged(process, limit).await
    }
}
