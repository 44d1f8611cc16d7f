//! Shares circuits with other processes. A change of another process arrives after one second at most; only the first
//! call waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use baton_core::circuit::CircuitTransition;
use baton_core::time::Time;
use baton_ports::circuits::{ModelCircuit, ModelCircuitState, ModelCircuitStore};
use tokio::sync::OnceCell;

use crate::router::ModelRouter;

/// How often the circuits of other processes are read, while there are calls.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The author of changes that no person made.
const BATON: &str = "baton";

pub(crate) struct SharedCircuits {
    port: Arc<dyn ModelCircuitStore>,
    router: Arc<ModelRouter>,
    first_sync: OnceCell<()>,
    /// When they were last read, in milliseconds.
    last_sync_ms: AtomicI64,
}

impl SharedCircuits {
    pub fn new(port: Arc<dyn ModelCircuitStore>, router: Arc<ModelRouter>) -> Arc<Self> {
        Arc::new(Self { port, router, first_sync: OnceCell::new(), last_sync_ms: AtomicI64::new(0) })
    }

    /// Reads the changes of other processes periodically.
    pub async fn sync(self: &Arc<Self>, now: Time) {
        if !self.first_sync.initialized() {
            self.first_sync.get_or_init(|| self.fetch(now)).await;
            return;
        }
        let heard = self.last_sync_ms.load(Ordering::Relaxed);
        if now.since(Time::from_ms(heard)) < SYNC_INTERVAL {
            return;
        }
        // Of concurrent calls, one reads.
        if self.last_sync_ms.compare_exchange(heard, now.as_ms(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let neighbours = Arc::clone(self);
            tokio::spawn(async move { neighbours.fetch(now).await });
        }
    }

    async fn fetch(&self, now: Time) {
        self.last_sync_ms.store(now.as_ms(), Ordering::Relaxed);
        match self.port.circuits().await {
            Ok(circuits) => circuits.iter().for_each(|circuit| {
                let health = self.router.index().health(&circuit.model);
                health.apply_shared_state(circuit.state == ModelCircuitState::Open, circuit.until, circuit.since);
            }),
            Err(error) => tracing::warn!(%error, "what others say of failing models cannot be heard"),
        }
    }

    /// Publishes a circuit transition that a call caused.
    pub fn publish(self: &Arc<Self>, model: &str, turn: CircuitTransition, reason: String, now: Time) {
        let (state, until) = match turn {
            CircuitTransition::Opened { until } => (ModelCircuitState::Open, Some(until)),
            CircuitTransition::Closed => (ModelCircuitState::Closed, None),
        };
        let circuit = ModelCircuit { model: model.to_owned(), state, until, since: now, by: BATON.to_owned(), reason };
        let neighbours = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = neighbours.port.set(circuit).await {
                tracing::warn!(%error, "other processes cannot be told of a failing model");
            }
        });
    }
}

impl std::fmt::Debug for SharedCircuits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedCircuits").finish_non_exhaustive()
    }
}
