//! What the process counts, in Prometheus's form. Rooms count through the `metrics` facade and know nothing of this.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

/// Bounds of durations, in seconds (seed 004).
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// How often samples are folded, so that a process nobody scrapes does not keep them all.
const UPKEEP: Duration = Duration::from_secs(5);

/// Counts from here on; the value writes what was counted. Needs a runtime to fold samples on.
pub fn install() -> anyhow::Result<Arc<dyn Fn() -> String + Send + Sync>> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
    let handle = builder?.install_recorder().context("metrics cannot be counted")?;
    let folding = handle.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            folding.run_upkeep();
        }
    });
    Ok(Arc::new(move || handle.render()))
}
