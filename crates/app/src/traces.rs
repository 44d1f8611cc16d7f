//! Exports traces of runs to a collector by OTLP over HTTP, if `OTEL_EXPORTER_OTLP_ENDPOINT` or
//! `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set. The other `OTEL_…` variables have their standard meaning.
//!
//! Traces never delay a run. Spans that the collector does not accept in time are dropped and counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use baton_core::id::{RunId, TenantId};
use baton_core::run::RunEntry;
use baton_core::time::Time;
use baton_engine::traces::{AttributeValue, RunTrace, SpanEvent, TraceSpan};
use baton_engine::{Engine, Notification};
use baton_ports::read::ReadModel;
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::UsageError;
use crate::wiring::ProjectSystem;

/// Maximum number of runs followed at once. A run that is dropped and becomes active again is read again from the
/// store.
const RUNS_MAX: usize = 10_000;
/// Maximum number of spans that wait for the collector.
const QUEUED_SPANS_MAX: usize = 8_192;
/// Maximum number of spans in one export.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// Time limit for the export of the last spans at shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of entries in one read.
const PAGE: usize = 500;

/// Follows what this process records, and exports it in the background until it is closed.
pub struct TraceExporter {
    stop: oneshot::Sender<()>,
    follower: JoinHandle<()>,
    exporter: JoinHandle<()>,
}

struct TraceFollower {
    recorded: Receiver<Notification>,
    read: Arc<dyn ReadModel>,
    runs: BTreeMap<RunId, (TenantId, RunTrace)>,
    spans: mpsc::Sender<SpanData>,
    scope: InstrumentationScope,
}

impl TraceExporter {
    /// Creates the exporter that the environment configures. Returns `None` if it names no collector.
    ///
    /// # Errors
    /// The address, the protocol or a header is invalid.
    pub fn from_environment(system: &ProjectSystem, engine: &Engine) -> anyhow::Result<Option<Self>> {
        let is_said = |name: &str| std::env::var(name).is_ok_and(|said| !said.is_empty());
        let off = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|said| said.eq_ignore_ascii_case("true"))
            || std::env::var("OTEL_TRACES_EXPORTER").is_ok_and(|said| said == "none");
        let is_wanted = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"].into_iter().any(is_said);
        if off || !is_wanted {
            return Ok(None);
        }
        // The first provider that was installed stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exporter = SpanExporter::builder().with_http().build();
        let mut exporter = exporter
            .map_err(|error| UsageError::new(format!("OTEL_EXPORTER_OTLP_…: traces cannot be told: {error}")))?;
        exporter.set_resource(&resource());
        let (spans, waiting) = mpsc::channel(QUEUED_SPANS_MAX);
        let (stop, stopped) = oneshot::channel();
        let follower = TraceFollower {
            recorded: engine.subscribe(),
            read: Arc::new(system.store.clone()),
            runs: BTreeMap::new(),
            spans,
            scope: InstrumentationScope::builder("baton").with_version(env!("CARGO_PKG_VERSION")).build(),
        };
        let follower = tokio::spawn(follower.follow(stopped));
        Ok(Some(Self { stop, follower, exporter: tokio::spawn(export_spans(exporter, waiting)) }))
    }

    /// Exports what is left. Call it once the engine has stopped.
    pub async fn close(self) {
        // A follower that has ended has nothing left.
        let _ = self.stop.send(());
        let all = async {
            let _ = self.follower.await;
            let _ = self.exporter.await;
        };
        if timeout(FLUSH_TIMEOUT, all).await.is_err() {
            tracing::warn!("the collector did not take the last spans in time");
        }
    }
}

