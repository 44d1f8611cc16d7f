//! Readiness checks of the services that Baton depends on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_ports::health::StoreOutage;
use futures::future::{BoxFuture, join_all};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::problem::HttpProblem;

/// Timeout of a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a report is cached. The endpoint needs no key, so its callers must not be able to load the database.
const CACHE_TTL: Duration = Duration::from_secs(1);

/// Why a dependency is not available.
#[derive(Clone, Debug)]
pub struct ReadinessError {
    /// Publicly visible.
    pub reason: String,
    /// Set if a person must act.
    pub outage: Option<StoreOutage>,
}

impl From<String> for ReadinessError {
    fn from(why: String) -> Self {
        Self { reason: why, outage: None }
    }
}

/// A dependency, under its name in the report. Its error is publicly visible.
#[derive(Clone)]
pub struct ReadinessCheck {
    pub name: &'static str,
    pub ask: Arc<dyn Fn() -> BoxFuture<'static, Result<(), ReadinessError>> + Send + Sync>,
}

/// The checks, with the last report.
pub(crate) struct ReadinessChecks {
    all: Vec<ReadinessCheck>,
    last: Mutex<Option<(Instant, ReadinessReport)>>,
}

#[derive(Clone)]
pub(crate) struct ReadinessReport {
    pub is_ready: bool,
    pub body: Value,
}

impl ReadinessChecks {
    pub fn new(all: Vec<ReadinessCheck>) -> Self {
        Self { all, last: Mutex::new(None) }
    }

    /// The current report, or the cached one. Concurrent callers wait for the same report.
    pub async fn report(&self) -> ReadinessReport {
        let mut last = self.last.lock().await;
        if let Some((_, answer)) = last.as_ref().filter(|(asked, _)| asked.elapsed() < CACHE_TTL) {
            return answer.clone();
        }
        let answer = self.check_all().await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn check_all(&self) -> ReadinessReport {
        let asked = join_all(self.all.iter().map(|check| async move {
            let began = Instant::now();
            let said = tokio::time::timeout(CHECK_TIMEOUT, (check.ask)()).await;
            let said =
                said.unwrap_or_else(|_| Err(format!("no answer within {} ms", CHECK_TIMEOUT.as_millis()).into()));
            if let Err(ReadinessError { reason: why, .. }) = &said {
                tracing::warn!(dependency = check.name, why, "not ready");
            }
            (check.name, said, began.elapsed())
        }));
        let asked = asked.await;
        let is_ready = asked.iter().all(|(_, said, _)| said.is_ok());
        let word = |said: &Result<(), ReadinessError>| match said {
            Ok(()) => "healthy".to_owned(),
            Err(ReadinessError { reason: why, .. }) => format!("unhealthy: {why}"),
        };
        let checks: Map<String, Value> =
            asked.iter().map(|(name, said, _)| ((*name).to_owned(), json!(word(said)))).collect();
        let took = |took: &Duration| (took.as_secs_f64() * 1e6).round() / 1e3;
        let times: Map<String, Value> =
            asked.iter().map(|(name, _, time)| ((*name).to_owned(), json!(took(time)))).collect();
        let status = if is_ready { "ready" } else { "not_ready" };
        let mut body = json!({ "status": status, "checks": checks, "took_ms": times });
        let outage = asked.iter().find_map(|(_, said, _)| said.as_ref().err()?.outage.clone());
        if let Some(outage) = outage {
            body["problem"] = HttpProblem::outage(&outage).into_json();
        }
        ReadinessReport { is_ready, body }
    }
}
