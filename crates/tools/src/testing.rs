//! A small fixture for this crate's tests: records in memory, a settable clock, and a registry over both.

pub(crate) mod service;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_core::tool::{Caller, EffectClass, ToolInvocation, ToolOutcome};
use baton_ports::clock::Clock;
use baton_ports::records::{RecordError, RecordOp, RecordStore, StoredRecord};
use baton_ports::tools::{CallReport, CheckResult, ToolGateway};
use serde_json::Value;

use crate::{CodeExecution, ToolDefinition, ToolRegistry, ToolServices, ToolsConfig};

/// Wednesday 15 January 2025, 10:00 in Madrid.
pub(crate) const NOW: &str = "2025-01-15T09:00:00Z";
const LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct ToolsFixture {
    pub(crate) registry: Arc<ToolRegistry>,
    pub(crate) records: Arc<InMemoryRecords>,
    pub(crate) clock: Arc<ManualClock>,
}

impl ToolsFixture {
    pub(crate) fn new() -> Self {
        Self::with(serde_json::json!({"zone": "Europe/Madrid"}))
    }

    pub(crate) fn with(config: Value) -> Self {
        Self::with_definitions(config, serde_json::json!([]))
    }

    pub(crate) fn with_definitions(config: Value, definitions: Value) -> Self {
        Self::over(config, definitions, |services| services)
    }

    /// With memory tools.
    pub(crate) fn with_memory(memory: Arc<dyn baton_ports::memory::MemoryStore>) -> Self {
        Self::over(serde_json::json!({}), serde_json::json!([]), |services| services.with_memory(memory))
    }

    /// With memory tools, and an embedder for external indexes.
    pub(crate) fn with_knowledge(
        config: Value,
        memory: Arc<dyn baton_ports::memory::MemoryStore>,
        embedder: Arc<dyn baton_ports::embed::Embedder>,
    ) -> Self {
        let and = |services: ToolServices| services.with_memory(memory).with_embedder(embedder);
        Self::over(config, serde_json::json!([]), and)
    }

    fn over(config: Value, definitions: Value, and: impl FnOnce(ToolServices) -> ToolServices) -> Self {
        let config: ToolsConfig = serde_json::from_value(config).unwrap();
        let (records, clock) = (Arc::new(InMemoryRecords::default()), Arc::new(ManualClock::at(NOW)));
        let definitions = ToolDefinition::parse(definitions).unwrap().tools;
        let services = and(ToolServices::new(records.clone(), clock.clone()));
        let registry = ToolRegistry::with_defined(config, definitions, &services).unwrap();
        Self { registry: Arc::new(registry), records, clock }
    }

    /// With `execute_code`.
    pub(crate) fn with_execution(execution: CodeExecution) -> Self {
        Self::over(serde_json::json!({}), serde_json::json!([]), |services| services.with_execution(execution))
    }

    pub(crate) fn services(&self) -> ToolServices {
        ToolServices::new(self.records.clone(), self.clock.clone())
    }

    /// A call as the run would send it, under a key of its own.
    pub(crate) fn call(&self, key: &str, tool: &str, arguments: Value) -> ToolInvocation {
        let class = self.registry.facts(tool).map_or(EffectClass::Once, |facts| facts.for_arguments(&arguments).class);
        ToolInvocation {
            tenant: TenantId::from("clinic"),
            run: RunId::from("run-1"),
            workflow: "booking".to_owned(),
            key: key.to_owned(),
            tool: tool.to_owned(),
            arguments: arguments.into(),
            class,
            agent: None,
            attempt: 1,
            provider: None,
            at: self.clock.now(),
            replies: Vec::new(),
            caller: Caller { language: Some("es".to_owned()), ..Caller::default() },
        }
    }

    pub(crate) async fn send(&self, call: &ToolInvocation) -> CallReport {
        self.send_within(call, LIMIT).await
    }

    pub(crate) async fn send_within(&self, call: &ToolInvocation, limit: Duration) -> CallReport {
        match self.registry.check(call, None).await {
            CheckResult::Permitted(permit) => permit.perform(limit).await,
            CheckResult::Answered(performed) => *performed,
            CheckResult::NeedsApproval(_) => panic!("needs approval"),
            CheckResult::RateLimited { .. } | CheckResult::CircuitOpen { .. } => panic!("held back"),
        }
    }

    /// The output of a call that is expected to succeed.
    pub(crate) async fn done(&self, key: &str, tool: &str, arguments: Value) -> Value {
        done(self.send(&self.call(key, tool, arguments)).await.outcome)
    }

    /// The code and message of a call that is expected not to be performed.
    pub(crate) async fn refused(&self, key: &str, tool: &str, arguments: Value) -> (String, String) {
        not_done(self.send(&self.call(key, tool, arguments)).await.outcome)
    }
}

/// A registry with these tools in addition to the shipped ones.
pub(crate) fn registry(definitions: Vec<ToolDefinition>) -> ToolRegistry {
    let services = ToolServices::new(Arc::new(InMemoryRecords::default()), Arc::new(ManualClock::at(NOW)));
    ToolRegistry::with_defined(ToolsConfig::default(), definitions, &services).unwrap()
}

