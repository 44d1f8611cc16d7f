//! Stage: the service's circuit is not open.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::circuit::{CircuitAdmission, CircuitBreaker, CircuitLimits, CircuitStatus, CircuitTransition};
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::circuits::ServiceCircuitStore;
use tokio::sync::OnceCell;

use super::EarlyOutcome;
use crate::catalogue::ToolEntry;
use crate::code;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// Consecutive failures that open a circuit, and how long it stays open.
const LIMITS: CircuitLimits = CircuitLimits { failures: 5, open_for: Duration::from_secs(60) };
/// When to retry if a person holds the circuit open.
const MANUAL_OPEN_RETRY: Duration = Duration::from_secs(60);

/// How often the state of other processes is read while there are calls: their transitions arrive at most one second
/// late.
const SYNC_INTERVAL_MS: u64 = 1_000;

/// Maximum number of tracked services per tenant; beyond it, healthy ones are evicted.
const SERVICES_MAX: usize = 1_000;

/// Errors that may be retried but are no fault of the service: it refuses the request or throttles it, or the cause
/// is on this side. Examples of the latter: a concurrent booking of the same time, a new question to people, a
/// failure of this installation's own records.
const NOT_SERVICE_FAULTS: [&str; 5] = [
    code::RATE_LIMIT_EXCEEDED,
    code::SERVICE_REJECTED,
    code::SLOT_TAKEN,
    code::APPROVAL_REQUIRED,
    code::STORAGE_UNAVAILABLE,
];

/// One circuit for each service that a tenant's tools call. Circuits are per tenant because the account, and often
/// the host, is the tenant's own.
#[derive(Default)]
pub(crate) struct CircuitRegistry {
    tenants: Mutex<HashMap<TenantId, HashMap<String, TrackedCircuit>>>,
    peers: Option<CircuitPeers>,
}

/// A service's circuit, and the consecutive failures of all processes together as of the last sync.
struct TrackedCircuit {
    circuit: CircuitBreaker,
    failures: u32,
    /// When it last answered a call of this process.
    answered_at: Time,
}

/// The connection to the circuits of other processes.
struct CircuitPeers {
    port: Arc<dyn ServiceCircuitStore>,
    first_sync: OnceCell<()>,
    /// The time of the last sync, in milliseconds.
    synced_at: AtomicI64,
}

pub(super) async fn check(
    circuits: &Arc<CircuitRegistry>,
    request: &PreparedRequest,
    entry: &Arc<ToolEntry>,
    now: Time,
) -> Result<CircuitGuard, EarlyOutcome> {
    let tenant = request.call.tenant.clone();
    let service = entry.performer_of(&request.call).tool.service(request).map(Cow::into_owned);
    let Some(service) = service else { return Ok(CircuitGuard::default()) };
    circuits.sync_if_due(now).await;
    let admitted = circuits.with(&tenant, &service, now, |known| match known.circuit.admit(now) {
        Some(pass) => Ok(pass),
        None => Err(match known.circuit.status(now) {
            CircuitStatus::Open(Some(wait)) => wait,
            CircuitStatus::Open(None) => MANUAL_OPEN_RETRY,
            CircuitStatus::Closed | CircuitStatus::Due => Duration::ZERO,
        }),
    });
    let pass = admitted.map_err(|retry_after| EarlyOutcome::CircuitOpen { retry_after, entry: entry.clone() })?;
    Ok(CircuitGuard(Some(CircuitPassage { circuits: circuits.clone(), tenant, service, pass })))
}

impl CircuitRegistry {
    pub(crate) fn shared(port: Arc<dyn ServiceCircuitStore>) -> Self {
        let others = CircuitPeers { port, first_sync: OnceCell::new(), synced_at: AtomicI64::new(0) };
        Self { tenants: Mutex::default(), peers: Some(others) }
    }

    fn with<T>(&self, tenant: &TenantId, service: &str, now: Time, act: impl FnOnce(&mut TrackedCircuit) -> T) -> T {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let services = tenants.entry(tenant.clone()).or_default();
        if services.len() >= SERVICES_MAX && !services.contains_key(service) {
            services.retain(|_, known| known.circuit.status(now) != CircuitStatus::Closed);
        }
        let unknown = || TrackedCircuit { circuit: CircuitBreaker::new(LIMITS), failures: 0, answered_at: Time::EPOCH };
        act(services.entry(service.to_owned()).or_insert_with(unknown))
    }

    /// Reads the circuit state of other processes before the first call, and periodically after that.
    async fn sync_if_due(&self, now: Time) {
        let Some(others) = &self.peers else { return };
        if !others.first_sync.initialized() {
            others.first_sync.get_or_init(|| self.sync(others, now)).await;
            return;
        }
        let heard_at = others.synced_at.load(Ordering::Relaxed);
        // Also covers a clock that was set back.
        if now.as_ms().abs_diff(heard_at) < SYNC_INTERVAL_MS {
            return;
        }
        // Only one of several concurrent calls syncs.
        let is_ours = others.synced_at.compare_exchange(heard_at, now.as_ms(), Ordering::Relaxed, Ordering::Relaxed);
        if is_ours.is_ok() {
            self.sync(others, now).await;
        }
    }

