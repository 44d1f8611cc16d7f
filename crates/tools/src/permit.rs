//! A call that was let through, and the one way to perform it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::ToolOutcome;
use baton_ports::clock::Clock;
use baton_ports::tools::{CallReport, PermittedCall};
use serde_json::Value;
use tokio::time::Instant;

use crate::audit;
use crate::call_state::ToolCallState;
use crate::check::AdmittedToolCall;
use crate::code;
use crate::reach_tracker;
use crate::tool_error::ToolError;
use crate::value_size::ValueSize;

/// Bytes of JSON one result may have, so that a journal entry can hold it.
const RESULT_BYTES_MAX: usize = 4 << 20;

/// Made only for what the check admitted. It owns the settled arguments, so what a person approved is what is sent.
pub(crate) struct Permit {
    admitted: AdmittedToolCall,
    call_state: Arc<ToolCallState>,
    clock: Arc<dyn Clock>,
}

impl Permit {
    pub(crate) fn new(admitted: AdmittedToolCall, gates: Arc<ToolCallState>, clock: Arc<dyn Clock>) -> Self {
        Self { admitted, call_state: gates, clock }
    }
}

#[async_trait]
impl PermittedCall for Permit {
    async fn perform(self: Box<Self>, limit: Duration) -> CallReport {
        let at = self.clock.now();
        let began = Instant::now();
        let ((result, contact), sent) = match check_approval(&self.admitted) {
            Ok(()) => {
                let told = self.admitted.request.call.caller.traceparent.as_deref();
                (reach_tracker::track(told, perform_within(limit, &self.admitted)).await, true)
            }
            Err(failure) => ((Err(failure), false), false),
        };
        let AdmittedToolCall { entry, request, cache_slot: place, circuit: ticket, approval: _ } = self.admitted;
        let (now, took) = (self.clock.now(), began.elapsed());
        // Dropped unheard where the service was not turned to.
        if contact {
            ticket.record(&result, now).await;
        } else {
            drop(ticket);
        }
        if let (Some(place), Ok((output, size))) = (place, &result) {
            place.keep(&*self.call_state.cache, (&request, &*entry), output.clone(), size.memory, now).await;
        }
        let tab = request.tab.clone();
        let mut outcome = match result {
            Ok((output, _)) => {
                ToolOutcome::Done { output, cost: entry.performer_of(&request.call).cost, cached: false }
            }
            Err(failure) => {
                outcome(failure.map_fault(|fault| code::localize(fault, &entry.category, request.language)))
            }
        };
        // What it asked models for is among the costs under their names, and in the tools' own figures not once more.
        let audit = audit::row(request.call, Some(&entry), &outcome, at, sent.then_some(took));
        if let ToolOutcome::Done { cost, .. } = &mut outcome {
            *cost += tab.total();
        }
        CallReport { outcome, audit, charges: tab }
    }
}

/// Whether people allowed exactly what goes out now. Where they did not, the call comes back to the check, which asks
/// them anew.
fn check_approval(admitted: &AdmittedToolCall) -> Result<(), ToolError> {
    let AdmittedToolCall { entry, request, approval: leave, .. } = admitted;
    match leave {
        Some(leave) if !leave.matches(request, entry) => {
            let message =
                format!("what `{}` would do is not what was allowed; people are asked anew", request.call.tool);
            Err(ToolError::transient(code::APPROVAL_REQUIRED, message))
        }
        Some(_) | None => Ok(()),
    }
}

/// One attempt, given up after `limit`: its result, and how large that is.
async fn perform_within(limit: Duration, admitted: &AdmittedToolCall) -> Result<(Arc<Value>, ValueSize), ToolError> {
    let AdmittedToolCall { entry, request, .. } = admitted;
    let attempt = tokio::time::timeout(limit, entry.performer_of(&request.call).tool.answer(request));
    match attempt.await {
        Ok(Ok(output)) => check_size(output, admitted),
        Ok(Err(failure)) => Err(failure),
        Err(_elapsed) => {
            let message = format!("`{}` gave no answer within {} ms", request.call.tool, limit.as_millis());
            Err(match request.is_unsent() {
                true => ToolError::transient(code::TIMEOUT, message),
                false => {
                    ToolError::indeterminate(request.call.class, baton_core::fault::Fault::new(code::TIMEOUT, message))
                }
            })
        }
    }
}

/// An act whose result is too large to keep has happened all the same: its result is then what can be kept of it.
fn check_size(output: Arc<Value>, admitted: &AdmittedToolCall) -> Result<(Arc<Value>, ValueSize), ToolError> {
    let size = ValueSize::of(&output);
    if size.text <= RESULT_BYTES_MAX {
        return Ok((output, size));
    }
    let call = &admitted.request.call;
    if call.class.has_side_effects() {
        let cut = serde_json::json!({"truncated": true, "bytes": size.text});
        return Ok((Arc::new(cut), size));
    }
    let message = format!("`{}` answered with {} bytes, over the limit of {RESULT_BYTES_MAX}", call.tool, size.text);
    Err(ToolError::permanent(code::RESPONSE_TOO_LARGE, message))
}

pub(crate) fn outcome(failure: ToolError) -> ToolOutcome {
    match failure {
        ToolError::NotDone { fault, retryable, retry_after } => ToolOutcome::NotDone { fault, retryable, retry_after },
        ToolError::Unknown { fault } => ToolOutcome::Unknown { fault },
        ToolError::NeedsInput { question, within, fault: _ } => ToolOutcome::Asks {
            question,
            within: within.map(|within| u64::try_from(within.as_millis()).unwrap_or(u64::MAX)),
        },
    }
}
