//! Metrics of the process in Prometheus format. Crates report through the `metrics` facade and do not depend on this
//! module.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baton_core::id::TenantId;
use baton_models::budget::BudgetLedger;
use baton_ports::index::{DocumentIndex, MemoryCollection};
use futures::future::FutureExt;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

/// Histogram bounds of durations, in seconds.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Interval at which samples are aggregated, so that a process that is never scraped does not accumulate them.
const FOLD_INTERVAL: Duration = Duration::from_secs(5);
/// Interval at which sizes are measured. They must be polled because other processes write to the same database.
const GAUGE_INTERVAL: Duration = Duration::from_secs(15);

/// Installs the recorder. The returned function renders the metrics. Needs a runtime, which aggregates the samples.
pub fn install() -> anyhow::Result<Arc<dyn Fn() -> String + Send + Sync>> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
    let handle = builder?.install_recorder().context("metrics cannot be counted")?;
    let folding = handle.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(FOLD_INTERVAL);
        loop {
            tick.tick().await;
            folding.run_upkeep();
        }
    });
    Ok(Arc::new(move || typed(handle.render())))
}

/// Sums of dollars only rise and start from zero with the process, so they are counters. Counters of the facade hold
/// whole numbers only, so crates report dollars as gauges.
const SUMS: [&str; 1] = ["llm_cost_usd_total"];

/// The exposition with the metric types that scrapers expect.
fn typed(mut exposition: String) -> String {
    for name in SUMS {
        let line = |kind: &str| format!("# TYPE {name} {kind}\n");
        exposition = exposition.replacen(&line("gauge"), &line("counter"), 1);
    }
    exposition
}

/// Renders the metrics together with the current state of the budgets.
pub fn with_budget_gauges(
    counted: Arc<dyn Fn() -> String + Send + Sync>,
    ledger: BudgetLedger,
    tenant: TenantId,
) -> baton_server::MetricsRenderer {
    Arc::new(move || {
        let (counted, ledger, tenant) = (counted.clone(), ledger.clone(), tenant.clone());
        let written = async move {
            if let Err(error) = ledger.update_gauges(&tenant).await {
                tracing::warn!(%error, "how the budgets stand cannot be read");
            }
            counted()
        };
        written.boxed()
    })
}

/// Starts to report the number of indexed chunks (`vector_store_size_total`) and the memory of the process
/// (`memory_usage_bytes`). The names are those that dashboards use.
pub async fn watch(index: Arc<dyn DocumentIndex>, tenant: TenantId) {
    update_gauges(&*index, &tenant).await;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(GAUGE_INTERVAL).await;
            update_gauges(&*index, &tenant).await;
        }
    });
}

/// A value that cannot be read stays unchanged.
async fn update_gauges(index: &dyn DocumentIndex, tenant: &TenantId) {
    for collection in MemoryCollection::ALL {
        if let Ok(generations) = index.generations(tenant, collection).await {
            let live = generations.iter().find(|generation| generation.live);
            let pieces = live.map_or(0, |generation| generation.pieces);
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
            metrics::gauge!("vector_store_size_total", "type" => word(collection)).set(pieces as f64);
        }
    }
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!("memory_usage_bytes", "component" => "process").set(bytes);
    }
}

/// The label value of a collection.
fn word(collection: MemoryCollection) -> &'static str {
    match collection {
        MemoryCollection::Knowledge => "knowledge_base",
        MemoryCollection::Conversations => "conversation",
        MemoryCollection::Executions => "execution",
    }
}

/// Resident memory of the process, in bytes. Returns `None` if the system does not report it.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_dollars_are_counters_and_other_gauges_stay_gauges() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::gauge!("llm_cost_usd_total", "model" => "m").increment(0.25);
            metrics::gauge!("budget_spent_usd", "window" => "day").set(1.0);
        });
        let shown = typed(recorder.handle().render());
        assert!(shown.contains("# TYPE llm_cost_usd_total counter\nllm_cost_usd_total{model=\"m\"} 0.25\n"), "{shown}");
        assert!(shown.contains("# TYPE budget_spent_usd gauge\n"), "{shown}");
    }
}
