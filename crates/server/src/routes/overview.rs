//! `/metrics/overview`: a summary of the metrics as JSON, with the same access rules as `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::metrics;
use crate::problem::HttpProblem;
use crate::state::AppState;

pub(crate) async fn overview(
    State(state): State<AppState>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Json<Value>, HttpProblem> {
    metrics::authorize(&state, peer, &headers).await?;
    let counted = MetricSamples::read(&(state.metrics)().await);
    let uptime = state.clock.now().since(state.started_at).as_secs();
    Ok(Json(counted.to_json(uptime)))
}

/// The samples of Prometheus's text format, without the buckets of histograms.
#[derive(Debug, Default)]
struct MetricSamples(Vec<(String, f64)>);

impl MetricSamples {
    fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        Self(samples.filter(|(series, _): &(String, f64)| !series.contains("_bucket{")).collect())
    }

    /// The sum over all series of this name, optionally with this label.
    fn sum(&self, name: &str, label: Option<&str>) -> f64 {
        let of = self.0.iter().filter(|(series, _)| {
            let rest = series.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
                && label.is_none_or(|label| series.contains(label))
        });
        // Folds from 0.0, because the sum of an empty iterator is -0.0 and would be printed as such.
        of.fold(0.0, |sum, (_, value)| sum + value)
    }

    fn totals(&self) -> BTreeMap<&str, f64> {
        let mut totals = BTreeMap::new();
        // A value per window must not be summed over windows.
        for (series, value) in self.0.iter().filter(|(series, _)| !series.contains("window=\"")) {
            let name = series.split('{').next().unwrap_or_default();
            *totals.entry(name).or_default() += value;
        }
        totals
    }

    fn to_json(&self, uptime_seconds: u64) -> Value {
        let all = |name: &str| self.sum(name, None);
        let (hits, misses) = (
            self.sum("definition_cache_requests_total", Some("result=\"hit\"")),
            self.sum("definition_cache_requests_total", Some("result=\"miss\"")),
        );
        let (runs, cached) = (all("tool_executions_total"), all("tool_cache_hits_total"));
        let (requests, seconds) = (all("http_requests_total"), all("http_request_duration_seconds_sum"));
        json!({
            "uptime_seconds": uptime_seconds,
            "requests": {
                "total": requests,
                "client_errors": self.sum("http_requests_total", Some("status=\"4")),
                "server_errors": self.sum("http_requests_total", Some("status=\"5")),
                "average_ms": ratio(seconds * 1_000.0, requests),
            },
            "llm": { "cost_usd": all("llm_cost_usd_total"), "tokens": all("llm_tokens_total") },
            "tools": {
                "executions": runs, "errors": all("tool_errors_total"),
                "cache_hits": cached, "cache_hit_rate": ratio(cached, runs),
            },
            "definitions": { "cache_hits": hits, "cache_misses": misses, "cache_hit_rate": ratio(hits, hits + misses) },
            "totals": self.totals(),
        })
    }
}

/// `None` if the denominator is zero.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole * 1_000.0).round().abs() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_name_and_parts_of_histograms_left_out() {
        let text = "# TYPE http_requests_total counter\n\
                    http_requests_total{route=\"/a b\",status=\"200\"} 3\n\
                    http_requests_total{route=\"/a\",status=\"404\"} 1\n\
                    http_request_duration_seconds_bucket{le=\"1\"} 9\n\
                    http_request_duration_seconds_sum 2\n\
                    definition_cache_requests_total{result=\"hit\"} 3\n\
                    definition_cache_requests_total{result=\"miss\"} 1\n\
                    budget_limit_usd{window=\"day\"} 500\n\
                    broken\n\nnot a number\n";
        let told = MetricSamples::read(text).to_json(7);
        assert_eq!(
            told["requests"],
            json!({ "total": 4.0, "client_errors": 1.0, "server_errors": 0.0, "average_ms": 500.0 })
        );
        assert_eq!(told["definitions"]["cache_hit_rate"], 0.75);
        assert_eq!((&told["tools"]["cache_hit_rate"], &told["uptime_seconds"]), (&Value::Null, &json!(7)));
        let nothing = MetricSamples::read("").to_json(0).to_string();
        assert!(!nothing.contains("-0"), "{nothing}");
        for none in ["http_request_duration_seconds_bucket", "budget_limit_usd"] {
            assert!(told["totals"].get(none).is_none(), "{none}");
        }
    }
}
