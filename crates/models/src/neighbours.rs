//! Circuits told to other processes, and heard from them: a word of theirs is a second late at most, and no call waits
//! for it but the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use baton_core::circuit::Turn;
use baton_core::time::Time;
use baton_ports::circuits::{Circuit, Circuits, State};
use tokio::sync::OnceCell;

use crate::router::Router;

/// How often the others are listened to, while there are calls.
const LISTEN_EVERY: Duration = Duration::from_secs(1);
/// Who says what no person said.
const BATON: &str = "baton";

pub(crate) struct Neighbours {
    port: Arc<dyn Circuits>,
    router: Arc<Router>,
    begun: OnceCell<()>,
    /// When they were last listened to, in milliseconds.
    heard: AtomicI64,
}

impl Neighbours {
    pub fn new(port: Arc<dyn Circuits>, router: Arc<Router>) -> Arc<Self> {
        Arc::new(Self { port, router, begun: OnceCell::new(), heard: AtomicI64::new(0) })
    }

    /// Hears what others said, from time to time.
    pub async fn listen(self: &Arc<Self>, now: Time) {
        if !self.begun.initialized() {
            self.begun.get_or_init(|| self.hear(now)).await;
            return;
        }
        let heard = self.heard.load(Ordering::Relaxed);
        if now.since(Time::from_ms(heard)) < LISTEN_EVERY {
            return;
        }
        // One call of many listens.
        if self.heard.compare_exchange(heard, now.as_ms(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let neighbours = Arc::clone(self);
            tokio::spawn(async move { neighbours.hear(now).await });
        }
    }

    async fn hear(&self, now: Time) {
        self.heard.store(now.as_ms(), Ordering::Relaxed);
        match self.port.circuits().await {
            Ok(circuits) => circuits.iter().for_each(|circuit| {
                let health = self.router.books().health(&circuit.model);
                health.told(circuit.state == State::Open, circuit.until, circuit.since);
            }),
            Err(error) => tracing::warn!(%error, "what others say of failing models cannot be heard"),
        }
    }

    /// Tells the others what a call made of a circuit.
    pub fn tell(self: &Arc<Self>, model: &str, turn: Turn, reason: String, now: Time) {
        let (state, until) = match turn {
            Turn::Opened { until } => (State::Open, Some(until)),
            Turn::Closed => (State::Closed, None),
        };
        let circuit = Circuit { model: model.to_owned(), state, until, since: now, by: BATON.to_owned(), reason };
        let neighbours = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = neighbours.port.set(circuit).await {
                tracing::warn!(%error, "other processes cannot be told of a failing model");
            }
        });
    }
}

impl std::fmt::Debug for Neighbours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Neighbours").finish_non_exhaustive()
    }
}
