//! Erasures that were begun and are not at their end. Each is written down before its first mark and taken away at its end, so
//! that one that was cut off is known with all that was asked for, and is done again from the beginning.

use std::collections::BTreeSet;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::audit::Person;
use baton_ports::records::{self, Op, Record};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Customers, Error, PAGE, TRIES_MAX, VACUUM_BYTES_MAX, Wish, digest};

pub(super) const SPACE: &str = "erasing_customer";

/// What was asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    customer_id: String,
    /// With what their contact said, which may be gone.
    pub(super) also: Vec<String>,
    end_runs: bool,
    by: String,
    key_id: Option<String>,
}

impl Job {
    fn of(record: &Record) -> Option<Self> {
        serde_json::from_value(record.value.clone()).ok()
    }

    fn wish(self) -> Wish {
        let Self { customer_id: id, also, end_runs, by, key_id } = self;
        Wish { id, also, end_runs, vacuum_bytes_max: VACUUM_BYTES_MAX, by, key_id }
    }
}

impl Customers<'_> {
    /// Does erasures again that were begun, or taken up, before an instant and are not at their end. One that fails is
    /// taken up again when it is that old again.
    ///
    /// # Errors
    /// The last of those that failed; the others were done all the same.
    pub async fn finish_erasures(&self, tenant: &TenantId, before: Time) -> Result<(), Error> {
        let mut done = Ok(());
        for record in self.records.list(tenant, SPACE, "", None, PAGE).await? {
            let Some(job) = Job::of(&record).filter(|_| record.at < before) else { continue };
            let Record { space, key, value, version, .. } = record;
            let taken = Op::CompareAndSet { space, key, version, value };
            match self.records.commit(tenant, vec![taken], self.clock.now()).await {
                Ok(()) => {}
                // Somebody else is at it.
                Err(records::Error::Conflict { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            match self.erase(tenant, job.wish()).await {
                Ok(_) => tracing::info!(%tenant, "an erasure that was interrupted is finished"),
                Err(error) => done = Err(error),
            }
        }
        done
    }

    /// The erasure of whoever is called so that is not at its end.
    pub(super) async fn begun(&self, tenant: &TenantId, id: &str) -> Result<Option<Job>, Error> {
        Ok(self.records.get(tenant, SPACE, &digest(id)).await?.as_ref().and_then(Job::of))
    }

    /// Writes down what is to be done; answers the version of what was written.
    pub(super) async fn begin(&self, tenant: &TenantId, wish: &Wish, person: &Person, now: Time) -> Result<u64, Error> {
        for _ in 0..TRIES_MAX {
            let (space, key) = (SPACE.to_owned(), digest(&wish.id));
            let before = self.records.get(tenant, SPACE, &key).await?;
            let known = before.as_ref().and_then(Job::of).into_iter().flat_map(|job| job.also);
            let also: BTreeSet<String> = person.also.iter().cloned().chain(known).collect();
            let value = json!(Job {
                customer_id: wish.id.clone(),
                also: also.into_iter().collect(),
                end_runs: wish.end_runs,
                by: wish.by.clone(),
                key_id: wish.key_id.clone(),
            });
            let (op, version) = match before {
                Some(Record { version, .. }) => (Op::CompareAndSet { space, key, version, value }, version + 1),
                None => (Op::Insert { space, key, value }, 1),
            };
            match self.records.commit(tenant, vec![op], now).await {
                Ok(()) => return Ok(version),
                Err(records::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Changing)
    }

    /// Takes away what [`Self::begin`] wrote, unless somebody has begun the same since: it is theirs then.
    pub(super) async fn end_job(&self, tenant: &TenantId, id: &str, version: u64) -> Result<(), Error> {
        let (space, key) = (SPACE.to_owned(), digest(id));
        let expect = Op::Expect { space: space.clone(), key: key.clone(), version: Some(version) };
        match self.records.commit(tenant, vec![expect, Op::Delete { space, key }], self.clock.now()).await {
            Ok(()) | Err(records::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
