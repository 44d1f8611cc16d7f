//! Records of internal tools in memory: a batch works on a copy, which then replaces the original.

use std::collections::BTreeMap;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{OPS_MAX, RECORD_BYTES_MAX, RecordError, RecordOp, StoredRecord};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub struct FakeRecords {
    tenants: BTreeMap<TenantId, FakeTenantRecords>,
}

/// The records of one tenant.
#[derive(Clone, Debug, Default)]
struct FakeTenantRecords {
    records: BTreeMap<(String, String), StoredRecord>,
    ranges: Vec<FakeRange>,
}

#[derive(Clone, Debug)]
struct FakeRange {
    space: String,
    resource: String,
    from: i64,
    to: i64,
    key: String,
}

impl FakeRecords {
    pub fn commit(&mut self, tenant: &TenantId, ops: Vec<RecordOp>, at: Time) -> Result<(), RecordError> {
        if ops.len() > OPS_MAX {
            return Err(RecordError::TooLarge { what: "operations of one batch", size: ops.len(), limit: OPS_MAX });
        }
        let mut changed = self.tenants.get(tenant).cloned().unwrap_or_default();
        for (index, op) in ops.into_iter().enumerate() {
            changed.apply_op(index, op, at)?;
        }
        self.tenants.insert(tenant.clone(), changed);
        Ok(())
    }

    /// The tenants with a record in this space, in order.
    pub fn tenants(&self, space: &str) -> Vec<TenantId> {
        let has = |drawer: &FakeTenantRecords| drawer.records.keys().any(|(of, _)| of == space);
        self.tenants.iter().filter(|(_, drawer)| has(drawer)).map(|(tenant, _)| tenant.clone()).collect()
    }

    pub fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Option<StoredRecord> {
        self.tenants.get(tenant)?.records.get(&(space.to_owned(), key.to_owned())).cloned()
    }

    pub fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<StoredRecord> {
        let Some(drawer) = self.tenants.get(tenant) else { return Vec::new() };
        let of_space = drawer.records.values().filter(|record| record.space == space && record.key.starts_with(prefix));
        of_space.filter(|record| after.is_none_or(|after| *record.key > *after)).take(limit).cloned().collect()
    }

    pub fn ranges(
        &self,
        tenant: &TenantId,
        space: &str,
        resource: &str,
        from: i64,
        to: i64,
    ) -> Vec<(i64, i64, String)> {
        let Some(drawer) = self.tenants.get(tenant) else { return Vec::new() };
        let here = drawer.ranges.iter().filter(|held| held.space == space && held.resource == resource);
        let mut found: Vec<_> = here
            .filter(|held| held.from < to && from < held.to)
            .map(|held| (held.from, held.to, held.key.clone()))
            .collect();
        found.sort();
        found
    }
}

impl FakeTenantRecords {
    fn apply_op(&mut self, index: usize, op: RecordOp, at: Time) -> Result<(), RecordError> {
        match op {
            RecordOp::Insert { space, key, value } => match self.records.get(&(space.clone(), key.clone())) {
                Some(found) => Err(RecordError::Conflict { index, found: Some(found.clone()) }),
                None => self.put(space, key, value, at),
            },
            RecordOp::CompareAndSet { space, key, version, value } => {
                match self.records.get(&(space.clone(), key.clone())) {
                    Some(found) if found.version == version => self.put(space, key, value, at),
                    found => Err(RecordError::Conflict { index, found: found.cloned() }),
                }
            }
            RecordOp::Put { space, key, value } => self.put(space, key, value, at),
            RecordOp::Delete { space, key } => {
                self.records.remove(&(space, key));
                Ok(())
            }
            RecordOp::Expect { space, key, version } => match self.records.get(&(space, key)) {
                found if found.map(|found| found.version) == version => Ok(()),
                found => Err(RecordError::Conflict { index, found: found.cloned() }),
            },
            RecordOp::HoldRange { space, resource, from, to, key } => {
                self.reserve_range(index, FakeRange { space, resource, from, to, key }, at)
            }
            RecordOp::FreeRange { space, key } => {
                self.ranges.retain(|held| held.space != space || held.key != key);
                Ok(())
            }
        }
    }

    fn put(&mut self, space: String, key: String, value: Value, at: Time) -> Result<(), RecordError> {
        let size = value.to_string().len();
        if size > RECORD_BYTES_MAX {
            return Err(RecordError::TooLarge { what: "a record", size, limit: RECORD_BYTES_MAX });
        }
        let place = (space.clone(), key.clone());
        let version = self.records.get(&place).map_or(1, |found| found.version + 1);
        self.records.insert(place, StoredRecord { space, key, value, version, at });
        Ok(())
    }

    fn reserve_range(&mut self, index: usize, wanted: FakeRange, at: Time) -> Result<(), RecordError> {
        if wanted.from >= wanted.to {
            return Err(RecordError::EmptyRange { index });
        }
        let in_the_way = self.ranges.iter().find(|held| {
            let same_place = held.space == wanted.space && held.resource == wanted.resource;
            same_place && held.key != wanted.key && held.from < wanted.to && wanted.from < held.to
        });
        match in_the_way {
            Some(held) => {
                let value = json!({ "resource": held.resource, "from": held.from, "to": held.to });
                let found = StoredRecord { space: held.space.clone(), key: held.key.clone(), value, version: 1, at };
                Err(RecordError::Conflict { index, found: Some(found) })
            }
            None => {
                self.ranges.push(wanted);
                Ok(())
            }
        }
    }
}
