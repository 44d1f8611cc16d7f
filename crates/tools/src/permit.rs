//! A call that was let through, and the one way to perform it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::Outcome;
use baton_ports::clock::Clock;
use baton_ports::tools::{Performed, PermittedCall};
use serde_json::Value;
use tokio::time::Instant;

use crate::audit;
use crate::check::Admitted;
use crate::code;
use crate::contact;
use crate::failure::Failure;
use crate::gates::Gates;
use crate::size::Size;

/// Bytes of JSON one result may have, so that a journal entry can hold it.
const RESULT_BYTES_MAX: usize = 4 << 20;

/// Made only for what the check admitted. It owns the settled arguments, so what a person approved is what is sent.
pub(crate) struct Permit {
    admitted: Admitted,
    gates: Arc<Gates>,
    clock: Arc<dyn Clock>,
}

impl Permit {
    pub(crate) fn new(admitted: Admitted, gates: Arc<Gates>, clock: Arc<dyn Clock>) -> Self {
        Self { admitted, gates, clock }
    }
}

#[async_trait]
impl PermittedCall for Permit {
    async fn perform(self: Box<Self>, limit: Duration) -> Performed {
        let at = self.clock.now();
        let began = Instant::now();
        let ((result, contact), sent) = match is_allowed(&self.admitted) {
            Ok(()) => {
                let told = self.admitted.request.call.caller.traceparent.as_deref();
                (contact::watched(told, within(limit, &self.admitted)).await, true)
            }
            Err(failure) => ((Err(failure), false), false),
        };
        let Admitted { entry, request, place, ticket, leave: _ } = self.admitted;
        let (now, took) = (self.clock.now(), began.elapsed());
        // Dropped unheard where the service was not turned to.
        if contact {
            ticket.hear(&result, now).await;
        } else {
            drop(ticket);
        }
        if let (Some(place), Ok((output, size))) = (place, &result) {
            place.keep(&*self.gates.answers, (&request, &*entry), output.clone(), size.memory, now).await;
        }
        let tab = request.tab.clone();
        let mut outcome = match result {
            Ok((output, _)) => Outcome::Done { output, cost: entry.performer_of(&request.call).cost, cached: false },
            Err(failure) => outcome(failure.map_fault(|fault| code::speak(fault, &entry.category, request.language))),
        };
        // What it asked models for is among the costs under their names, and in the tools' own figures not once more.
        let audit = audit::row(request.call, Some(&entry), &outcome, at, sent.then_some(took));
        if let Outcome::Done { cost, .. } = &mut outcome {
            *cost += tab.total();
        }
        Performed { outcome, audit, tab }
    }
}

/// Whether people allowed exactly what goes out now. Where they did not, the call comes back to the check, which asks
/// them anew.
fn is_allowed(admitted: &Admitted) -> Result<(), Failure> {
    let Admitted { entry, request, leave, .. } = admitted;
    match leave {
        Some(leave) if !leave.is_for(request, entry) => {
            let message =
                format!("what `{}` would do is not what was allowed; people are asked anew", request.call.tool);
            Err(Failure::later(code::APPROVAL_REQUIRED, message))
        }
        Some(_) | None => Ok(()),
    }
}

/// One attempt, given up after `limit`: its result, and how large that is.
async fn within(limit: Duration, admitted: &Admitted) -> Result<(Arc<Value>, Size), Failure> {
    let Admitted { entry, request, .. } = admitted;
    let attempt = tokio::time::timeout(limit, entry.performer_of(&request.call).tool.answer(request));
    match attempt.await {
        Ok(Ok(output)) => small_enough(output, admitted),
        Ok(Err(failure)) => Err(failure),
        Err(_elapsed) => {
            let message = format!("`{}` gave no answer within {} ms", request.call.tool, limit.as_millis());
            Err(match request.is_unsent() {
                true => Failure::later(code::TIMEOUT, message),
                false => Failure::unclear(request.call.class, baton_core::fault::Fault::new(code::TIMEOUT, message)),
            })
        }
    }
}

/// An act whose result is too large to keep has happened all the same: its result is then what can be kept of it.
fn small_enough(output: Arc<Value>, admitted: &Admitted) -> Result<(Arc<Value>, Size), Failure> {
    let size = Size::of(&output);
    if size.text <= RESULT_BYTES_MAX {
        return Ok((output, size));
    }
    let call = &admitted.request.call;
    if call.class.acts() {
        let cut = serde_json::json!({"truncated": true, "bytes": size.text});
        return Ok((Arc::new(cut), size));
    }
    let message = format!("`{}` answered with {} bytes, over the limit of {RESULT_BYTES_MAX}", call.tool, size.text);
    Err(Failure::refused(code::RESPONSE_TOO_LARGE, message))
}

pub(crate) fn outcome(failure: Failure) -> Outcome {
    match failure {
        Failure::NotDone { fault, retryable, retry_after } => Outcome::NotDone { fault, retryable, retry_after },
        Failure::Unknown { fault } => Outcome::Unknown { fault },
        Failure::Asks { question, within, fault: _ } => Outcome::Asks {
            question,
            within: within.map(|within| u64::try_from(within.as_millis()).unwrap_or(u64::MAX)),
        },
    }
}
