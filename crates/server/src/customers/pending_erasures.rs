//! Erasures that have started and are not complete. Each is recorded before its first mark, so that an interrupted
//! one is known with all its parameters and is repeated from the beginning. Once all data is deleted, the record is
//! replaced by a note without a name until the file is scrubbed, so that an interrupted or failed scrub is repeated
//! too.

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
/// How long a scrub that is in progress or has failed is left alone. While a database is being rewritten, no other
/// process can write.
const SCRUB_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// The recorded parameters of an erasure.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PendingErasure {
    customer_id: String,
    /// Includes the names from the contact, which may already be deleted.
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

/// The stored note that the file must be scrubbed.
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
    /// Repeats erasures that were started or claimed before the given instant and are not complete, and scrubs the
    /// file if an erasure left that undone. A failed one is retried once it is that old again.
    ///
    /// # Errors
    /// The last failure. The other erasures are still performed.
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

    /// One scrub covers everything that was deleted before it.
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

    /// Returns `None` if another process claimed it.
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

    /// The incomplete erasure of the person with this id.
    pub(super) async fn find_pending(
        &self,
        tenant: &TenantId,
        id: &str,
    ) -> Result<Option<PendingErasure>, CustomerError> {
        Ok(self.records.get(tenant, SPACE, &digest(id)).await?.as_ref().and_then(PendingErasure::of))
    }

    /// Records the erasure before it starts. Returns the version of the record.
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

    /// Replaces the record of [`Self::record_start`] by the note about the pending scrub, unless the same erasure
    /// was started again since; then the new one is responsible.
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

    /// Deletes the note, unless the same erasure was started again since.
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

    /// Whether a part of this person's erasure is still pending.
    pub(super) async fn is_scrub_pending(&self, tenant: &TenantId, id: &str) -> Result<bool, CustomerError> {
        Ok(self.records.get(tenant, SPACE, &digest(id)).await?.is_some())
    }
}
