//! Small records of internal tools: bookings, tickets, the payment ledger, the outbox. One batch commits whole or not
//! at all, so an effect's key row lands with its act and a calendar cannot double-book.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde_json::Value;

use crate::health::StoreOutage;

/// Operations of one batch.
pub const OPS_MAX: usize = 100;
/// Bytes of one record's value.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    pub space: String,
    pub key: String,
    pub value: Value,
    /// Rises with each write of this record, from 1.
    pub version: u64,
    pub at: Time,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RecordOp {
    /// Refused if the key is there.
    Insert {
        space: String,
        key: String,
        value: Value,
    },
    /// Refused unless the record is at this version.
    CompareAndSet {
        space: String,
        key: String,
        version: u64,
        value: Value,
    },
    /// Overwrites or inserts.
    Put {
        space: String,
        key: String,
        value: Value,
    },
    /// What is deleted is overwritten where it lay: it may have been somebody's.
    Delete {
        space: String,
        key: String,
    },
    /// Writes nothing. Refused unless the record is at this version; none: unless it is not there.
    Expect {
        space: String,
        key: String,
        version: Option<u64>,
    },
    /// Holds `from..to` (any unit, end excluded) of a resource; refused if it overlaps what another key holds there.
    HoldRange {
        space: String,
        resource: String,
        from: i64,
        to: i64,
        key: String,
    },
    FreeRange {
        space: String,
        key: String,
    },
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// The batch's operation at `index` did not hold; nothing was written.
    /// `found` is the record in the way; for a range it is the holding: its key, and `{resource, from, to}` as value.
    #[error("operation {index} of the batch conflicts with what is stored")]
    Conflict { index: usize, found: Option<StoredRecord> },
    /// The batch's operation at `index` holds nothing; nothing was written.
    #[error("operation {index} holds an empty range: it must end after it begins")]
    EmptyRange { index: usize },
    #[error("{what} is {size}, over the limit of {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    /// Nothing was written; try again.
    #[error("records are overloaded; try again in {} ms", retry_after.as_millis())]
    Busy { retry_after: Duration },
    #[error("records cannot be written: {reason}")]
    Unwritable { reason: String },
    #[error("records cannot be read: {reason}")]
    Unreadable { reason: String },
    /// Nothing more is acknowledged until a person has seen to it.
    #[error(transparent)]
    Outage(#[from] StoreOutage),
}

#[async_trait]
pub trait RecordStore: Send + Sync {
    /// All or nothing; durable when it returns.
    async fn commit(&self, tenant: &TenantId, ops: Vec<RecordOp>, at: Time) -> Result<(), RecordError>;

    async fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Result<Option<StoredRecord>, RecordError>;

    /// Records of a space whose key starts with `prefix`, in key order, behind `after`.
    async fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, RecordError>;

    /// Held ranges of a resource that overlap `from..to`, in order: `(from, to, key)`.
    async fn ranges(
        &self,
        tenant: &TenantId,
        space: &str,
        resource: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, i64, String)>, RecordError>;
}
