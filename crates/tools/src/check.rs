//! May this call go out? The stages, in order; each is one file, and stops the call or lets it on.

mod approval;
mod cache;
mod circuit;
mod enabled;
mod find;
mod parameters;
mod promise;
mod rate;

use std::sync::Arc;
use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::time::Time;
use baton_core::tool::Call;
use baton_ports::tools::Needed;
use serde_json::Value;

use crate::catalogue::{Catalogue, Entry};
use crate::gates::Gates;
use crate::request::Request;
use crate::rules::Rules;

pub(crate) use approval::Leave;
pub(crate) use cache::Answers;
pub(crate) use circuit::Circuits;
pub(crate) use parameters::Schema;
pub(crate) use rate::Paces;

/// A call that passed every stage.
pub(crate) struct Admitted {
    pub(crate) entry: Arc<Entry>,
    pub(crate) request: Request,
    /// What people allowed, where they were asked.
    pub(crate) leave: Option<Leave>,
    /// Where its answer may be kept.
    pub(crate) place: Option<cache::Place>,
    /// Hears how the attempt went.
    pub(crate) ticket: circuit::Ticket,
}

/// A call that a stage stopped.
pub(crate) enum Stopped {
    Refused {
        fault: Fault,
        entry: Option<Arc<Entry>>,
    },
    NeedsApproval(Box<Needed>),
    /// Asked before, and the answer still holds.
    Known {
        output: Arc<Value>,
        entry: Arc<Entry>,
    },
    RateLimited {
        retry_after: Duration,
    },
    CircuitOpen {
        retry_after: Duration,
        entry: Arc<Entry>,
    },
}

impl Stopped {
    fn refused(code: &'static str, message: impl Into<String>, entry: &Arc<Entry>) -> Self {
        Self::Refused { fault: Fault::new(code, message), entry: Some(entry.clone()) }
    }
}

/// Runs the stages. A new one is a file beside these and a line here.
pub(crate) async fn admit(
    catalogue: &Catalogue,
    rules: &Rules,
    gates: &Gates,
    call: &Call,
    approved: Option<&str>,
    now: Time,
) -> Result<Admitted, Stopped> {
    let entry = find::tool(catalogue, &call.tool)?;
    let rules = rules.of(&call.tenant);
    let permission = rules.tool(catalogue, call, entry);
    let permission = permission.as_deref();
    enabled::check(permission, call, entry)?;
    let mut request = parameters::settle(rules, permission, call, entry)?;
    promise::check(&request, entry)?;
    let leave = approval::check(rules, permission, &request, entry, approved).await?;
    request.account = leave.as_ref().and_then(|leave| leave.account.clone());
    let place = cache::check(&*gates.answers, permission, &request, entry, now).await?;
    // Before the rate: a turn is not spent on a service that is left alone.
    let ticket = circuit::check(&gates.circuits, &request, entry, now).await?;
    rate::check(&*gates.rate_limits, rules, permission, call, entry, now).await?;
    Ok(Admitted { entry: entry.clone(), request, leave, place, ticket })
}

/// The request of a call that went out before, to ask what became of it. Permission is not asked: nothing is done.
pub(crate) fn settle(catalogue: &Catalogue, rules: &Rules, call: &Call, entry: &Arc<Entry>) -> Result<Request, String> {
    let rules = rules.of(&call.tenant);
    let permission = rules.tool(catalogue, call, entry);
    parameters::settle(rules, permission.as_deref(), call, entry).map_err(|stopped| match stopped {
        Stopped::Refused { fault, .. } => fault.message,
        // Settling asks no other stage.
        Stopped::NeedsApproval(_)
        | Stopped::Known { .. }
        | Stopped::RateLimited { .. }
        | Stopped::CircuitOpen { .. } => "the call cannot be settled".to_owned(),
    })
}
