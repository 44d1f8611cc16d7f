//! The journal port: each call is one task for the writer, or one query for a reader.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use baton_core::time::Time;
use baton_ports::clock::Steady;
use baton_ports::journal::{
    AggregateId, Append, AstrayPage, Claimed, Error, Handle, InboxItem, Journal, Lease, Ownership, ProcessId, Submit,
    Submitted, TimerKey,
};

use super::append::Prepared;
use super::ownership::{self, Claim};
use super::{Store, submit};

#[async_trait]
impl Journal for Store {
    async fn join(&self, steady: Steady) -> Result<Lease, Error> {
        // One at a time: a number that a failed commit takes back must not be another caller's.
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
            self.owners().let_go(process);
        }
        done
    }

    async fn renew(&self, process: ProcessId, steady: Steady) -> Result<Lease, Error> {
        self.write(0, move |session| ownership::renew(session, process, steady)).await
    }

    async fn leave(&self, process: ProcessId) -> Result<(), Error> {
        self.write::<_, _, Error>(0, move |session| ownership::leave(session, process).map(Ok)).await?;
        self.owners().let_go(process);
        Ok(())
    }

    async fn submit(&self, message: Submit) -> Result<Submitted, Error> {
        submit::check_size(&message)?;
        let message = Arc::new(message);
        let shared = Arc::clone(&message);
        self.write(message.payload.len(), move |session| submit::perform(session, &shared)).await
    }

    async fn append(&self, append: Append) -> Result<(), Error> {
        let prepared = Arc::new(Prepared::new(append)?);
        let shared = Arc::clone(&prepared);
        self.write(prepared.bytes(), move |session| shared.perform(session)).await
    }

    async fn claim(
        &self,
        aggregate: &AggregateId,
        process: ProcessId,
        fold_version: u32,
        steady: Steady,
    ) -> Result<Option<Claimed>, Error> {
        let claim = Claim { aggregate: aggregate.clone(), process, fold_version, steady };
        self.write(0, move |session| claim.perform(session)).await
    }

    async fn release(&self, ownership: Ownership, wake_at: Option<Time>) -> Result<(), Error> {
        self.write(0, move |session| ownership::release(session, ownership, wake_at)).await
    }

    async fn inbox(&self, handle: Handle, after: i64) -> Result<Vec<InboxItem>, Error> {
        self.read(move |connection| ownership::open_items(connection, handle, after)).await
    }

    async fn due(
        &self,
        process: ProcessId,
        now: Time,
        steady: Steady,
        limit: usize,
    ) -> Result<Vec<AggregateId>, Error> {
        let owners = Arc::clone(self.owners());
        self.read(move |connection| ownership::due(connection, &owners, process, (now, steady), limit)).await
    }

    async fn astray(&self, now: Time, after: TimerKey, limit: usize) -> Result<AstrayPage, Error> {
        self.read(move |connection| ownership::astray(connection, now, after, limit)).await
    }

    async fn nudged(&self, process: ProcessId, limit: usize) -> Result<Vec<AggregateId>, Error> {
        self.read(move |connection| ownership::nudged(connection, process, limit)).await
    }
}
