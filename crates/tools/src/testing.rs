//! A small world for this room's tests: records in memory, a clock that is set, a registry over both.

pub(crate) mod service;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_core::tool::{Call, Caller, Class, Outcome};
use baton_ports::clock::Clock;
use baton_ports::records::{Error, Op, Record, Records};
use baton_ports::tools::{Checked, Performed, Tools};
use serde_json::Value;

use crate::{Config, Definition, Execution, Registry, Services};

/// Wednesday 15 January 2025, 10:00 in Madrid.
pub(crate) const NOW: &str = "2025-01-15T09:00:00Z";
const LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct World {
    pub(crate) registry: Arc<Registry>,
    pub(crate) records: Arc<Memory>,
    pub(crate) clock: Arc<SetClock>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(serde_json::json!({"zone": "Europe/Madrid"}))
    }

    pub(crate) fn with(config: Value) -> Self {
        Self::defining(config, serde_json::json!([]))
    }

    pub(crate) fn defining(config: Value, definitions: Value) -> Self {
        Self::over(config, definitions, |services| services)
    }

    /// With tools that remember.
    pub(crate) fn remembering(memory: Arc<dyn baton_ports::memory::Memory>) -> Self {
        Self::over(serde_json::json!({}), serde_json::json!([]), |services| services.with_memory(memory))
    }

    /// With tools that remember, and vectors for indexes outside.
    pub(crate) fn knowing(
        config: Value,
        memory: Arc<dyn baton_ports::memory::Memory>,
        embedder: Arc<dyn baton_ports::embed::Embedder>,
    ) -> Self {
        let and = |services: Services| services.with_memory(memory).with_embedder(embedder);
        Self::over(config, serde_json::json!([]), and)
    }

    fn over(config: Value, definitions: Value, and: impl FnOnce(Services) -> Services) -> Self {
        let config: Config = serde_json::from_value(config).unwrap();
        let (records, clock) = (Arc::new(Memory::default()), Arc::new(SetClock::at(NOW)));
        let definitions = Definition::parse(definitions).unwrap().tools;
        let services = and(Services::new(records.clone(), clock.clone()));
        let registry = Registry::with_defined(config, definitions, &services).unwrap();
        Self { registry: Arc::new(registry), records, clock }
    }

    /// With `execute_code`.
    pub(crate) fn executing(execution: Execution) -> Self {
        Self::over(serde_json::json!({}), serde_json::json!([]), |services| services.with_execution(execution))
    }

    pub(crate) fn services(&self) -> Services {
        Services::new(self.records.clone(), self.clock.clone())
    }

    /// A call as the run would send it, under a key of its own.
    pub(crate) fn call(&self, key: &str, tool: &str, arguments: Value) -> Call {
        let class = self.registry.facts(tool).map_or(Class::Once, |facts| facts.of(&arguments).class);
        Call {
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

    pub(crate) async fn send(&self, call: &Call) -> Performed {
        self.send_within(call, LIMIT).await
    }

    pub(crate) async fn send_within(&self, call: &Call, limit: Duration) -> Performed {
        match self.registry.check(call, None).await {
            Checked::Permitted(permit) => permit.perform(limit).await,
            Checked::Answered(performed) => *performed,
            Checked::NeedsApproval(_) => panic!("needs approval"),
            Checked::RateLimited { .. } | Checked::CircuitOpen { .. } => panic!("held back"),
        }
    }

    /// The output of a call that is expected to be done.
    pub(crate) async fn done(&self, key: &str, tool: &str, arguments: Value) -> Value {
        done(self.send(&self.call(key, tool, arguments)).await.outcome)
    }

    /// The code and message of a call that is expected not to be done.
    pub(crate) async fn refused(&self, key: &str, tool: &str, arguments: Value) -> (String, String) {
        not_done(self.send(&self.call(key, tool, arguments)).await.outcome)
    }
}

/// A registry with these tools beside the shipped ones.
pub(crate) fn registry(definitions: Vec<Definition>) -> Registry {
    let services = Services::new(Arc::new(Memory::default()), Arc::new(SetClock::at(NOW)));
    Registry::with_defined(Config::default(), definitions, &services).unwrap()
}

#[track_caller]
pub(crate) fn done(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Done { output, .. } => Arc::unwrap_or_clone(output),
        other => panic!("expected it done: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn not_done(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::NotDone { fault, .. } => (fault.code.into_owned(), fault.message),
        other => panic!("expected it not done: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn unknown(outcome: Outcome) -> (String, String) {
    match outcome {
        Outcome::Unknown { fault } => (fault.code.into_owned(), fault.message),
        other => panic!("expected it unknown: {other:?}"),
    }
}

pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn at(instant: &str) -> Self {
        Self(AtomicI64::new(ms(instant)))
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    pub(crate) fn set(&self, instant: &str) {
        self.0.store(ms(instant), Ordering::Relaxed);
    }
}

fn ms(instant: &str) -> i64 {
    instant.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

impl Clock for SetClock {
    fn now(&self) -> Time {
        Time::from_ms(self.0.load(Ordering::Relaxed))
    }
}

/// Records in memory, with the same answers as a real store's.
#[derive(Default)]
pub(crate) struct Memory {
    kept: Mutex<Kept>,
    /// Commits are done and then reported as failed, as a disk that fills up may do.
    pub(crate) loses_answers: AtomicBool,
    pub(crate) unreadable: AtomicBool,
}

type Key = (TenantId, String, String);

#[derive(Clone, Default)]
struct Kept {
    records: BTreeMap<Key, Record>,
    ranges: Vec<(Key, i64, i64, String)>,
}

impl Memory {
    /// Values of a tenant's space, in key order.
    pub(crate) fn space(&self, space: &str) -> Vec<Value> {
        let kept = self.kept.lock().unwrap();
        kept.records.values().filter(|record| record.space == space).map(|record| record.value.clone()).collect()
    }

    pub(crate) fn held(&self) -> usize {
        self.kept.lock().unwrap().ranges.len()
    }
}

impl Kept {
    fn apply(&mut self, tenant: &TenantId, op: Op, at: Time) -> Result<(), Option<Record>> {
        match op {
            Op::Insert { space, key, value } => match self.find(tenant, &space, &key) {
                Some(found) => return Err(Some(found.clone())),
                None => self.put(tenant, space, key, value, at),
            },
            Op::CompareAndSet { space, key, version, value } => match self.find(tenant, &space, &key) {
                Some(found) if found.version == version => self.put(tenant, space, key, value, at),
                found => return Err(found.cloned()),
            },
            Op::Put { space, key, value } => self.put(tenant, space, key, value, at),
            Op::Delete { space, key } => drop(self.records.remove(&(tenant.clone(), space, key))),
            Op::Expect { space, key, version } => match self.find(tenant, &space, &key) {
                found if found.map(|found| found.version) == version => {}
                found => return Err(found.cloned()),
            },
            Op::HoldRange { space, resource, from, to, key } => {
                let place = (tenant.clone(), space, resource);
                if self.ranges.iter().any(|(other, a, b, who)| *other == place && from < *b && *a < to && *who != key) {
                    return Err(None);
                }
                self.ranges.push((place, from, to, key));
            }
            Op::FreeRange { space, key } => {
                self.ranges.retain(|((of, in_space, _), _, _, who)| of != tenant || *in_space != space || *who != key);
            }
        }
        Ok(())
    }

    fn find(&self, tenant: &TenantId, space: &str, key: &str) -> Option<&Record> {
        self.records.get(&(tenant.clone(), space.to_owned(), key.to_owned()))
    }

    fn put(&mut self, tenant: &TenantId, space: String, key: String, value: Value, at: Time) {
        let version = self.find(tenant, &space, &key).map_or(0, |record| record.version) + 1;
        let record = Record { space: space.clone(), key: key.clone(), value, version, at };
        self.records.insert((tenant.clone(), space, key), record);
    }
}

#[async_trait]
impl Records for Memory {
    async fn commit(&self, tenant: &TenantId, ops: Vec<Op>, at: Time) -> Result<(), Error> {
        // Gives others the chance to come first, as a real store does.
        tokio::task::yield_now().await;
        let mut kept = self.kept.lock().unwrap();
        let mut next = kept.clone();
        for (index, op) in ops.into_iter().enumerate() {
            next.apply(tenant, op, at).map_err(|found| Error::Conflict { index, found })?;
        }
        *kept = next;
        if self.loses_answers.load(Ordering::Relaxed) {
            return Err(Error::Unwritable { reason: "the disk went away".to_owned() });
        }
        Ok(())
    }

    async fn get(&self, tenant: &TenantId, space: &str, key: &str) -> Result<Option<Record>, Error> {
        tokio::task::yield_now().await;
        if self.unreadable.load(Ordering::Relaxed) {
            return Err(Error::Unreadable { reason: "the disk went away".to_owned() });
        }
        Ok(self.kept.lock().unwrap().find(tenant, space, key).cloned())
    }

    async fn list(
        &self,
        tenant: &TenantId,
        space: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, Error> {
        let kept = self.kept.lock().unwrap();
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
    ) -> Result<Vec<(i64, i64, String)>, Error> {
        if self.unreadable.load(Ordering::Relaxed) {
            return Err(Error::Unreadable { reason: "the disk went away".to_owned() });
        }
        let place = (tenant.clone(), space.to_owned(), resource.to_owned());
        let kept = self.kept.lock().unwrap();
        let overlapping = kept.ranges.iter().filter(|(held, a, b, _)| *held == place && from < *b && *a < to);
        Ok(overlapping.map(|(_, a, b, key)| (*a, *b, key.clone())).collect())
    }
}
