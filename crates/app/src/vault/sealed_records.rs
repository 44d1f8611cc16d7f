//! Records with secrets that are sealed in place: the signing secrets of incoming and outgoing webhooks.
//!
//! Rows from before a key was configured stay unsealed until they are written again, or until `baton secrets rotate`.
//! Without a key, rows are written unsealed.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::{triggers::webhook, webhook_delivery};
use baton_ports::records::{RecordError, RecordOp, RecordStore, StoredRecord};
use serde_json::{Value, json};

use super::{KeyRing, SealedSecret};

/// The record spaces with secrets, in addition to [`super::SPACE`].
pub(super) const SPACES: [&str; 2] = [webhook::SECRETS, webhook_delivery::SECRETS];

pub struct SealedRecords {
    records: Arc<dyn RecordStore>,
    ring: KeyRing,
}

impl SealedRecords {
    pub fn new(records: Arc<dyn RecordStore>, ring: KeyRing) -> Self {
        Self { records, ring }
    }

    fn seal_op(&self, tenant: &TenantId, op: RecordOp) -> Result<RecordOp, RecordError> {
        let seal = |space: &str, key: &str, value: Value| match SPACES.contains(&space) && self.ring.can_seal() {
            true => seal_value(&self.ring, tenant, space, key, &value)
                .map_err(|error| RecordError::Unwritable { reason: error.to_string() }),
            false => Ok(value),
        };
        Ok(match op {
            RecordOp::Insert { space, key, value } => {
                RecordOp::Insert { value: seal(&space, &key, value)?, space, key }
            }
            RecordOp::Put { space, key, value } => RecordOp::Put { value: seal(&space, &key, value)?, space, key },
            RecordOp::CompareAndSet { space, key, version, value } => {
                RecordOp::CompareAndSet { value: seal(&space, &key, value)?, space, key, version }
            }
            other @ (RecordOp::Delete { .. }
            | RecordOp::Expect { .. }
            | RecordOp::HoldRange { .. }
            | RecordOp::FreeRange { .. }) => other,
        })
    }

    fn open_record(&self, tenant: &TenantId, record: StoredRecord) -> Result<StoredRecord, RecordError> {
        if !SPACES.contains(&record.space.as_str()) {
            return Ok(record);
        }
        let value = open_value(&self.ring, tenant, &record.space, &record.key, record.value)
            .map_err(|error| RecordError::Unreadable { reason: error.to_string() })?;
        Ok(StoredRecord { value, ..record })
    }
}

#[async_trait]
impl RecordStore for SealedRecords {
    async fn commit(&self, tenant: &TenantId, ops: Vec<RecordOp>, at: Time) -> Result<(), RecordError> {
        let ops = ops.into_iter().map(|op| self.seal_op(tenant, op)).collect::<Result<_, _>>()?;
        match self.records.commit(tenant, ops, at).await {
            Err(RecordError::Conflict { index, found: Some(found) }) => {
                Err(RecordError::Conflict { index, found: Some(self.open_record(tenant, found)?) })
            }
            done => done,
        }
    }

    async fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Result<Option<StoredRecord>, RecordError> {
        let found = self.records.get(tenant, space, key).await?;
        found.map(|record| self.open_record(tenant, record)).transpose()
    }

    async fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, RecordError> {
        let page = self.records.list(tenant, space, prefix, after, limit).await?;
        page.into_iter().map(|record| self.open_record(tenant, record)).collect()
    }

    async fn ranges(
        &self,
        tenant: &TenantId,
        space: &str,
        resource: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, i64, String)>, RecordError> {
        self.records.ranges(tenant, space, resource, from, to).await
    }
}

/// The name that a row is bound to. No secret of a tenant can have it.
fn binding_name(space: &str, key: &str) -> String {
    format!("{space}/{key}")
}

pub(super) fn seal_value(
    ring: &KeyRing,
    tenant: &TenantId,
    space: &str,
    key: &str,
    value: &Value,
) -> anyhow::Result<Value> {
    Ok(json!(ring.seal(tenant, &binding_name(space, key), &value.to_string())?))
}

/// The value before sealing. A value that was never sealed is returned unchanged.
pub(super) fn open_value(
    ring: &KeyRing,
    tenant: &TenantId,
    space: &str,
    key: &str,
    value: Value,
) -> anyhow::Result<Value> {
    match sealed_row(&value) {
        Some(row) => Ok(serde_json::from_str(&ring.open(tenant, &binding_name(space, key), &row)?)?),
        None => Ok(value),
    }
}

/// The sealed row, if the value is sealed.
pub(super) fn sealed_row(value: &Value) -> Option<SealedSecret> {
    value.get("sealed").and_then(|_| serde_json::from_value(value.clone()).ok())
}
