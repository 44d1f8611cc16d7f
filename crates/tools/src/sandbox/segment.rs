//! One segment of a program: from its start, or from where it paused, to its end or its next calls.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use baton_core::agent::{ProgramOutcome, SandboxProgram, ToolRequest};
use baton_core::fault::Fault;
use baton_core::tool::ToolEnvelope;
use baton_ports::sandbox::SandboxLimits;

use super::awaits::uses_await;
use super::frame::{
    CallReply, ChildBudget, ChildRequest, ChildWork, ORDER_BYTES_MAX, ProgramCall, ProgramFailureKind,
    SOURCE_BYTES_MAX, encode,
};
use super::seal::{ProgramGrant, SnapshotError, SnapshotSeal};
use super::{fault, function_names};
use crate::code;

/// A segment, ready to be sent to a child.
pub(super) struct SegmentOrder {
    /// The request as a frame.
    pub(super) order: Vec<u8>,
    /// What the program was granted, and had used before this segment.
    pub(super) grant: ProgramGrant,
    /// The limits of the whole program.
    pub(super) limits: SandboxLimits,
    /// The remaining run time.
    pub(super) time: Duration,
}

impl SegmentOrder {
    /// Builds the request.
    ///
    /// # Errors
    /// The outcome of the program, if it cannot be run at all.
    pub(super) fn new(
        program: &SandboxProgram,
        limits: SandboxLimits,
        seal: &SnapshotSeal,
    ) -> Result<Self, ProgramOutcome> {
        let (grant, work) = match program {
            SandboxProgram::Start { source, inputs, tools } => {
                let grant = initial_grant(source, inputs, tools)?;
                (grant, ChildWork::Start { source: source.clone(), inputs: inputs.clone() })
            }
            SandboxProgram::Replay { source, inputs, tools, calls } => {
                let grant = ProgramGrant { calls: calls.len(), ..initial_grant(source, inputs, tools)? };
                let calls = calls.iter().map(|(asked, result)| (recorded_call(asked), call_reply(result))).collect();
                (grant, ChildWork::Replay { source: source.clone(), inputs: inputs.clone(), calls })
            }
            SandboxProgram::Resume { snapshot, results } => {
                let (grant, state) = seal.open(snapshot).map_err(|broken| match broken {
                    SnapshotError::Stale => ProgramOutcome::Stale,
                    SnapshotError::Tampered(how) => {
                        failed(fault::of_program(ProgramFailureKind::Snapshot, how, &limits))
                    }
                })?;
                if results.len() != grant.waiting {
                    let told = format!("it waits for {} results and was given {}", grant.waiting, results.len());
                    return Err(failed(fault::of_program(ProgramFailureKind::Snapshot, &told, &limits)));
                }
                (
                    grant,
                    ChildWork::Resume {
                        state: BASE64.encode(state),
                        results: results.iter().map(call_reply).collect(),
                    },
                )
            }
        };
        Self::with_work(grant, work, limits)
    }

    fn with_work(grant: ProgramGrant, work: ChildWork, limits: SandboxLimits) -> Result<Self, ProgramOutcome> {
        let time = limits.time.saturating_sub(Duration::from_millis(grant.time_ms));
        if time.is_zero() {
            return Err(failed(fault::of_program(ProgramFailureKind::Time, "nothing is left of its time", &limits)));
        }
        // A replay repeats its recorded calls, which count only once.
        let made = if matches!(work, ChildWork::Replay { .. }) { 0 } else { grant.calls };
        let budget = ChildBudget {
            memory_bytes: limits.memory_bytes,
            time_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            recursion: limits.recursion,
            printed_bytes: limits.output_bytes.saturating_sub(grant.printed_bytes),
            output_bytes: limits.output_bytes,
            calls: limits.calls.saturating_sub(made),
        };
        let functions = grant.functions.keys().cloned().collect();
        let order = ChildRequest { work, functions, awaits: grant.awaits, budget };
        let order = encode(&order, ORDER_BYTES_MAX).map_err(|long| {
            let message =
                format!("source, inputs and results have {} bytes, over the limit of {ORDER_BYTES_MAX}", long.bytes);
            failed(Fault::new(code::CODE_INVALID, message))
        })?;
        Ok(Self { order, grant, limits, time })
    }
}

/// Returns the grant of a program that starts.
fn initial_grant(
    source: &str,
    inputs: &std::collections::BTreeMap<String, serde_json::Value>,
    tools: &[String],
) -> Result<ProgramGrant, ProgramOutcome> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("its text has {} bytes, over the limit of {SOURCE_BYTES_MAX}", source.len());
        return Err(failed(Fault::new(code::CODE_INVALID, message)));
    }
    let functions =
        function_names::functions(tools, inputs).map_err(|why| failed(Fault::new(code::CODE_NAMES, why)))?;
    Ok(ProgramGrant { functions, awaits: uses_await(source), calls: 0, waiting: 0, printed_bytes: 0, time_ms: 0 })
}

pub(super) fn failed(fault: Fault) -> ProgramOutcome {
    ProgramOutcome::Failed { fault, printed: String::new() }
}

/// A recorded call as the program makes it again.
fn recorded_call(asked: &ToolRequest) -> ProgramCall {
    ProgramCall { function: function_names::function(&asked.tool), arguments: asked.arguments.clone() }
}

/// Converts a result to what a program sees: the data, or an exception with code and reason.
fn call_reply(result: &ToolEnvelope) -> CallReply {
    if result.success {
        return CallReply::Value(result.data.clone());
    }
    let code = result.error_code.as_deref().unwrap_or("FAILED");
    let reason = result.error_details.as_deref().or(result.error.as_deref()).unwrap_or("it gave no reason");
    CallReply::Error(format!("{code}: {reason}"))
}