#[track_caller]
pub(crate) fn done(outcome: ToolOutcome) -> Value {
    match outcome {
        ToolOutcome::Done { output, .. } => Arc::unwrap_or_clone(output),
        other => panic!("expected it done: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn not_done(outcome: ToolOutcome) -> (String, String) {
    match outcome {
        ToolOutcome::NotDone { fault, .. } => (fault.code.into_owned(), fault.message),
        other => panic!("expected it not done: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn unknown(outcome: ToolOutcome) -> (String, String) {
    match outcome {
        ToolOutcome::Unknown { fault } => (fault.code.into_owned(), fault.message),
        other => panic!("expected it unknown: {other:?}"),
    }
}

pub(crate) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(crate) fn at(instant: &str) -> Self {
        Self(AtomicI64::new(ms(instant)))
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) fn set(&self, instant: &str) {
        self.0.store(ms(instant), Ordering::Relaxed);
    }
}

fn ms(instant: &str) -> i64 {
    instant.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time::from_ms(self.0.load(Ordering::Relaxed))
    }
}

/// Records in memory, with the behaviour of a real store.
#[derive(Default)]
pub(crate) struct InMemoryRecords {
    state: Mutex<InMemoryState>,
    /// Commits are applied but reported as failed, as may happen when a disk is full.
    pub(crate) drops_responses: AtomicBool,
    pub(crate) unreadable: AtomicBool,
}

type RecordKey = (TenantId, String, String);

#[derive(Clone, Default)]
struct InMemoryState {
    records: BTreeMap<RecordKey, StoredRecord>,
    ranges: Vec<(RecordKey, i64, i64, String)>,
}

impl InMemoryRecords {
    /// The values of a tenant's space, in key order.
    pub(crate) fn space(&self, space: &str) -> Vec<Value> {
        let kept = self.state.lock().unwrap();
        kept.records.values().filter(|record| record.space == space).map(|record| record.value.clone()).collect()
    }

    pub(crate) fn held_ranges(&self) -> usize {
        self.state.lock().unwrap().ranges.len()
    }
}

impl InMemoryState {
    fn apply(&mut self, tenant: &TenantId, op: RecordOp, at: Time) -> Result<(), Option<StoredRecord>> {
        match op {
            RecordOp::Insert { space, key, value } => match self.find(tenant, &space, &key) {
                Some(found) => return Err(Some(found.clone())),
                None => self.put(tenant, space, key, value, at),
            },
            RecordOp::CompareAndSet { space, key, version, value } => match self.find(tenant, &space, &key) {
                Some(found) if found.version == version => self.put(tenant, space, key, value, at),
                found => return Err(found.cloned()),
            },
            RecordOp::Put { space, key, value } => self.put(tenant, space, key, value, at),
            RecordOp::Delete { space, key } => drop(self.records.remove(&(tenant.clone(), space, key))),
            RecordOp::Expect { space, key, version } => match self.find(tenant, &space, &key) {
                found if found.map(|found| found.version) == version => {}
                found => return Err(found.cloned()),
            },
            RecordOp::HoldRange { space, resource, from, to, key } => {
                let place = (tenant.clone(), space, resource);
                if self.ranges.iter().any(|(other, a, b, who)| *other == place && from < *b && *a < to && *who != key) {
                    return Err(None);
                }
                self.ranges.push((place, from, to, key));
            }
            RecordOp::FreeRange { space, key } => {
                self.ranges.retain(|((of, in_space, _), _, _, who)| of != tenant || *in_space != space || *who != key);
            }
        }
        Ok(())
    }

    fn find(&self, tenant: &TenantId, space: &str, key: &str) -> Option<&StoredRecord> {
        self.records.get(&(tenant.clone(), space.to_owned(), key.to_owned()))
    }

    fn put(&mut self, tenant: &TenantId, space: String, key: String, value: Value, at: Time) {
        let version = self.find(tenant, &space, &key).map_or(0, |record| record.version) + 1;
        let record = StoredRecord { space: space.clone(), key: key.clone(), value, version, at };
        self.records.insert((tenant.clone(), space, key), record);
    }
}

#[async_trait]
impl RecordStore for InMemoryRecords {
    async fn commit(&self, tenant: &TenantId, ops: Vec<RecordOp>, at: Time) -> Result<(), RecordError> {
        // Yields, so that concurrent tasks can run first, as with a real store.
        tokio::task::yield_now().await;
        let mut kept = self.state.lock().unwrap();
        let mut next = kept.clone();
        for (index, op) in ops.into_iter().enumerate() {
            next.apply(tenant, op, at).map_err(|found| RecordError::Conflict { index, found })?;
        }
        *kept = next;
        if self.drops_responses.load(Ordering::Relaxed) {
            return Err(RecordError::Unwritable { reason: "the disk went away".to_owned() });
        }
        Ok(())
    }

    async fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Result<Option<StoredRecord>, RecordError> {
        tokio::task::yield_now().await;
        if self.unreadable.load(Ordering::Relaxed) {
            return Err(RecordError::Unreadable { reason: "the disk went away".to_owned() });
        }
        Ok(self.state.lock().unwrap().find(tenant, space, key).cloned())
    }

    async fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, RecordError> {
        let kept = self.state.lock().unwrap();
        let all = kept.records.iter().filter(|((of, _, key), record)| {
            of == tenant
                && record.space == space
                && key.starts_with(prefix)
                && after.is_none_or(|after| key.as_str() > after)
        });
        Ok(all.map(|(_, record)| record.clone()).take(limit).collect())
    }

    async fn ranges(
        &self,
        tenant: &TenantId,
        space: &str,
        resource: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, i64, String)>, RecordError> {
        if self.unreadable.load(Ordering::Relaxed) {
            return Err(RecordError::Unreadable { reason: "the disk went away".to_owned() });
        }
        let place = (tenant.clone(), space.to_owned(), resource.to_owned());
        let kept = self.state.lock().unwrap();
        let overlapping = kept.ranges.iter().filter(|(held, a, b, _)| *held == place && from < *b && *a < to);
        Ok(overlapping.map(|(_, a, b, key)| (*a, *b, key.clone())).collect())
    }
}
