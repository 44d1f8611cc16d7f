//! Desks from outside: told something, and looked at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::desk::{Command, Desk, Entry};
use baton_core::id::TenantId;
use baton_ports::journal::{Create, Kind};
use baton_ports::read::Read;

use super::desk_of;
use super::told::{self, Told};
use crate::{Engine, Error};

/// Desks kept in memory between two looks.
const KEPT_MAX: usize = 64;
/// Entries read at once.
const PAGE: usize = 500;

/// The desks that were looked at lately, as far as they were read: the next look reads only what came since.
#[derive(Default)]
pub struct Desks(Mutex<BTreeMap<TenantId, Kept>>);

#[derive(Clone, Default)]
struct Kept {
    desk: Arc<Desk>,
    seq: u64,
}

impl Desks {
    /// A tenant's desk as it is now.
    pub async fn look(&self, read: &dyn Read, tenant: &TenantId) -> Result<Arc<Desk>, Error> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned();
        let mut kept = kept.unwrap_or_default();
        loop {
            let entries = read.entries(tenant, &desk_of(tenant), kept.seq, PAGE).await?;
            if entries.is_empty() {
                break;
            }
            let desk = Arc::make_mut(&mut kept.desk);
            for entry in entries {
                let Entry { at, events } = serde_json::from_slice(&entry)?;
                events.iter().for_each(|event| desk.apply(at, event));
                kept.seq += 1;
            }
        }
        self.keep(tenant, &kept);
        Ok(kept.desk)
    }

    fn keep(&self, tenant: &TenantId, kept: &Kept) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(tenant).is_some_and(|known| known.seq >= kept.seq) {
            return;
        }
        if all.len() >= KEPT_MAX && !all.contains_key(tenant) {
            all.pop_first();
        }
        all.insert(tenant.clone(), kept.clone());
    }

    /// Tells a tenant's desk something, once under this id, and waits until it was taken or refused.
    pub async fn tell(
        &self,
        engine: &Engine,
        tenant: &TenantId,
        command_id: &str,
        command: &Command,
        limit: Duration,
    ) -> Result<Told, Error> {
        let creates = Create { kind: Kind::Desk, workflow: String::new(), parent: None, owner: None };
        let payload = serde_json::to_vec(command)?.into();
        let (mut watch, id) = (engine.watch_some(), desk_of(tenant));
        watch.add(&id);
        told::tell(engine, &mut watch, (tenant, &id), (command_id, payload), Some(creates), limit).await
    }
}
