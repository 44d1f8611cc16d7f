//! Records of internal tools in memory: a batch works on a copy, which takes the place of what was there.

use std::collections::BTreeMap;

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{Error, OPS_MAX, Op, RECORD_BYTES_MAX, Record};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub struct Cabinet {
    drawers: BTreeMap<TenantId, Drawer>,
}

/// What one tenant has.
#[derive(Clone, Debug, Default)]
struct Drawer {
    records: BTreeMap<(String, String), Record>,
    holdings: Vec<Holding>,
}

#[derive(Clone, Debug)]
struct Holding {
    space: String,
    resource: String,
    from: i64,
    to: i64,
    key: String,
}

impl Cabinet {
    pub fn commit(&mut self, tenant: &TenantId, ops: Vec<Op>, at: Time) -> Result<(), Error> {
        if ops.len() > OPS_MAX {
            return Err(Error::TooLarge { what: "operations of one batch", size: ops.len(), limit: OPS_MAX });
        }
        let mut changed = self.drawers.get(tenant).cloned().unwrap_or_default();
        for (index, op) in ops.into_iter().enumerate() {
            changed.perform(index, op, at)?;
        }
        self.drawers.insert(tenant.clone(), changed);
        Ok(())
    }

    /// Whoever has a record there, in order.
    pub fn tenants(&self, space: &str) -> Vec<TenantId> {
        let has = |drawer: &Drawer| drawer.records.keys().any(|(of, _)| of == space);
        self.drawers.iter().filter(|(_, drawer)| has(drawer)).map(|(tenant, _)| tenant.clone()).collect()
    }

    pub fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Option<Record> {
        self.drawers.get(tenant)?.records.get(&(space.to_owned(), key.to_owned())).cloned()
    }

    pub fn list(&self, tenant: &TenantId, space: &str, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Record> {
        let Some(drawer) = self.drawers.get(tenant) else { return Vec::new() };
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
        let Some(drawer) = self.drawers.get(tenant) else { return Vec::new() };
        let here = drawer.holdings.iter().filter(|held| held.space == space && held.resource == resource);
        let mut found: Vec<_> = here
            .filter(|held| held.from < to && from < held.to)
            .map(|held| (held.from, held.to, held.key.clone()))
            .collect();
        found.sort();
        found
    }
}

impl Drawer {
    fn perform(&mut self, index: usize, op: Op, at: Time) -> Result<(), Error> {
        match op {
            Op::Insert { space, key, value } => match self.records.get(&(space.clone(), key.clone())) {
                Some(found) => Err(Error::Conflict { index, found: Some(found.clone()) }),
                None => self.put(space, key, value, at),
            },
            Op::CompareAndSet { space, key, version, value } => match self.records.get(&(space.clone(), key.clone())) {
                Some(found) if found.version == version => self.put(space, key, value, at),
                found => Err(Error::Conflict { index, found: found.cloned() }),
            },
            Op::Put { space, key, value } => self.put(space, key, value, at),
            Op::Delete { space, key } => {
                self.records.remove(&(space, key));
                Ok(())
            }
            Op::Expect { space, key, version } => match self.records.get(&(space, key)) {
                found if found.map(|found| found.version) == version => Ok(()),
                found => Err(Error::Conflict { index, found: found.cloned() }),
            },
            Op::HoldRange { space, resource, from, to, key } => {
                self.hold(index, Holding { space, resource, from, to, key }, at)
            }
            Op::FreeRange { space, key } => {
                self.holdings.retain(|held| held.space != space || held.key != key);
                Ok(())
            }
        }
    }

    fn put(&mut self, space: String, key: String, value: Value, at: Time) -> Result<(), Error> {
        let size = value.to_string().len();
        if size > RECORD_BYTES_MAX {
            return Err(Error::TooLarge { what: "a record", size, limit: RECORD_BYTES_MAX });
        }
        let place = (space.clone(), key.clone());
        let version = self.records.get(&place).map_or(1, |found| found.version + 1);
        self.records.insert(place, Record { space, key, value, version, at });
        Ok(())
    }

    fn hold(&mut self, index: usize, wanted: Holding, at: Time) -> Result<(), Error> {
        if wanted.from >= wanted.to {
            return Err(Error::EmptyRange { index });
        }
        let in_the_way = self.holdings.iter().find(|held| {
            let same_place = held.space == wanted.space && held.resource == wanted.resource;
            same_place && held.key != wanted.key && held.from < wanted.to && wanted.from < held.to
        });
        match in_the_way {
            Some(held) => {
                let value = json!({ "resource": held.resource, "from": held.from, "to": held.to });
                let found = Record { space: held.space.clone(), key: held.key.clone(), value, version: 1, at };
                Err(Error::Conflict { index, found: Some(found) })
            }
            None => {
                self.holdings.push(wanted);
                Ok(())
            }
        }
    }
}
