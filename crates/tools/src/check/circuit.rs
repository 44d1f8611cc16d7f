//! Stage: the service is not known to be failing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::circuit::{Circuit, Limits, Pass, Stand, Turn};
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::circuits::ServiceCircuits;
use tokio::sync::OnceCell;

use super::Stopped;
use crate::catalogue::Entry;
use crate::code;
use crate::failure::Failure;
use crate::request::Request;

/// Failures in a row that open a circuit, and for how long.
const LIMITS: Limits = Limits { failures: 5, open_for: Duration::from_secs(60) };
/// When to ask again where a person holds it open.
const HELD_FOR: Duration = Duration::from_secs(60);

/// How often other processes are listened to, while there are calls: a word of theirs is a second late at most.
const LISTEN_EVERY_MS: u64 = 1_000;

/// Services of one tenant that are remembered before the sound ones are forgotten.
const SERVICES_MAX: usize = 1_000;

/// What is worth another try and no fault of a service that was asked: it refuses, or is asked too often; or what came of
/// asking it is ours to say: somebody else is just booking the time, people are asked anew, our own records fail.
const NO_FAULT_OF_ITS: [&str; 5] = [
    code::RATE_LIMIT_EXCEEDED,
    code::SERVICE_REJECTED,
    code::SLOT_TAKEN,
    code::APPROVAL_REQUIRED,
    code::STORAGE_UNAVAILABLE,
];

/// One circuit for each service a tenant's tools ask: the account there, and often the host, is the tenant's own.
#[derive(Default)]
pub(crate) struct Circuits {
    tenants: Mutex<HashMap<TenantId, HashMap<String, Known>>>,
    others: Option<Others>,
}

/// A service's circuit, and how many failures in a row all processes together had when it was last heard of.
struct Known {
    circuit: Circuit,
    failures: u32,
    /// When it last answered a call of this process.
    answered_at: Time,
}

/// Where processes tell each other.
struct Others {
    port: Arc<dyn ServiceCircuits>,
    begun: OnceCell<()>,
    /// When they were last listened to, in milliseconds.
    heard_at: AtomicI64,
}

pub(super) async fn check(
    circuits: &Arc<Circuits>,
    request: &Request,
    entry: &Arc<Entry>,
    now: Time,
) -> Result<Ticket, Stopped> {
    let tenant = request.call.tenant.clone();
    let service = entry.performer_of(&request.call).tool.service(request).map(Cow::into_owned);
    let Some(service) = service else { return Ok(Ticket::default()) };
    circuits.listen(now).await;
    let admitted = circuits.with(&tenant, &service, now, |known| match known.circuit.admit(now) {
        Some(pass) => Ok(pass),
        None => Err(match known.circuit.stand(now) {
            Stand::Open(Some(wait)) => wait,
            Stand::Open(None) => HELD_FOR,
            Stand::Closed | Stand::Due => Duration::ZERO,
        }),
    });
    let pass = admitted.map_err(|retry_after| Stopped::CircuitOpen { retry_after, entry: entry.clone() })?;
    Ok(Ticket(Some(Through { circuits: circuits.clone(), tenant, service, pass })))
}

impl Circuits {
    pub(crate) fn shared(port: Arc<dyn ServiceCircuits>) -> Self {
        let others = Others { port, begun: OnceCell::new(), heard_at: AtomicI64::new(0) };
        Self { tenants: Mutex::default(), others: Some(others) }
    }

    fn with<T>(&self, tenant: &TenantId, service: &str, now: Time, act: impl FnOnce(&mut Known) -> T) -> T {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let services = tenants.entry(tenant.clone()).or_default();
        if services.len() >= SERVICES_MAX && !services.contains_key(service) {
            services.retain(|_, known| known.circuit.stand(now) != Stand::Closed);
        }
        let unknown = || Known { circuit: Circuit::new(LIMITS), failures: 0, answered_at: Time::EPOCH };
        act(services.entry(service.to_owned()).or_insert_with(unknown))
    }

    /// Hears what other processes said: before the first call, and from time to time.
    async fn listen(&self, now: Time) {
        let Some(others) = &self.others else { return };
        if !others.begun.initialized() {
            others.begun.get_or_init(|| self.hear(others, now)).await;
            return;
        }
        let heard_at = others.heard_at.load(Ordering::Relaxed);
        // Also where the clock was set back.
        if now.as_ms().abs_diff(heard_at) < LISTEN_EVERY_MS {
            return;
        }
        // One call of many listens.
        let is_ours = others.heard_at.compare_exchange(heard_at, now.as_ms(), Ordering::Relaxed, Ordering::Relaxed);
        if is_ours.is_ok() {
            self.hear(others, now).await;
        }
    }

