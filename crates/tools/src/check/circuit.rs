//! Stage: the service is not known to be failing.

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

/// Failures in a row that open a circuit, and for how long.
const LIMITS: CircuitLimits = CircuitLimits { failures: 5, open_for: Duration::from_secs(60) };
/// When to ask again where a person holds it open.
const MANUAL_OPEN_RETRY: Duration = Duration::from_secs(60);

/// How often other processes are listened to, while there are calls: a word of theirs is a second late at most.
const SYNC_INTERVAL_MS: u64 = 1_000;

/// Services of one tenant that are remembered before the sound ones are forgotten.
const SERVICES_MAX: usize = 1_000;

/// What is worth another try and no fault of a service that was asked: it refuses, or is asked too often; or what came of
/// asking it is ours to say: somebody else is just booking the time, people are asked anew, our own records fail.
const NOT_SERVICE_FAULTS: [&str; 5] = [
    code::RATE_LIMIT_EXCEEDED,
    code::SERVICE_REJECTED,
    code::SLOT_TAKEN,
    code::APPROVAL_REQUIRED,
    code::STORAGE_UNAVAILABLE,
];

/// One circuit for each service a tenant's tools ask: the account there, and often the host, is the tenant's own.
#[derive(Default)]
pub(crate) struct CircuitRegistry {
    tenants: Mutex<HashMap<TenantId, HashMap<String, TrackedCircuit>>>,
    peers: Option<CircuitPeers>,
}

/// A service's circuit, and how many failures in a row all processes together had when it was last heard of.
struct TrackedCircuit {
    circuit: CircuitBreaker,
    failures: u32,
    /// When it last answered a call of this process.
    answered_at: Time,
}

/// Where processes tell each other.
struct CircuitPeers {
    port: Arc<dyn ServiceCircuitStore>,
    first_sync: OnceCell<()>,
    /// When they were last listened to, in milliseconds.
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

    /// Hears what other processes said: before the first call, and from time to time.
    async fn sync_if_due(&self, now: Time) {
        let Some(others) = &self.peers else { return };
        if !others.first_sync.initialized() {
            others.first_sync.get_or_init(|| self.sync(others, now)).await;
            return;
        }
        let heard_at = others.synced_at.load(Ordering::Relaxed);
        // Also where the clock was set back.
        if now.as_ms().abs_diff(heard_at) < SYNC_INTERVAL_MS {
            return;
        }
        // One call of many listens.
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
                        // It answered here before anybody heard here that it had failed elsewhere.
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

    /// A call failed by a fault of the service.
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

    /// The service answered.
    async fn succeeded(&self, through: &CircuitPassage, now: Time) {
        let CircuitPassage { tenant, service, pass, .. } = through;
        let (turn, had_failed) = self.with(tenant, service, now, |known| {
            known.answered_at = now;
            let had_failed = std::mem::take(&mut known.failures) > 0;
            (known.circuit.succeeded(*pass, now), had_failed)
        });
        // Others count on from what has failed before: they are told that it is over.
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

/// A call let through a circuit, which will hear what came of it. Dropped unheard, it tells nothing of the service.
#[derive(Default)]
pub(crate) struct CircuitGuard(Option<CircuitPassage>);

struct CircuitPassage {
    circuits: Arc<CircuitRegistry>,
    tenant: TenantId,
    service: String,
    pass: CircuitAdmission,
}

impl CircuitGuard {
    /// What an attempt that turned to the service says of it, however it went for the caller.
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

/// A service that refuses is working.
fn blames_service(failure: &ToolError) -> bool {
    match failure {
        ToolError::NotDone { fault, retryable, .. } => *retryable && !NOT_SERVICE_FAULTS.contains(&&*fault.code),
        ToolError::Unknown { .. } => true,
        ToolError::NeedsInput { .. } => false,
    }
}
