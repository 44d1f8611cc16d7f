//! An embedder behind a circuit breaker: while it fails, searches do not wait for it and use words alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use baton_core::circuit::{CircuitAdmission, CircuitBreaker, CircuitLimits, CircuitStatus};
use baton_ports::clock::Clock;
use baton_ports::embed::{Embedder, EmbeddingError, EmbeddingPayer, EmbeddingRole, VectorSpace};

/// Opens after three consecutive failures, or failures of half of the last twenty requests, for thirty seconds.
const LIMITS: CircuitLimits = CircuitLimits { failures: 3, open_for: Duration::from_secs(30) };
/// How long a search waits for its vector: slightly less than the timeout of the search tool.
const QUERY_TIMEOUT: Duration = Duration::from_millis(2_500);

pub(crate) struct GuardedEmbedder {
    embedder: Arc<dyn Embedder>,
    circuit: Mutex<CircuitBreaker>,
    clock: Arc<dyn Clock>,
}

/// A query that was admitted. If it is dropped before its outcome is reported, it changes nothing.
struct QueryPass<'g> {
    guarded: &'g GuardedEmbedder,
    pass: Option<CircuitAdmission>,
}

impl GuardedEmbedder {
    pub(crate) fn new(embedder: Arc<dyn Embedder>, clock: Arc<dyn Clock>) -> Self {
        Self { embedder, circuit: Mutex::new(CircuitBreaker::new(LIMITS)), clock }
    }

    fn circuit(&self) -> MutexGuard<'_, CircuitBreaker> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self) -> Result<QueryPass<'_>, EmbeddingError> {
        let now = self.clock.now();
        let mut circuit = self.circuit();
        match circuit.admit(now) {
            Some(pass) => Ok(QueryPass { guarded: self, pass: Some(pass) }),
            None => {
                let retry_after = match circuit.status(now) {
                    CircuitStatus::Open(wait) => wait,
                    CircuitStatus::Closed | CircuitStatus::Due => None,
                };
                Err(self.unavailable("it failed too often and is left alone for a while".to_owned(), retry_after))
            }
        }
    }

    fn unavailable(&self, reason: String, retry_after: Option<Duration>) -> EmbeddingError {
        EmbeddingError::Unavailable { space: self.space().name.clone(), reason, retry_after }
    }
}

impl QueryPass<'_> {
    fn record(mut self, outcome: &Result<Vec<Vec<f32>>, EmbeddingError>) {
        let (Some(pass), now) = (self.pass.take(), self.guarded.clock.now()) else { return };
        let mut circuit = self.guarded.circuit();
        match outcome {
            Err(EmbeddingError::Unavailable { retry_after, .. }) => drop(circuit.failed(pass, now, *retry_after)),
            // It responds; the operator must handle a rejection.
            Ok(_) | Err(EmbeddingError::Rejected { .. }) => drop(circuit.succeeded(pass, now)),
            // No request was sent.
            Err(EmbeddingError::OverBudget { .. }) => circuit.abandoned(pass),
        }
    }
}

impl Drop for QueryPass<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.guarded.circuit().abandoned(pass);
        }
    }
}

#[async_trait]
impl Embedder for GuardedEmbedder {
    fn space(&self) -> &VectorSpace {
        self.embedder.space()
    }

    /// Passages are stored: their embedder retries by itself, and the caller waits.
    async fn embed(
        &self,
        payer: &EmbeddingPayer,
        texts: &[String],
        role: EmbeddingRole,
    ) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        if role == EmbeddingRole::Passage {
            return self.embedder.embed(payer, texts, role).await;
        }
        let ticket = self.admit()?;
        let outcome = match tokio::time::timeout(QUERY_TIMEOUT, self.embedder.embed(payer, texts, role)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                let reason = format!("it gave no answer within {} ms", QUERY_TIMEOUT.as_millis());
                Err(self.unavailable(reason, None))
            }
        };
        ticket.record(&outcome);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use baton_core::time::Time;

    use super::*;

    #[derive(Default)]
    struct HandSetClock(AtomicI64);

    impl Clock for HandSetClock {
        fn now(&self) -> Time {
            Time::from_ms(self.0.load(Ordering::Relaxed))
        }
    }

    /// Fails a given number of times, then answers; or hangs.
    struct FailingEmbedder {
        space: VectorSpace,
        failures: usize,
        hangs: bool,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Embedder for FailingEmbedder {
        fn space(&self) -> &VectorSpace {
            &self.space
        }

        async fn embed(
            &self,
            _: &EmbeddingPayer,
            _: &[String],
            _: EmbeddingRole,
        ) -> Result<Vec<Vec<f32>>, EmbeddingError> {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            if self.asked.fetch_add(1, Ordering::Relaxed) < self.failures {
                let (space, reason) = (self.space.name.clone(), "down".to_owned());
                return Err(EmbeddingError::Unavailable { space, reason, retry_after: None });
            }
            Ok(vec![vec![1.0]])
        }
    }

    fn world(failures: usize, hangs: bool) -> (Arc<HandSetClock>, Arc<FailingEmbedder>, GuardedEmbedder) {
        let clock = Arc::new(HandSetClock(AtomicI64::new(1_700_000_000_000)));
        let space = VectorSpace { name: "m".to_owned(), dimensions: 1 };
        let failing = Arc::new(FailingEmbedder { space, failures, hangs, asked: AtomicUsize::new(0) });
        let guarded = GuardedEmbedder::new(failing.clone(), clock.clone());
        (clock, failing, guarded)
    }

    async fn query(guarded: &GuardedEmbedder) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        guarded.embed(&"t".into(), &["q".to_owned()], EmbeddingRole::Query).await
    }

    #[tokio::test]
    async fn one_that_fails_is_left_alone_and_then_tried_by_one_query() {
        let (clock, failing, guarded) = world(4, false);
        for _ in 0..10 {
            query(&guarded).await.unwrap_err();
        }
        assert_eq!(failing.asked.load(Ordering::Relaxed), 3);
        let left_alone = query(&guarded).await.unwrap_err();
        assert!(left_alone.to_string().contains("left alone"), "{left_alone}");
        assert!(matches!(left_alone, EmbeddingError::Unavailable { retry_after: Some(_), .. }));
        // Requests for passages have their own timeout.
        guarded.embed(&"t".into(), &["p".to_owned()], EmbeddingRole::Passage).await.unwrap_err();
        clock.0.fetch_add(31_000, Ordering::Relaxed);
        query(&guarded).await.unwrap();
        query(&guarded).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_not_waited_for() {
        let (_, _, guarded) = world(0, true);
        let begun = tokio::time::Instant::now();
        let slow = query(&guarded).await.unwrap_err();
        assert!(slow.to_string().contains("no answer within 2500 ms"), "{slow}");
        assert_eq!(begun.elapsed(), QUERY_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_leaves_the_next_one_to_find_out() {
        let (clock, failing, guarded) = world(3, false);
        for _ in 0..3 {
            query(&guarded).await.unwrap_err();
        }
        clock.0.fetch_add(31_000, Ordering::Relaxed);
        drop(guarded.admit().unwrap());
        query(&guarded).await.unwrap();
        assert_eq!(failing.asked.load(Ordering::Relaxed), 4);
    }
}
