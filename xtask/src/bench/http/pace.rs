//! Load at a fixed rate: each request is sent when it is due, on any free connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::execute::{ExecuteAnswer, ExecuteClient};

/// Maximum number of concurrent requests. If all are in use, a due request waits, and its time counts.
const CONNECTIONS: usize = 512;
/// How long a request is retried before it counts as failed.
const RETRY_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Requests per second, and the duration.
pub struct RequestPace {
    pub rate: u32,
    pub length: Duration,
}

/// The results, in the order of the responses.
pub struct PaceOutcome(Vec<PacedRequest>);

struct PacedRequest {
    key: String,
    /// Duration since the request was due.
    took: Duration,
    /// Attempts after the first.
    repeated: u32,
    /// The run that the request started.
    run: Result<String, String>,
}

impl RequestPace {
    /// Sends each request with a key of its own, `NAME-NUMBER`, and retries it with that key if the connection breaks.
    pub fn run(&self, asking: &ExecuteClient, name: &str) -> anyhow::Result<PaceOutcome> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests")]
        let requests = (self.length.as_secs_f64() * f64::from(self.rate)).ceil() as u64;
        let next = Arc::new(AtomicU64::new(0));
        let mut done = runtime.block_on(async {
            let began = Instant::now();
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..CONNECTIONS.min(usize::try_from(requests).unwrap_or(CONNECTIONS)) {
                let (next, asking, name) = (next.clone(), asking.clone(), name.to_owned());
                let every = Duration::from_secs(1) / self.rate;
                tasks.spawn(async move {
                    let (mut line, mut done) = (None, Vec::new());
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= requests {
                            return done;
                        }
                        let due = began + every * u32::try_from(number).unwrap_or(u32::MAX);
                        tokio::time::sleep_until(due.into()).await;
                        let key = format!("{name}-{number}");
                        let (run, repeated) = until_answered(&asking, &mut line, &key).await;
                        done.push((due, PacedRequest { key, took: due.elapsed(), repeated, run }));
                    }
                });
            }
            let mut all = Vec::new();
            while let Some(done) = tasks.join_next().await {
                all.extend(done?);
            }
            anyhow::Ok(all)
        })?;
        done.sort_by_key(|(due, _)| *due);
        Ok(PaceOutcome(done.into_iter().map(|(_, done)| done).collect()))
    }
}

/// The run that was started, and the number of retries.
async fn until_answered(
    asking: &ExecuteClient,
    line: &mut Option<super::super::models::load::LoadConnection>,
    key: &str,
) -> (Result<String, String>, u32) {
    let until = Instant::now() + RETRY_LIMIT;
    let mut repeated = 0;
    loop {
        let broke = match asking.ask(line, key).await {
            Ok(ExecuteAnswer { status: 200..=299, run: Some(run), .. }) => return (Ok(run), repeated),
            Ok(ExecuteAnswer { status, text, .. }) => return (Err(format!("{status}: {text}")), repeated),
            Err(broke) => broke,
        };
        *line = None;
        if Instant::now() >= until {
            return (Err(broke.to_string()), repeated);
        }
        repeated += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

impl PaceOutcome {
    pub fn runs(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|done| done.run.clone().ok())
    }

    /// A number of keys with their runs, spread over all results.
    pub fn keys(&self, many: usize) -> Vec<(&str, &str)> {
        let answered = self.0.iter().filter_map(|done| Some((done.key.as_str(), done.run.as_deref().ok()?)));
        answered.step_by((self.0.len() / many.max(1)).max(1)).take(many).collect()
    }

    pub fn answered(&self) -> usize {
        self.0.len() - self.errors()
    }

    pub fn errors(&self) -> usize {
        self.0.iter().filter(|done| done.run.is_err()).count()
    }

    pub fn first_error(&self) -> &str {
        self.0.iter().find_map(|done| done.run.as_ref().err()).map_or("none", String::as_str)
    }

    pub fn repeated(&self) -> u32 {
        self.0.iter().map(|done| done.repeated).sum()
    }

    /// Requests answered per second, over the time in which they were due plus the time of the last response.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn per_second(&self, length: Duration) -> f64 {
        let last = self.0.last().map(|done| done.took).unwrap_or_default();
        self.answered() as f64 / (length + last).as_secs_f64()
    }

    /// The latency that this percentage of requests did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut took: Vec<Duration> = self.0.iter().map(|done| done.took).collect();
        took.sort_unstable();
        took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    pub fn figures(&self, length: Duration) -> Value {
        let ms = |percent| (self.percentile(percent).as_secs_f64() * 1e5).round() / 100.0;
        json!({
            "requests_per_s": self.per_second(length).round(),
            "p50_ms": ms(50), "p95_ms": ms(95), "p99_ms": ms(99), "errors": self.errors(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(took: impl IntoIterator<Item = u64>) -> PaceOutcome {
        let done = |took| PacedRequest {
            key: String::new(),
            took: Duration::from_millis(took),
            repeated: 0,
            run: Ok(String::new()),
        };
        PaceOutcome(took.into_iter().map(done).collect())
    }

    #[test]
    fn figures_are_of_those_that_were_answered() {
        let mut hundred = outcome((1..=100).rev());
        assert_eq!(
            (hundred.percentile(50), hundred.percentile(99)),
            (Duration::from_millis(51), Duration::from_millis(100))
        );
        hundred.0[0].run = Err("503: no room".to_owned());
        assert_eq!((hundred.answered(), hundred.errors(), hundred.first_error()), (99, 1, "503: no room"));
        assert_eq!(outcome([]).percentile(99), Duration::ZERO);
    }

    #[test]
    fn keys_are_taken_from_all_over() {
        let mut some = outcome(0..1_000);
        for (number, done) in some.0.iter_mut().enumerate() {
            done.key = number.to_string();
        }
        let keys = some.keys(10);
        assert_eq!((keys.len(), keys[0].0, keys[9].0), (10, "0", "900"));
    }
}
