//! Desks from outside: told something, and looked at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::desk::{Command, Desk, Entry};
use baton_core::id::{PersonId, TenantId};
use baton_core::run::Decider;
use baton_ports::journal::{Create, Kind};
use baton_ports::read::Read;

use super::desk_of;
use super::told::{self, Told};
use crate::newest::{Behind, Page};
use crate::notices::Watch;
use crate::{Engine, Error};

/// Desks kept in memory between two looks.
const KEPT_MAX: usize = 64;
/// The role of everybody of a desk.
pub const HUMAN_AGENT: &str = "human_agent";
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

/// A desk that is followed, entry by entry.
pub struct DeskFollower {
    read: Arc<dyn Read>,
    tenant: TenantId,
    watch: Watch,
    seq: u64,
}

impl DeskFollower {
    /// What was recorded since, with its numbers: at most one page of it.
    pub async fn more(&mut self) -> Result<Vec<(u64, Entry)>, Error> {
        let mut entries = Vec::new();
        for entry in self.read.entries(&self.tenant, &desk_of(&self.tenant), self.seq, PAGE).await? {
            self.seq += 1;
            entries.push((self.seq, serde_json::from_slice(&entry)?));
        }
        Ok(entries)
    }

    /// Until it has moved, or this long.
    pub async fn glance(&mut self, limit: Duration) -> Result<(), Error> {
        told::glance(&mut self.watch, limit).await
    }
}

impl Desks {
    /// A tenant's desk as it is now.
    pub async fn look(&self, read: &dyn Read, tenant: &TenantId) -> Result<Arc<Desk>, Error> {
        Ok(self.newest(read, tenant).await?.desk)
    }

    /// Follows a tenant's desk from behind this entry on; from now on where none is named.
    pub async fn follow(
        &self,
        engine: &Engine,
        read: &Arc<dyn Read>,
        tenant: &TenantId,
        after: Option<u64>,
    ) -> Result<DeskFollower, Error> {
        let (mut watch, id) = (engine.watch_some(), desk_of(tenant));
        watch.add(&id);
        let newest = self.newest(&**read, tenant).await?.seq;
        let seq = after.map_or(newest, |after| after.min(newest));
        Ok(DeskFollower { read: read.clone(), tenant: tenant.clone(), watch, seq })
    }

    /// Somebody who decides, with the roles and skills that the tenant's desk knows of them; a name alone where it does not
    /// know them. Whoever is of the desk has the role [`HUMAN_AGENT`].
    pub async fn decider(&self, read: &dyn Read, tenant: &TenantId, name: &str) -> Result<Decider, Error> {
        let mut decider = Decider::from(name);
        let Ok(person) = PersonId::parse(name) else { return Ok(decider) };
        if let Some(known) = self.look(read, tenant).await?.person(&person) {
            decider.skills = known.profile.skills.clone();
            decider.roles = known.profile.roles.iter().cloned().chain([HUMAN_AGENT.to_owned()]).collect();
        }
        Ok(decider)
    }

    async fn newest(&self, read: &dyn Read, tenant: &TenantId) -> Result<Kept, Error> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned();
        let (mut kept, id) = (kept.unwrap_or_default(), desk_of(tenant));
        let mut behind = Behind::new(read, tenant, &id, kept.seq);
        while let Some(page) = behind.next().await? {
            match page {
                Page::Snapshot(state) => kept.desk = Arc::new(serde_json::from_slice(&state)?),
                Page::Entries(entries) => fold(Arc::make_mut(&mut kept.desk), &entries)?,
            }
        }
        kept.seq = behind.seq();
        self.keep(tenant, &kept);
        Ok(kept)
    }

    /// What somebody did is a sign of life, where they are of the desk; written down where that is due, and nobody waits
    /// for it.
    pub async fn hear(
        &self,
        engine: &Engine,
        read: &dyn Read,
        tenant: &TenantId,
        person: PersonId,
    ) -> Result<(), Error> {
        let desk = self.look(read, tenant).await?;
        let Some(known) = desk.person(&person).filter(|_| desk.should_hear(&person, engine.clock().now())) else {
            return Ok(());
        };
        // Whoever does much at once is heard of once.
        let command_id = format!("heard/{person}/{}", known.heard_at.as_ms());
        let payload = serde_json::to_vec(&Command::Heard { person })?.into();
        engine.send(tenant, &desk_of(tenant), &command_id, payload, None).await.map(drop)
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

fn fold(desk: &mut Desk, entries: &[Arc<[u8]>]) -> Result<(), Error> {
    for entry in entries {
        let Entry { at, events } = serde_json::from_slice(entry)?;
        events.iter().for_each(|event| desk.apply(at, event));
    }
    Ok(())
}
