//! Circuit breakers shared by processes: those of models, which people can also set, and those of services that tools
//! call.

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::Serialize;
use serde_json::{Value, json};

use crate::journal::JournalError;

/// The last known state of a model's circuit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelCircuit {
    pub model: String,
    pub state: ModelCircuitState,
    /// When it may be tried again; `None` if only a person closes it.
    pub until: Option<Time>,
    pub since: Time,
    /// A person, or `baton`.
    pub by: String,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelCircuitState {
    Closed,
    Open,
}

impl ModelCircuit {
    /// The state: an open circuit whose time is over is half-open, and lets one call through.
    pub fn word(&self, now: Time) -> &'static str {
        match (self.state, self.until) {
            (ModelCircuitState::Closed, _) => "closed",
            (ModelCircuitState::Open, Some(until)) if until <= now => "half_open",
            (ModelCircuitState::Open, _) => "open",
        }
    }

    /// The circuit as JSON.
    pub fn as_json(&self, now: Time) -> Value {
        json!({
            "model": self.model, "state": self.word(now), "since": self.since.to_string(),
            "until": self.until.map(|until| until.to_string()), "by": self.by, "reason": self.reason,
        })
    }
}

/// Circuits by the model's name. The last update counts.
#[async_trait]
pub trait ModelCircuitStore: Send + Sync {
    /// Sets the state of a circuit; an update older than the last one changes nothing.
    async fn set(&self, circuit: ModelCircuit) -> Result<(), JournalError>;

    /// All circuits that were ever set, by model.
    async fn circuits(&self) -> Result<Vec<ModelCircuit>, JournalError>;
}

/// Maximum length of a service's name, in bytes.
pub const SERVICE_BYTES_MAX: usize = 4_096;
/// Maximum number of circuits that [`ServiceCircuitStore::service_circuits`] returns, newest first.
pub const SERVICE_CIRCUITS_MAX: usize = 10_000;
/// How long a circuit without updates is kept.
pub const SERVICE_CIRCUIT_KEPT_FOR: std::time::Duration = std::time::Duration::from_secs(2 * 24 * 60 * 60);

/// The circuit of a service that tools of one tenant call, over all processes: the service fails, or has failed and
/// answers again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCircuit {
    pub tenant: TenantId,
    pub service: String,
    /// Consecutive failures, over all processes, since its last success.
    pub failures: u32,
    /// When one call may test whether it answers again; `None` if the circuit is closed.
    pub open_until: Option<Time>,
    /// When it opened or closed; the time of the last failure if it never did.
    pub since: Time,
}

/// Circuits of services that tools call. An update is visible to every process once the call returns; a crash may lose
/// it.
#[async_trait]
pub trait ServiceCircuitStore: Send + Sync {
    /// Records one more consecutive failure at `now`. Returns the number of consecutive failures.
    async fn record_failure(&self, tenant: &TenantId, service: &str, now: Time) -> Result<u32, JournalError>;

    /// Sets the circuit to open until the given time, or to closed, which also resets the failures. An update older
    /// than the last one changes nothing.
    async fn set_service_circuit(
        &self,
        tenant: &TenantId,
        service: &str,
        open_until: Option<Time>,
        now: Time,
    ) -> Result<(), JournalError>;

    /// Circuits that are not simply healthy: open, failing, or closed within the last [`SERVICE_CIRCUIT_KEPT_FOR`].
    async fn service_circuits(&self, now: Time) -> Result<Vec<ServiceCircuit>, JournalError>;
}