    async fn sync(&self, others: &CircuitPeers, now: Time) {
        others.synced_at.store(now.as_ms(), Ordering::Relaxed);
        match others.port.service_circuits(now).await {
            Ok(said) => {
                for said in &said {
                    let answered_at = self.with(&said.tenant, &said.service, now, |known| {
                        known.circuit.override_state(said.open_until.is_some(), said.open_until, said.since);
                        // The service answered this process before the failure of another process became known here.
                        let is_over = said.open_until.is_none() && said.failures > 0 && known.answered_at > said.since;
                        known.failures = if is_over { 0 } else { said.failures };
                        is_over.then_some(known.answered_at)
                    });
                    if let Some(at) = answered_at {
                        others.announce(&said.tenant, &said.service, None, at).await;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "what other processes say of failing services cannot be heard"),
        }
    }

    /// Records that a call failed by a fault of the service.
    async fn failed(&self, through: &CircuitPassage, now: Time, wait: Option<Duration>) {
        let CircuitPassage { tenant, service, pass, .. } = through;
        let failures = match &self.peers {
            Some(others) if *pass == CircuitAdmission::Normal => others.port.record_failure(tenant, service, now).await,
            Some(_) | None => Ok(0),
        };
        let turn = self.with(tenant, service, now, |known| {
            if let Ok(failures @ 1..) = failures {
                known.circuit.set_failure_count(failures - 1);
                known.failures = failures;
            }
            known.circuit.failed(*pass, now, wait)
        });
        match failures {
            Ok(_) => self.announce(through, turn, now).await,
            Err(error) => tracing::warn!(%error, service, "other processes cannot be told of a failing service"),
        }
    }

    /// Records that the service answered.
    async fn succeeded(&self, through: &CircuitPassage, now: Time) {
        let CircuitPassage { tenant, service, pass, .. } = through;
        let (turn, had_failed) = self.with(tenant, service, now, |known| {
            known.answered_at = now;
            let had_failed = std::mem::take(&mut known.failures) > 0;
            (known.circuit.succeeded(*pass, now), had_failed)
        });
        // Other processes continue from the earlier failure count, so they are notified that the failure is over.
        let over = (had_failed && *pass == CircuitAdmission::Normal).then_some(CircuitTransition::Closed);
        self.announce(through, turn.or(over), now).await;
    }

    async fn announce(&self, through: &CircuitPassage, turn: Option<CircuitTransition>, now: Time) {
        let (Some(others), Some(turn)) = (&self.peers, turn) else { return };
        let open_until = match turn {
            CircuitTransition::Opened { until } => Some(until),
            CircuitTransition::Closed => None,
        };
        others.announce(&through.tenant, &through.service, open_until, now).await;
    }
}

impl CircuitPeers {
    async fn announce(&self, tenant: &TenantId, service: &str, open_until: Option<Time>, now: Time) {
        if let Err(error) = self.port.set_service_circuit(tenant, service, open_until, now).await {
            tracing::warn!(%error, service, "other processes cannot be told of a service");
        }
    }
}

/// A call admitted by a circuit, which records its result. A guard dropped without a result reports nothing about the
/// service.
#[derive(Default)]
pub(crate) struct CircuitGuard(Option<CircuitPassage>);

struct CircuitPassage {
    circuits: Arc<CircuitRegistry>,
    tenant: TenantId,
    service: String,
    pass: CircuitAdmission,
}

impl CircuitGuard {
    /// Records what an attempt that reached the service says about its health, whatever the result for the caller.
    pub(crate) async fn record<T>(mut self, result: &Result<T, ToolError>, now: Time) {
        let Some(through) = self.0.take() else { return };
        let circuits = through.circuits.clone();
        match result {
            Err(failure) if blames_service(failure) => circuits.failed(&through, now, failure.retry_after()).await,
            Ok(_) | Err(_) => circuits.succeeded(&through, now).await,
        }
    }
}

impl Drop for CircuitGuard {
    fn drop(&mut self) {
        if let Some(CircuitPassage { circuits, tenant, service, pass }) = self.0.take() {
            circuits.with(&tenant, &service, Time::EPOCH, |known| known.circuit.abandoned(pass));
        }
    }
}

/// A service that refuses a request is working.
fn blames_service(failure: &ToolError) -> bool {
    match failure {
        ToolError::NotDone { fault, retryable, .. } => *retryable && !NOT_SERVICE_FAULTS.contains(&&*fault.code),
        ToolError::Unknown { .. } => true,
        ToolError::NeedsInput { .. } => false,
    }
}