    async fn hear(&self, others: &Others, now: Time) {
        others.heard_at.store(now.as_ms(), Ordering::Relaxed);
        match others.port.service_circuits(now).await {
            Ok(said) => {
                for said in &said {
                    let answered_at = self.with(&said.tenant, &said.service, now, |known| {
                        known.circuit.told(said.open_until.is_some(), said.open_until, said.since);
                        // It answered here before anybody heard here that it had failed elsewhere.
                        let is_over = said.open_until.is_none() && said.failures > 0 && known.answered_at > said.since;
                        known.failures = if is_over { 0 } else { said.failures };
                        is_over.then_some(known.answered_at)
                    });
                    if let Some(at) = answered_at {
                        others.tell(&said.tenant, &said.service, None, at).await;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "what other processes say of failing services cannot be heard"),
        }
    }

    /// A call failed by a fault of the service.
    async fn failed(&self, through: &Through, now: Time, wait: Option<Duration>) {
        let Through { tenant, service, pass, .. } = through;
        let failures = match &self.others {
            Some(others) if *pass == Pass::Free => others.port.failed(tenant, service, now).await,
            Some(_) | None => Ok(0),
        };
        let turn = self.with(tenant, service, now, |known| {
            if let Ok(failures @ 1..) = failures {
                known.circuit.know_failures(failures - 1);
                known.failures = failures;
            }
            known.circuit.failed(*pass, now, wait)
        });
        match failures {
            Ok(_) => self.tell(through, turn, now).await,
            Err(error) => tracing::warn!(%error, service, "other processes cannot be told of a failing service"),
        }
    }

    /// The service answered.
    async fn succeeded(&self, through: &Through, now: Time) {
        let Through { tenant, service, pass, .. } = through;
        let (turn, had_failed) = self.with(tenant, service, now, |known| {
            known.answered_at = now;
            let had_failed = std::mem::take(&mut known.failures) > 0;
            (known.circuit.succeeded(*pass, now), had_failed)
        });
        // Others count on from what has failed before: they are told that it is over.
        let over = (had_failed && *pass == Pass::Free).then_some(Turn::Closed);
        self.tell(through, turn.or(over), now).await;
    }

    async fn tell(&self, through: &Through, turn: Option<Turn>, now: Time) {
        let (Some(others), Some(turn)) = (&self.others, turn) else { return };
        let open_until = match turn {
            Turn::Opened { until } => Some(until),
            Turn::Closed => None,
        };
        others.tell(&through.tenant, &through.service, open_until, now).await;
    }
}

impl Others {
    async fn tell(&self, tenant: &TenantId, service: &str, open_until: Option<Time>, now: Time) {
        if let Err(error) = self.port.tell(tenant, service, open_until, now).await {
            tracing::warn!(%error, service, "other processes cannot be told of a service");
        }
    }
}

/// A call let through a circuit, which will hear what came of it. Dropped unheard, it tells nothing of the service.
#[derive(Default)]
pub(crate) struct Ticket(Option<Through>);

struct Through {
    circuits: Arc<Circuits>,
    tenant: TenantId,
    service: String,
    pass: Pass,
}

impl Ticket {
    /// What an attempt that turned to the service says of it, however it went for the caller.
    pub(crate) async fn hear<T>(mut self, result: &Result<T, Failure>, now: Time) {
        let Some(through) = self.0.take() else { return };
        let circuits = through.circuits.clone();
        match result {
            Err(failure) if blames_service(failure) => circuits.failed(&through, now, failure.retry_after()).await,
            Ok(_) | Err(_) => circuits.succeeded(&through, now).await,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(Through { circuits, tenant, service, pass }) = self.0.take() {
            circuits.with(&tenant, &service, Time::EPOCH, |known| known.circuit.abandoned(pass));
        }
    }
}

/// A service that refuses is working.
fn blames_service(failure: &Failure) -> bool {
    match failure {
        Failure::NotDone { fault, retryable, .. } => *retryable && !NO_FAULT_OF_ITS.contains(&&*fault.code),
        Failure::Unknown { .. } => true,
        Failure::Asks { .. } => false,
    }
}
