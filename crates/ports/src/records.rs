//! Small records of internal tools: bookings, tickets, the payment ledger, the outbox. A batch commits completely or
//! not at all, so an effect's key row is written together with its act, and a calendar cannot double-book.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde_json::Value;

use crate::health::StoreOutage;

/// Maximum number of operations in one batch.
pub const OPS_MAX: usize = 100;
/// Maximum size of one record's value, in bytes.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord {
    pub space: String,
    pub key: String,
    pub value: Value,
    /// Increases with each write of this record, from 1.
    pub version: u64,
    pub at: Time,
}

#[derive(Clone, Debug, PartialEq)]
pub enum RecordOp {
    /// Refused if the key exists.
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
    /// Deleted data is overwritten in place, since it may be personal.
    Delete {
        space: String,
        key: String,
    },
    /// Writes nothing. Refused unless the record is at this version; `None`: unless it does not exist.
    Expect {
        space: String,
        key: String,
        version: Option<u64>,
    },
    /// Holds `from..to` (any unit, end excluded) of a resource; refused if it overlaps a range held by another key.
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
    /// The precondition of the batch's operation at `index` failed; nothing was written. `found` is the conflicting
    /// record; for a range it is the held range: its key, and `{resource, from, to}` as value.
    #[error("operation {index} of the batch conflicts with what is stored")]
    Conflict { index: usize, found: Option<StoredRecord> },
    /// The batch's operation at `index` holds an empty range; nothing was written.
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
    /// Nothing more is acknowledged until an operator has intervened.
    #[error(transparent)]
    Outage(#[from] StoreOutage),
}

#[async_trait]
pub trait RecordStore: Send + Sync {
    /// All or nothing; durable when it returns.
    async fn commit(&self, tenant: &TenantId, ops: Vec<RecordOp>, at: Time) -> Result<(), RecordError>;

    async fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Result<Option<StoredRecord>, RecordError>;

    /// Records of a space whose key starts with `prefix`, in key order, after `after`.
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
