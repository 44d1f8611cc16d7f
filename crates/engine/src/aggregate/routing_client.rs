//! Access to routing queues: submits commands and reads state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::id::{PersonId, TenantId};
use baton_core::routing::{RoutingCommand, RoutingEntry, RoutingQueue};
use baton_core::run::DecisionMaker;
use baton_ports::journal::{AggregateKind, NewAggregate};
use baton_ports::read::ReadModel;

use super::conversation_handle::{self, SubmitResult};
use super::routing_queue_id;
use crate::event_bus::RunSubscription;
use crate::snapshot_reader::{JournalPage, SnapshotReader};
use crate::{Engine, EngineError};

/// Routing queues cached between reads.
const CACHED_MAX: usize = 64;
/// The role of every human agent of a routing queue.
pub const HUMAN_AGENT: &str = "human_agent";
/// Entries per read.
const PAGE: usize = 500;

/// Routing queues that were read recently, as far as they were read. The next read fetches only newer entries.
#[derive(Default)]
pub struct RoutingQueues(Mutex<BTreeMap<TenantId, CachedQueue>>);

#[derive(Clone, Default)]
struct CachedQueue {
    queue: Arc<RoutingQueue>,
    seq: u64,
}

/// Follows a routing queue entry by entry.
pub struct RoutingQueueFollower {
    read: Arc<dyn ReadModel>,
    tenant: TenantId,
    watch: RunSubscription,
    seq: u64,
}

impl RoutingQueueFollower {
    /// Returns the entries recorded since the last call, with their sequence numbers: at most one page.
    pub async fn next_entries(&mut self) -> Result<Vec<(u64, RoutingEntry)>, EngineError> {
        let mut entries = Vec::new();
        for entry in self.read.entries(&self.tenant, &routing_queue_id(&self.tenant), self.seq, PAGE).await? {
            self.seq += 1;
            entries.push((self.seq, serde_json::from_slice(&entry)?));
        }
        Ok(entries)
    }

    /// Waits until the queue has changed, or until `limit` has passed.
    pub async fn wait_for_change(&mut self, limit: Duration) -> Result<(), EngineError> {
        conversation_handle::wait_for_notification(&mut self.watch, limit).await
    }
}

impl RoutingQueues {
    /// The current state of a tenant's routing queue.
    pub async fn current(&self, read: &dyn ReadModel, tenant: &TenantId) -> Result<Arc<RoutingQueue>, EngineError> {
        Ok(self.newest(read, tenant).await?.queue)
    }

    /// Follows a tenant's routing queue after the given entry, or from now on if none is given.
    pub async fn follow(
        &self,
        engine: &Engine,
        read: &Arc<dyn ReadModel>,
        tenant: &TenantId,
        after: Option<u64>,
    ) -> Result<RoutingQueueFollower, EngineError> {
        let (mut watch, id) = (engine.subscribe_runs(), routing_queue_id(tenant));
        watch.add(&id);
        let newest = self.newest(&**read, tenant).await?.seq;
        let seq = after.map_or(newest, |after| after.min(newest));
        Ok(RoutingQueueFollower { read: read.clone(), tenant: tenant.clone(), watch, seq })
    }

    /// A person who decides, with the roles and skills that the tenant's routing queue has for them, or the name alone
    /// if the queue does not know them. Every human agent of the queue has the role [`HUMAN_AGENT`].
    pub async fn decider(
        &self,
        read: &dyn ReadModel,
        tenant: &TenantId,
        name: &str,
    ) -> Result<DecisionMaker, EngineError> {
        let mut decider = DecisionMaker::from(name);
        let Ok(person) = PersonId::parse(name) else { return Ok(decider) };
        if let Some(known) = self.current(read, tenant).await?.person(&person) {
            decider.skills = known.profile.skills.clone();
            decider.roles = known.profile.roles.iter().cloned().chain([HUMAN_AGENT.to_owned()]).collect();
        }
        Ok(decider)
    }

    async fn newest(&self, read: &dyn ReadModel, tenant: &TenantId) -> Result<CachedQueue, EngineError> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned();
        let (mut kept, id) = (kept.unwrap_or_default(), routing_queue_id(tenant));
        let mut behind = SnapshotReader::new(read, tenant, &id, kept.seq);
        while let Some(page) = behind.next_page().await? {
            match page {
                JournalPage::Snapshot(state) => kept.queue = Arc::new(serde_json::from_slice(&state)?),
                JournalPage::Entries(entries) => fold(Arc::make_mut(&mut kept.queue), &entries)?,
            }
        }
        kept.seq = behind.seq();
        self.cache(tenant, &kept);
        Ok(kept)
    }

    /// Records activity of a human agent as a heartbeat. It is written only when due, and the caller does not wait for
    /// it.
    pub async fn record_activity(
        &self,
        engine: &Engine,
        read: &dyn ReadModel,
        tenant: &TenantId,
        person: PersonId,
    ) -> Result<(), EngineError> {
        let desk = self.current(read, tenant).await?;
        let Some(known) = desk.person(&person).filter(|_| desk.needs_heartbeat(&person, engine.clock().now())) else {
            return Ok(());
        };
        // Concurrent activities have the same command id, so they count as one heartbeat.
        let command_id = format!("heard/{person}/{}", known.heard_at.as_ms());
        let payload = serde_json::to_vec(&RoutingCommand::Heard { person })?.into();
        engine.submit_payload(tenant, &routing_queue_id(tenant), &command_id, payload, None).await.map(drop)
    }

    fn cache(&self, tenant: &TenantId, kept: &CachedQueue) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(tenant).is_some_and(|known| known.seq >= kept.seq) {
            return;
        }
        if all.len() >= CACHED_MAX && !all.contains_key(tenant) {
            all.pop_first();
        }
        all.insert(tenant.clone(), kept.clone());
    }

    /// Submits a command to a tenant's routing queue once under this id, and waits until it is accepted or refused.
    pub async fn submit(
        &self,
        engine: &Engine,
        tenant: &TenantId,
        command_id: &str,
        command: &RoutingCommand,
        limit: Duration,
    ) -> Result<SubmitResult, EngineError> {
        let creates = NewAggregate { kind: AggregateKind::Desk, workflow: String::new(), parent: None, owner: None };
        let payload = serde_json::to_vec(command)?.into();
        let (mut watch, id) = (engine.subscribe_runs(), routing_queue_id(tenant));
        watch.add(&id);
        conversation_handle::submit_and_wait(
            engine,
            &mut watch,
            (tenant, &id),
            (command_id, payload),
            Some(creates),
            limit,
        )
        .await
    }
}

fn fold(desk: &mut RoutingQueue, entries: &[Arc<[u8]>]) -> Result<(), EngineError> {
    for entry in entries {
        let RoutingEntry { at, events } = serde_json::from_slice(entry)?;
        events.iter().for_each(|event| desk.apply(at, event));
    }
    Ok(())
}
