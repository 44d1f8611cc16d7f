//! Erasures that were begun and are not at their end. Each is written down before its first mark, so that one that was cut
//! off is known with all that was asked for, and is done again from the beginning. Once all is deleted, a note without a name
//! stands in its place until the file is scrubbed, so that a scrub that was cut off, or could not be, is done again too.

use std::collections::BTreeSet;
use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::audit::ErasureSubject;
use baton_ports::records::{self, RecordOp, StoredRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{CustomerError, CustomerService, ErasureRequest, PAGE, TRIES_MAX, VACUUM_BYTES_MAX, digest};

pub(super) const SPACE: &str = "erasing_customer";
/// A scrub that somebody is at, or that could not be, is left alone for so long: while a database is written anew, nobody else
/// writes.
const SCRUB_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// What was asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PendingErasure {
    customer_id: String,
    /// With what their contact said, which may be gone.
    pub(super) also: Vec<String>,
    end_runs: bool,
    by: String,
    key_id: Option<String>,
}

impl PendingErasure {
    fn of(record: &StoredRecord) -> Option<Self> {
        serde_json::from_value(record.value.clone()).ok()
    }

    fn into_request(self) -> ErasureRequest {
        let Self { customer_id: id, also, end_runs, by, key_id } = self;
        ErasureRequest { id, aliases: also, end_runs, vacuum_bytes_max: VACUUM_BYTES_MAX, by, key_id }
    }
}

/// The note that the file is to be scrubbed, as it was last written.
#[derive(Debug)]
pub(super) struct PendingScrub {
    key: String,
    version: u64,
}

impl PendingScrub {
    fn value() -> Value {
        json!({ "scrub": true })
    }

    fn is(record: &StoredRecord) -> bool {
        record.value["scrub"] == true
    }
}

impl CustomerService<'_> {
    /// Does erasures again that were begun, or taken up, before an instant and are not at their end, and scrubs the file where
    /// an erasure has left that. One that fails is taken up again when it is that old again.
    ///
    /// # Errors
    /// The last of those that failed; the others were done all the same.
    pub async fn finish_erasures(&self, tenant: &TenantId, before: Time) -> Result<(), CustomerError> {
        let mut done = Ok(());
        let all = self.records.list(tenant, SPACE, "", None, PAGE).await?;
        let (scrubs, jobs): (Vec<StoredRecord>, Vec<StoredRecord>) = all.into_iter().partition(PendingScrub::is);
        for record in jobs {
            let Some(job) = PendingErasure::of(&record).filter(|_| record.at < before) else { continue };
            if self.claim(tenant, &record).await?.is_none() {
                continue;
            }
            match self.erase(tenant, job.into_request()).await {
                Ok(_) => tracing::info!(%tenant, "an erasure that was interrupted is finished"),
                Err(error) => done = Err(error),
            }
        }
        self.finish_scrubs(tenant, scrubs).await?;
        done
    }

    /// One scrub is enough for all that was deleted before it.
    async fn finish_scrubs(&self, tenant: &TenantId, records: Vec<StoredRecord>) -> Result<(), CustomerError> {
        let before = self.clock.now() - SCRUB_RETRY_AFTER;
        let mut left = Vec::new();
        for record in records.iter().filter(|record| record.at < before) {
            left.extend(self.claim(tenant, record).await?);
        }
        let Some(first) = left.pop() else { return Ok(()) };
        if self.scrub(tenant, VACUUM_BYTES_MAX, Some(first)).await?.unfinished.is_none() {
            for one in left {
                self.complete_scrub(tenant, one).await?;
            }
            tracing::info!(%tenant, "no page and no log of the database holds what was erased any more");
        }
        Ok(())
    }

    /// Nothing where somebody else is at it.
    async fn claim(&self, tenant: &TenantId, record: &StoredRecord) -> Result<Option<PendingScrub>, CustomerError> {
        let StoredRecord { space, key, value, version, .. } = record.clone();
        let left = PendingScrub { key: key.clone(), version: version + 1 };
        let taken = RecordOp::CompareAndSet { space, key, version, value };
        match self.records.commit(tenant, vec![taken], self.clock.now()).await {
            Ok(()) => Ok(Some(left)),
            Err(records::RecordError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The erasure of whoever is called so that is not at its end.
    pub(super) async fn find_pending(
        &self,
        tenant: &TenantId,
        id: &str,
    ) -> Result<Option<PendingErasure>, CustomerError> {
        Ok(self.records.get(tenant, SPACE, &digest(id)).await?.as_ref().and_then(PendingErasure::of))
    }

    /// Writes down what is to be done; answers the version of what was written.
    pub(super) async fn record_start(
        &self,
        tenant: &TenantId,
        wish: &ErasureRequest,
        person: &ErasureSubject,
        now: Time,
    ) -> Result<u64, CustomerError> {
        for _ in 0..TRIES_MAX {
            let (space, key) = (SPACE.to_owned(), digest(&wish.id));
            let before = self.records.get(tenant, SPACE, &key).await?;
            let known = before.as_ref().and_then(PendingErasure::of).into_iter().flat_map(|job| job.also);
            let also: BTreeSet<String> = person.other_names.iter().cloned().chain(known).collect();
            let value = json!(PendingErasure {
                customer_id: wish.id.clone(),
                also: also.into_iter().collect(),
                end_runs: wish.end_runs,
                by: wish.by.clone(),
                key_id: wish.key_id.clone(),
            });
            let (op, version) = match before {
                Some(StoredRecord { version, .. }) => {
                    (RecordOp::CompareAndSet { space, key, version, value }, version + 1)
                }
                None => (RecordOp::Insert { space, key, value }, 1),
            };
            match self.records.commit(tenant, vec![op], now).await {
                Ok(()) => return Ok(version),
                Err(records::RecordError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(CustomerError::Changing)
    }

    /// Puts the note that the file is to be scrubbed in the place of what [`Self::record_start`] wrote, unless somebody has begun the
    /// same since: it is theirs then.
    pub(super) async fn schedule_scrub(
        &self,
        tenant: &TenantId,
        id: &str,
        version: u64,
    ) -> Result<Option<PendingScrub>, CustomerError> {
        let (space, key) = (SPACE.to_owned(), digest(id));
        let left = PendingScrub { key: key.clone(), version: version + 1 };
        let put = RecordOp::CompareAndSet { space, key, version, value: PendingScrub::value() };
        match self.records.commit(tenant, vec![put], self.clock.now()).await {
            Ok(()) => Ok(Some(left)),
            Err(records::RecordError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the note away, unless somebody has begun the same since.
    pub(super) async fn complete_scrub(
        &self,
        tenant: &TenantId,
        PendingScrub { key, version }: PendingScrub,
    ) -> Result<(), CustomerError> {
        let space = SPACE.to_owned();
        let expect = RecordOp::Expect { space: space.clone(), key: key.clone(), version: Some(version) };
        match self.records.commit(tenant, vec![expect, RecordOp::Delete { space, key }], self.clock.now()).await {
            Ok(()) | Err(records::RecordError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether something of this one's erasure is still to be done.
    pub(super) async fn is_scrub_pending(&self, tenant: &TenantId, id: &str) -> Result<bool, CustomerError> {
        Ok(self.records.get(tenant, SPACE, &digest(id)).await?.is_some())
    }
}
