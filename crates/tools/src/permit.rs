//! An admitted call, and the only way to perform it.

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

/// Maximum size of one result as JSON, in bytes, so that it fits into a journal entry.
const RESULT_BYTES_MAX: usize = 4 << 20;

/// Created only for calls that the check admitted. It owns the settled arguments, so the approved request is the one
/// that is sent.
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
        // If the service was not contacted, the guard is dropped without a report.
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
        // Model costs are listed under the models' names among the costs, and not counted again in the tools' own
        // figures.
        let audit = audit::row(request.call, Some(&entry), &outcome, at, sent.then_some(took));
        if let ToolOutcome::Done { cost, .. } = &mut outcome {
            *cost += tab.total();
        }
        CallReport { outcome, audit, charges: tab }
    }
}

/// Checks that people approved exactly the outgoing request. Otherwise the call returns to the check, which requests
/// a new approval.
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

/// Performs one attempt within `limit`. Returns its result and the result's size.
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

/// Limits the size of a result. An act whose result is too large was performed anyway; its result is then reduced to
/// what can be stored.
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
