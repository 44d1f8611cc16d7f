//! The journal port: each call is one task for the writer, or one query for a reader.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use baton_core::time::Time;
use baton_ports::clock::MonotonicTime;
use baton_ports::journal::{
    AggregateHandle, AggregateId, ClaimedAggregate, InboxItem, InboxReceipt, InboxSubmission, JournalAppend,
    JournalError, JournalStore, Ownership, ProcessId, ProcessLease, StrandedPage, TimerKey,
};

use super::append::PreparedAppend;
use super::ownership::{self, ClaimRequest};
use super::{SqliteStore, submit};

#[async_trait]
impl JournalStore for SqliteStore {
    async fn join(&self, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        // One at a time: a number that a failed commit rolls back must not be given to another caller.
        let _alone = self.joining().lock().await;
        let joined = Arc::new(Mutex::new(None));
        let told = Arc::clone(&joined);
        let done = self
            .write(0, move |session| {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                ownership::join(session, steady, &mut told)
            })
            .await;
        let joined = joined.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Err(_), Some(process)) = (&done, joined) {
            self.owners().release(process);
        }
        done
    }

    async fn renew(&self, process: ProcessId, steady: MonotonicTime) -> Result<ProcessLease, JournalError> {
        self.write(0, move |session| ownership::renew(session, process, steady)).await
    }

    async fn leave(&self, process: ProcessId) -> Result<(), JournalError> {
        self.write::<_, _, JournalError>(0, move |session| ownership::leave(session, process).map(Ok)).await?;
        self.owners().release(process);
        Ok(())
    }

    async fn submit(&self, message: InboxSubmission) -> Result<InboxReceipt, JournalError> {
        submit::check_size(&message)?;
        let message = Arc::new(message);
        let shared = Arc::clone(&message);
        self.write(message.payload.len(), move |session| submit::perform(session, &shared)).await
    }

    async fn append(&self, append: JournalAppend) -> Result<(), JournalError> {
        let prepared = Arc::new(PreparedAppend::new(append)?);
        let shared = Arc::clone(&prepared);
        self.write(prepared.bytes(), move |session| shared.perform(session)).await
    }

    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: MonotonicTime,
    ) -> Result<Option<ClaimedAggregate>, JournalError> {
        let claim = ClaimRequest { aggregate: aggregate.clone(), process, fold_version, steady };
        self.write(0, move |session| claim.perform(session)).await
    }

    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), JournalError> {
        self.write(0, move |session| ownership::release(session, ownership, wake_at)).await
    }

    async fn inbox(&self, handle: AggregateHandle, after: i64) -> Result<Vec<InboxItem>, JournalError> {
        self.read(move |connection| ownership::open_items(connection, handle, after)).await
    }

    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: MonotonicTime,
        limit: usize,
    ) -> Result<Vec<AggregateId>, JournalError> {
        let owners = Arc::clone(self.owners());
        self.read(move |connection| ownership::due(connection, &owners, process, (now, steady), limit)).await
    }

    async fn stranded(&self, now: Time, after: TimerKey, limit: usize) -> Result<StrandedPage, JournalError> {
        self.read(move |connection| ownership::stranded(connection, now, after, limit)).await
    }

    async fn with_new_items(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, JournalError> {
        self.read(move |connection| ownership::with_new_items(connection, process, limit)).await
    }
}
