//! What was forgotten stays forgotten. Whoever is forgotten leaves a mark, and how many there are is counted; a work that
//! keeps somebody's words knows the count of when it began, and its write holds only while the count is as it was looked
//! at. So whatever began before a forgetting is either removed by it or refused.

use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_ports::clock::Clock;
use baton_ports::index::ForgetWatermark;
use baton_ports::memory::{MemoryError, RETRY_AFTER};
use baton_ports::records::{self, RecordOp, RecordStore};
use serde_json::{Value, json};

const SPACE: &str = "memory.forgotten";
/// The record whose version is the count.
const COUNT: &str = "count";
/// How often the count may change under our hands before we give up.
const TRIES_MAX: usize = 16;

pub(crate) struct ForgetMarks {
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

/// Who or what is forgotten. Marks name nobody: they are kept under a hash.
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

    /// The mark, to be written with what it forgets.
    pub(crate) fn mark(self, forgetting: u64) -> RecordOp {
        RecordOp::Put { space: SPACE.to_owned(), key: self.key(), value: json!(forgetting) }
    }
}

impl ForgetMarks {
    pub(crate) fn new(records: Arc<dyn RecordStore>, clock: Arc<dyn Clock>) -> Self {
        Self { records, clock }
    }

    /// The first thing to ask of a work that will keep somebody's words, before it reads or waits for anything.
    pub(crate) async fn watermark(&self, tenant: &TenantId) -> Result<ForgetWatermark, MemoryError> {
        let at = self.clock.now();
        Ok(ForgetWatermark { forget_count: self.count(tenant).await?.unwrap_or(0), at })
    }

    async fn count(&self, tenant: &TenantId) -> Result<Option<u64>, MemoryError> {
        Ok(self.records.get(tenant, SPACE, COUNT).await?.map(|record| record.version))
    }

    /// What must be in the write that keeps something of theirs; none where one of them was forgotten since.
    pub(crate) async fn guard(
        &self,
        tenant: &TenantId,
        since: ForgetWatermark,
        whose: &[ForgetTarget<'_>],
    ) -> Result<Option<RecordOp>, MemoryError> {
        let version = self.count(tenant).await?;
        // Where nobody was ever forgotten there is no mark to look for.
        for whom in whose.iter().filter(|_| version.is_some()) {
            if let Some(mark) = self.records.get(tenant, SPACE, &whom.key()).await?
                && since.is_superseded_by(mark.value.as_u64().unwrap_or(u64::MAX), mark.at)
            {
                return Ok(None);
            }
        }
        Ok(Some(RecordOp::Expect { space: SPACE.to_owned(), key: COUNT.to_owned(), version }))
    }

    /// Marks a customer as forgotten, and says as the how-manieth. From here on nothing of theirs is kept that began
    /// before.
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
