//! Stage: the service is not known to be failing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::circuit::{Circuit, Limits, Pass, Stand};
use baton_core::id::TenantId;
use baton_core::time::Time;

use super::Stopped;
use crate::catalogue::Entry;
use crate::code;
use crate::failure::Failure;
use crate::request::Request;

/// Failures in a row that open a circuit, and for how long.
const LIMITS: Limits = Limits { failures: 5, open_for: Duration::from_secs(60) };
/// When to ask again where a person holds it open.
const HELD_FOR: Duration = Duration::from_secs(60);

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
    tenants: Mutex<HashMap<TenantId, HashMap<String, Circuit>>>,
}

pub(super) fn check(
    circuits: &Arc<Circuits>,
    request: &Request,
    entry: &Arc<Entry>,
    now: Time,
) -> Result<Ticket, Stopped> {
    let tenant = request.call.tenant.clone();
    let service = entry.performer_of(&request.call).tool.service(request).map(Cow::into_owned);
    let Some(service) = service else { return Ok(Ticket::default()) };
    let admitted = circuits.with(&tenant, &service, now, |circuit| match circuit.admit(now) {
        Some(pass) => Ok(pass),
        None => Err(match circuit.stand(now) {
            Stand::Open(Some(wait)) => wait,
            Stand::Open(None) => HELD_FOR,
            Stand::Closed | Stand::Due => Duration::ZERO,
        }),
    });
    let pass = admitted.map_err(|retry_after| Stopped::CircuitOpen { retry_after, entry: entry.clone() })?;
    Ok(Ticket(Some(Through { circuits: circuits.clone(), tenant, service, pass })))
}

impl Circuits {
    fn with<T>(&self, tenant: &TenantId, service: &str, now: Time, act: impl FnOnce(&mut Circuit) -> T) -> T {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let circuits = tenants.entry(tenant.clone()).or_default();
        if circuits.len() >= SERVICES_MAX && !circuits.contains_key(service) {
            circuits.retain(|_, circuit| circuit.stand(now) != Stand::Closed);
        }
        act(circuits.entry(service.to_owned()).or_insert_with(|| Circuit::new(LIMITS)))
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
    pub(crate) fn hear<T>(mut self, result: &Result<T, Failure>, now: Time) {
        let Some(through) = self.0.take() else { return };
        let Through { circuits, tenant, service, pass } = &through;
        let wait = result.as_ref().err().and_then(Failure::retry_after);
        circuits.with(tenant, service, now, |circuit| match result {
            Err(failure) if blames_service(failure) => drop(circuit.failed(*pass, now, wait)),
            Ok(_) | Err(_) => drop(circuit.succeeded(*pass, now)),
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(Through { circuits, tenant, service, pass }) = self.0.take() {
            circuits.with(&tenant, &service, Time::EPOCH, |circuit| circuit.abandoned(pass));
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
