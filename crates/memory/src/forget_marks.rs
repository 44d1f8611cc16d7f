//! Ensures that forgotten data stays forgotten. Forgetting a customer or conversation writes a mark and increments a
//! counter. An operation that stores personal data reads the counter when it begins, and its write is conditional on
//! the counter as it was last checked. An operation that began before a forgetting is therefore either removed by it or
//! refused.

use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::index::ForgetWatermark;
use baton_ports::memory::{MemoryError, RETRY_AFTER};
use baton_ports::records::{self, RecordOp, RecordStore};
use serde_json::{Value, json};

const SPACE: &str = "memory.forgotten";
/// The record whose version is the counter.
const COUNT: &str = "count";
/// Maximum attempts while concurrent changes move the counter.
const TRIES_MAX: usize = 16;

pub(crate) struct ForgetMarks {
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

/// The customer or conversation that is forgotten. Marks contain no identity: they are stored under a hash.
#[derive(Clone, Copy)]
pub(crate) enum ForgetTarget<'w> {
    Customer(&'w str),
    Conversation(&'w str),
}

impl ForgetTarget<'_> {
    fn key(self) -> String {
        let hash = |id: &str| ContentHash::of(id.as_bytes()).as_str().to_owned();
        match self {
            Self::Customer(id) => format!("customer/{}", hash(id)),
            Self::Conversation(id) => format!("conversation/{}", hash(id)),
        }
    }

    /// The mark, to be written together with the removal.
    pub(crate) fn mark(self, forgetting: u64) -> RecordOp {
        RecordOp::Put { space: SPACE.to_owned(), key: self.key(), value: json!(forgetting) }
    }
}

impl ForgetMarks {
    pub(crate) fn new(records: Arc<dyn RecordStore>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// Returns the watermark. An operation that will store personal data must call this before it reads or awaits
    /// anything else.
    pub(crate) async fn watermark(&self, tenant: &TenantId) -> Result<ForgetWatermark, MemoryError> {
        let at = self.clock.now();
        Ok(ForgetWatermark { forget_count: self.count(tenant).await?.unwrap_or(0), at })
    }

    async fn count(&self, tenant: &TenantId) -> Result<Option<u64>, MemoryError> {
        Ok(self.records.get(tenant, SPACE, COUNT).await?.map(|record| record.version))
    }

    /// The condition for a write of personal data; `None` if one of the targets was forgotten after the watermark.
    pub(crate) async fn guard(
        &self,
        tenant: &TenantId,
        since: ForgetWatermark,
        whose: &[ForgetTarget<'_>],
    ) -> Result<Option<RecordOp>, MemoryError> {
        let version = self.count(tenant).await?;
        // If the tenant has never forgotten anything, there is no mark to check.
        for whom in whose.iter().filter(|_| version.is_some()) {
            if let Some(mark) = self.records.get(tenant, SPACE, &whom.key()).await?
                && since.is_superseded_by(mark.value.as_u64().unwrap_or(u64::MAX), mark.at)
            {
                return Ok(None);
            }
        }
        Ok(Some(RecordOp::Expect { space: SPACE.to_owned(), key: COUNT.to_owned(), version }))
    }

    /// Marks a customer as forgotten and returns the number of this forgetting. Operations that began before can store
    /// nothing of the customer from here on.
    pub(crate) async fn mark_customer(&self, tenant: &TenantId, customer: &str) -> Result<u64, MemoryError> {
        for _ in 0..TRIES_MAX {
            let version = self.count(tenant).await?;
            let (space, key, value) = (SPACE.to_owned(), COUNT.to_owned(), Value::Null);
            let count = match version {
                Some(version) => RecordOp::CompareAndSet { space, key, version, value },
                None => RecordOp::Insert { space, key, value },
            };
            let forgetting = version.unwrap_or(0) + 1;
            let ops = vec![count, ForgetTarget::Customer(customer).mark(forgetting)];
            match self.records.commit(tenant, ops, self.clock.now()).await {
                Ok(()) => return Ok(forgetting),
                Err(records::RecordError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(MemoryError::Busy { retry_after: RETRY_AFTER })
    }
}