impl TraceFollower {
    /// Runs until it is stopped, then handles the notifications that have already arrived.
    async fn follow(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let recorded = tokio::select! {
                recorded = self.recorded.recv() => recorded,
                _ = &mut stopped => break,
            };
            match recorded {
                Ok(recorded) => self.on_notification(recorded).await,
                Err(RecvError::Lagged(missed)) => self.catch_up(missed).await,
                Err(RecvError::Closed) => return,
            }
        }
        loop {
            match self.recorded.try_recv() {
                Ok(recorded) => self.on_notification(recorded).await,
                Err(TryRecvError::Lagged(missed)) => self.catch_up(missed).await,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    async fn on_notification(&mut self, recorded: Notification) {
        let Notification::Entry { tenant, run, seq, entry, .. } = recorded else { return };
        if let Err(error) = self.export_entry(&tenant, &run, seq, &entry).await {
            tracing::debug!(%tenant, %run, %error, "a run's trace has a gap");
            self.runs.remove(&run);
        }
    }

    /// Reads missed entries of the runs that are followed. A run without any further notification has no trace.
    async fn catch_up(&mut self, missed: u64) {
        tracing::warn!(missed, "more was recorded than traces could follow; some runs may have none");
        for (run, (tenant, trace)) in std::mem::take(&mut self.runs) {
            match self.read_entries(&tenant, &run, trace, u64::MAX).await {
                Ok(trace) if trace.is_over() => {}
                Ok(trace) => drop(self.runs.insert(run, (tenant, trace))),
                Err(error) => tracing::debug!(%tenant, %run, %error, "a run's trace has a gap"),
            }
        }
    }

    async fn export_entry(&mut self, tenant: &TenantId, run: &RunId, seq: u64, entry: &RunEntry) -> anyhow::Result<()> {
        let trace = match self.runs.remove(run) {
            Some((_, trace)) => trace,
            None => self.load_trace(tenant, run, seq).await?,
        };
        // Entries that were recorded here without a notification.
        let mut trace = self.read_entries(tenant, run, trace, seq - 1).await?;
        if trace.seq() + 1 == seq {
            let spans = trace.fold(entry);
            self.send(spans, tenant);
        }
        if !trace.is_over() {
            if self.runs.len() >= RUNS_MAX {
                self.runs.pop_first();
            }
            self.runs.insert(run.clone(), (tenant.clone(), trace));
        }
        Ok(())
    }

    /// Reads up to this entry, or to the end, and exports the spans.
    async fn read_entries(
        &self,
        tenant: &TenantId,
        run: &RunId,
        mut trace: RunTrace,
        to: u64,
    ) -> anyhow::Result<RunTrace> {
        while trace.seq() < to {
            let entries = self.read.entries(tenant, run, trace.seq(), PAGE).await?;
            if entries.is_empty() {
                anyhow::ensure!(to == u64::MAX, "entry {} is not there", trace.seq() + 1);
                break;
            }
            for entry in entries {
                let spans = trace.fold(&baton_engine::decode(&entry)?);
                self.send(spans, tenant);
            }
        }
        Ok(trace)
    }

    /// Loads a run that is unknown here. Its earlier entries were exported by the process that owned it then.
    async fn load_trace(&self, tenant: &TenantId, run: &RunId, seq: u64) -> anyhow::Result<RunTrace> {
        let head = self.read.run(tenant, run).await?.context("the run is not there")?;
        let mut trace = RunTrace::new(run.clone(), head.workflow);
        while trace.seq() + 1 < seq {
            let past = self.read.entries(tenant, run, trace.seq(), PAGE).await?;
            anyhow::ensure!(!past.is_empty(), "entry {} is not there", trace.seq() + 1);
            for entry in past.into_iter().take(usize::try_from(seq - 1 - trace.seq()).unwrap_or(PAGE)) {
                trace.fold(&baton_engine::decode(&entry)?);
            }
        }
        Ok(trace)
    }

    fn send(&self, spans: Vec<TraceSpan>, tenant: &TenantId) {
        for span in spans {
            if self.spans.try_send(data(span, tenant, &self.scope)).is_err() {
                metrics::counter!("baton_trace_spans_lost_total").increment(1);
            }
        }
    }
}

/// The resource of the spans: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`. The default name is `baton`.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let has_name = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|said| said.contains("service.name="));
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder_empty().with_attributes([version]);
    let builder = builder.with_attributes(said.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    if has_name { builder.build() } else { builder.with_service_name("baton").build() }
}

/// Logs once when the collector stops accepting spans, and once when it accepts them again.
async fn export_spans(exporter: SpanExporter, mut waiting: mpsc::Receiver<SpanData>) {
    let mut is_taken = true;
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let _ = timeout(BATCH_DELAY, async {
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                if waiting.recv_many(&mut batch, room).await == 0 {
                    break;
                }
            }
        })
        .await;
        let count = batch.len() as u64;
        match exporter.export(std::mem::take(&mut batch)).await {
            Ok(()) if is_taken => {}
            Ok(()) => tracing::info!("the collector takes spans again"),
            Err(error) => {
                metrics::counter!("baton_trace_spans_lost_total").increment(count);
                if is_taken {
                    tracing::warn!(%error, "the collector does not take spans; they are let go until it does");
                }
                is_taken = false;
                continue;
            }
        }
        is_taken = true;
    }
}

fn data(span: TraceSpan, tenant: &TenantId, scope: &InstrumentationScope) -> SpanData {
    let context = SpanContext::new(
        TraceId::from_bytes(span.trace),
        SpanId::from_bytes(span.id),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    let mut attributes: Vec<KeyValue> =
        span.attributes.into_iter().map(|(name, said)| KeyValue::new(name, value(said))).collect();
    attributes.push(KeyValue::new("baton.tenant.id", tenant.to_string()));
    let mut events = SpanEvents::default();
    events.events = span.events.into_iter().map(event).collect();
    SpanData {
        span_context: context,
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: false,
        span_kind: if span.is_call { SpanKind::Client } else { SpanKind::Internal },
        name: span.name.into(),
        start_time: instant(span.began),
        end_time: instant(span.ended),
        attributes,
        dropped_attributes_count: 0,
        events,
        links: SpanLinks::default(),
        status: span.fault.map_or(Status::Unset, |(code, _)| Status::error(code)),
        instrumentation_scope: scope.clone(),
    }
}

fn event(SpanEvent { at, name, what }: SpanEvent) -> Event {
    let said = if what.is_empty() { Vec::new() } else { vec![KeyValue::new("baton.what", what)] };
    Event::new(name, instant(at), said, 0)
}

fn value(said: AttributeValue) -> Value {
    match said {
        AttributeValue::Text(text) => text.into(),
        AttributeValue::Count(count) => count.into(),
        AttributeValue::Amount(amount) => amount.into(),
        AttributeValue::Flag(flag) => flag.into(),
    }
}

fn instant(at: Time) -> SystemTime {
    at.to_timestamp().into()
}
