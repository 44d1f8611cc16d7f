//! What processes tell each other of models that fail, and what people decide about them; and of services that tools call.

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::Serialize;
use serde_json::{Value, json};

use crate::journal::JournalError;

/// A model's circuit as it was last said to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelCircuit {
    pub model: String,
    pub state: ModelCircuitState,
    /// When it may be tried again; nothing where only a person closes it.
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
    /// How it stands: an open one whose time is over lets one call find out.
    pub fn word(&self, now: Time) -> &'static str {
        match (self.state, self.until) {
            (ModelCircuitState::Closed, _) => "closed",
            (ModelCircuitState::Open, Some(until)) if until <= now => "half_open",
            (ModelCircuitState::Open, _) => "open",
        }
    }

    /// For programs.
    pub fn as_json(&self, now: Time) -> Value {
        json!({
            "model": self.model, "state": self.word(now), "since": self.since.to_string(),
            "until": self.until.map(|until| until.to_string()), "by": self.by, "reason": self.reason,
        })
    }
}

/// Circuits by the model's name. The last word counts.
#[async_trait]
pub trait ModelCircuitStore: Send + Sync {
    /// Says what a circuit is now; a word older than the last one changes nothing.
    async fn set(&self, circuit: ModelCircuit) -> Result<(), JournalError>;

    /// All that was ever said, by model.
    async fn circuits(&self) -> Result<Vec<ModelCircuit>, JournalError>;
}

/// Bytes of a service's name.
pub const SERVICE_BYTES_MAX: usize = 4_096;
/// Circuits of services that [`ServiceCircuitStore::service_circuits`] answers with, the newest first.
pub const SERVICE_CIRCUITS_MAX: usize = 10_000;
/// How long a circuit is kept that nobody has heard of any more.
pub const SERVICE_CIRCUIT_KEPT_FOR: std::time::Duration = std::time::Duration::from_secs(2 * 24 * 60 * 60);

/// A service that tools of one tenant call, as all processes have found it: it fails, or has failed and answers again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCircuit {
    pub tenant: TenantId,
    pub service: String,
    /// Failures in a row, of all processes together, since it last answered.
    pub failures: u32,
    /// When one call may find out whether it answers again; nothing where the circuit is closed.
    pub open_until: Option<Time>,
    /// When it opened or closed; the last failure's time where it never did.
    pub since: Time,
}

/// Circuits of services that tools call. What is written is seen by every process once the call returns; a crash may lose it.
#[async_trait]
pub trait ServiceCircuitStore: Send + Sync {
    /// One more failure in a row at `now`: how many there are now.
    async fn record_failure(&self, tenant: &TenantId, service: &str, now: Time) -> Result<u32, JournalError>;

    /// Says that a circuit opened, until then, or closed, which also ends the failures in a row. A word older than the
    /// last one changes nothing.
    async fn set_service_circuit(
        &self,
        tenant: &TenantId,
        service: &str,
        open_until: Option<Time>,
        now: Time,
    ) -> Result<(), JournalError>;

    /// Those that are not simply sound: open, failing, or closed in the last [`SERVICE_CIRCUIT_KEPT_FOR`].
    async fn service_circuits(&self, now: Time) -> Result<Vec<ServiceCircuit>, JournalError>;
}
