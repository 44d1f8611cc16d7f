//! Records whose secrets are sealed where they lie: what signs webhooks, theirs and ours.
//!
//! Rows of before there was a key to seal under stay as they are until they are written again, or until `baton secrets
//! rotate`. Where there is no key at all they are written as they are.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_engine::{outgoing, triggers::hook};
use baton_ports::records::{Error, Op, Record, Records};
use serde_json::{Value, json};

use super::{Ring, Sealed};

/// Where secrets lie beside those of [`super::SPACE`].
pub(super) const SPACES: [&str; 2] = [hook::SECRETS, outgoing::SECRETS];

pub struct Sealing {
    records: Arc<dyn Records>,
    ring: Ring,
}

impl Sealing {
    pub fn new(records: Arc<dyn Records>, ring: Ring) -> Self {
        Self { records, ring }
    }

    fn sealed(&self, tenant: &TenantId, op: Op) -> Result<Op, Error> {
        let seal = |space: &str, key: &str, value: Value| match SPACES.contains(&space) && self.ring.seals() {
            true => sealed(&self.ring, tenant, space, key, &value)
                .map_err(|error| Error::Unwritable { reason: error.to_string() }),
            false => Ok(value),
        };
        Ok(match op {
            Op::Insert { space, key, value } => Op::Insert { value: seal(&space, &key, value)?, space, key },
            Op::Put { space, key, value } => Op::Put { value: seal(&space, &key, value)?, space, key },
            Op::CompareAndSet { space, key, version, value } => {
                Op::CompareAndSet { value: seal(&space, &key, value)?, space, key, version }
            }
            other @ (Op::Delete { .. } | Op::Expect { .. } | Op::HoldRange { .. } | Op::FreeRange { .. }) => other,
        })
    }

    fn opened(&self, tenant: &TenantId, record: Record) -> Result<Record, Error> {
        if !SPACES.contains(&record.space.as_str()) {
            return Ok(record);
        }
        let value = opened(&self.ring, tenant, &record.space, &record.key, record.value)
            .map_err(|error| Error::Unreadable { reason: error.to_string() })?;
        Ok(Record { value, ..record })
    }
}

#[async_trait]
impl Records for Sealing {
    async fn commit(&self, tenant: &TenantId, ops: Vec<Op>, at: Time) -> Result<(), Error> {
        let ops = ops.into_iter().map(|op| self.sealed(tenant, op)).collect::<Result<_, _>>()?;
        match self.records.commit(tenant, ops, at).await {
            Err(Error::Conflict { index, found: Some(found) }) => {
                Err(Error::Conflict { index, found: Some(self.opened(tenant, found)?) })
            }
            done => done,
        }
    }

    async fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Result<Option<Record>, Error> {
        let found = self.records.get(tenant, space, key).await?;
        found.map(|record| self.opened(tenant, record)).transpose()
    }

    async fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, Error> {
        let page = self.records.list(tenant, space, prefix, after, limit).await?;
        page.into_iter().map(|record| self.opened(tenant, record)).collect()
    }

    async fn ranges(
        &self,
        tenant: &TenantId,
        space: &str,
        resource: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, i64, String)>, Error> {
        self.records.ranges(tenant, space, resource, from, to).await
    }
}

/// What a row is bound to; no secret of a tenant's is called so.
fn name(space: &str, key: &str) -> String {
    format!("{space}/{key}")
}

pub(super) fn sealed(ring: &Ring, tenant: &TenantId, space: &str, key: &str, value: &Value) -> anyhow::Result<Value> {
    Ok(json!(ring.seal(tenant, &name(space, key), &value.to_string())?))
}

/// A value as it was before it was sealed; one that never was is as it is.
pub(super) fn opened(ring: &Ring, tenant: &TenantId, space: &str, key: &str, value: Value) -> anyhow::Result<Value> {
    match key_of(&value) {
        Some(row) => Ok(serde_json::from_str(&ring.open(tenant, &name(space, key), &row)?)?),
        None => Ok(value),
    }
}

/// The row, where the value is sealed.
pub(super) fn key_of(value: &Value) -> Option<Sealed> {
    value.get("sealed").and_then(|_| serde_json::from_value(value.clone()).ok())
}
