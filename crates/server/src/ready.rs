//! What Baton leans on, asked whether it is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_ports::health::StoreOutage;
use futures::future::{BoxFuture, join_all};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use crate::problem::Problem;

/// What a check may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer stands: whoever asks is not let in by a key, and must not keep the database busy.
const STANDS: Duration = Duration::from_secs(1);

/// Why something is not there.
#[derive(Clone, Debug)]
pub struct Unready {
    /// Shown to everybody.
    pub why: String,
    /// Where it takes a person to see to it.
    pub outage: Option<StoreOutage>,
}

impl From<String> for Unready {
    fn from(why: String) -> Self {
        Self { why, outage: None }
    }
}

/// One dependency, by the name that the answer has for it; the error is shown to everybody.
#[derive(Clone)]
pub struct Check {
    pub name: &'static str,
    pub ask: Arc<dyn Fn() -> BoxFuture<'static, Result<(), Unready>> + Send + Sync>,
}

/// All of them, and what they last said.
pub(crate) struct Checks {
    all: Vec<Check>,
    last: Mutex<Option<(Instant, Answer)>>,
}

#[derive(Clone)]
pub(crate) struct Answer {
    pub is_ready: bool,
    pub body: Value,
}

impl Checks {
    pub fn new(all: Vec<Check>) -> Self {
        Self { all, last: Mutex::new(None) }
    }

    /// How they are: asked now, or a moment ago. Whoever asks meanwhile waits for the same answer.
    pub async fn answer(&self) -> Answer {
        let mut last = self.last.lock().await;
        if let Some((_, answer)) = last.as_ref().filter(|(asked, _)| asked.elapsed() < STANDS) {
            return answer.clone();
        }
        let answer = self.ask().await;
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn ask(&self) -> Answer {
        let asked = join_all(self.all.iter().map(|check| async move {
            let began = Instant::now();
            let said = tokio::time::timeout(PATIENCE, (check.ask)()).await;
            let said = said.unwrap_or_else(|_| Err(format!("no answer within {} ms", PATIENCE.as_millis()).into()));
            if let Err(Unready { why, .. }) = &said {
                tracing::warn!(dependency = check.name, why, "not ready");
            }
            (check.name, said, began.elapsed())
        }));
        let asked = asked.await;
        let is_ready = asked.iter().all(|(_, said, _)| said.is_ok());
        let word = |said: &Result<(), Unready>| match said {
            Ok(()) => "healthy".to_owned(),
            Err(Unready { why, .. }) => format!("unhealthy: {why}"),
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
            body["problem"] = Problem::outage(&outage).into_json();
        }
        Answer { is_ready, body }
    }
}
