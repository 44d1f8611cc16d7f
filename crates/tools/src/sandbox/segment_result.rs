//! Validates responses. The child is not trusted, because the program it ran may control it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use baton_core::agent::{ProgramOutcome, ToolRequest};

use super::fault;
use super::frame::{ARGUMENTS_BYTES_MAX, ChildResponse, MESSAGE_BYTES_MAX, ProgramCall, ProgramFailureKind};
use super::seal::{ProgramGrant, SnapshotSeal, SnapshotSizeError};
use super::segment::SegmentOrder;

/// The outcome of a program, and whether its child may run another.
#[derive(Debug, PartialEq)]
pub(super) struct SegmentResult {
    pub(super) ran: ProgramOutcome,
    pub(super) is_child_reusable: bool,
}

/// Checks a response against the grant.
///
/// # Errors
/// Baton's own code never sends such a response: the child is compromised.
pub(super) fn interpret(
    answer: ChildResponse,
    leg: &SegmentOrder,
    took: Duration,
    seal: &SnapshotSeal,
) -> Result<SegmentResult, &'static str> {
    let room = leg.limits.output_bytes.saturating_sub(leg.grant.printed_bytes);
    match answer {
        ChildResponse::Ready { .. } | ChildResponse::Refused(_) => Err("it answered a program as if it had just begun"),
        ChildResponse::Stale => Ok(finished(ProgramOutcome::Stale)),
        ChildResponse::Finished { printed, .. }
        | ChildResponse::Calls { printed, .. }
        | ChildResponse::Failed { printed, .. }
            if printed.len() > room =>
        {
            Err("it printed more than it may")
        }
        ChildResponse::Finished { output, .. } if output.to_string().len() > leg.limits.output_bytes => {
            Err("its result is larger than it may be")
        }
        ChildResponse::Finished { output, printed } => Ok(finished(ProgramOutcome::Finished { output, printed })),
        ChildResponse::Failed { cause, message, printed } => {
            let fault = fault::of_program(cause, truncated(&message), &leg.limits);
            // A program's own error leaves the child intact; after an exceeded limit, the state of the child is
            // unknown.
            let is_child_sound = matches!(
                cause,
                ProgramFailureKind::Invalid
                    | ProgramFailureKind::Raised
                    | ProgramFailureKind::Value
                    | ProgramFailureKind::NotAwaited
            );
            Ok(SegmentResult { ran: ProgramOutcome::Failed { fault, printed }, is_child_reusable: is_child_sound })
        }
        ChildResponse::Calls { calls, state, printed } => paused(calls, &state, printed, leg, took, seal),
    }
}

fn finished(ran: ProgramOutcome) -> SegmentResult {
    SegmentResult { ran, is_child_reusable: true }
}

fn paused(
    calls: Vec<ProgramCall>,
    state: &str,
    printed: String,
    leg: &SegmentOrder,
    took: Duration,
    seal: &SnapshotSeal,
) -> Result<SegmentResult, &'static str> {
    if calls.is_empty() || calls.len() > leg.limits.calls.saturating_sub(leg.grant.calls) {
        return Err("it asked for more calls than it may, or for none");
    }
    let bytes: usize = calls.iter().map(|call| call.arguments.to_string().len()).sum();
    if bytes > ARGUMENTS_BYTES_MAX || !calls.iter().all(|call| call.arguments.is_object()) {
        return Err("the arguments of its calls are not such as calls have");
    }
    let state = BASE64.decode(state).map_err(|_| "its state is not base64")?;
    let grant = ProgramGrant {
        calls: leg.grant.calls + calls.len(),
        waiting: calls.len(),
        printed_bytes: leg.grant.printed_bytes + printed.len(),
        time_ms: leg.grant.time_ms.saturating_add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        ..leg.grant.clone()
    };
    let calls = calls.into_iter().enumerate().map(|(place, call)| {
        let tool = leg.grant.functions.get(&call.function).cloned()?;
        Some(ToolRequest { id: format!("c{}", leg.grant.calls + place + 1), tool, arguments: call.arguments })
    });
    let calls: Vec<ToolRequest> = calls.collect::<Option<_>>().ok_or("it asked for a tool it was not granted")?;
    Ok(match seal.close(&grant, &state) {
        Ok(snapshot) => finished(ProgramOutcome::Calls { calls, snapshot, printed }),
        Err(SnapshotSizeError(bytes)) => {
            let told = format!("its variables take about {bytes} bytes when it calls");
            let fault = fault::of_program(ProgramFailureKind::State, &told, &leg.limits);
            SegmentResult { ran: ProgramOutcome::Failed { fault, printed }, is_child_reusable: true }
        }
    })
}

/// Truncates a message to a readable length.
fn truncated(message: &str) -> &str {
    let end = message.len().min(MESSAGE_BYTES_MAX);
    (0..=end).rev().find_map(|end| message.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
