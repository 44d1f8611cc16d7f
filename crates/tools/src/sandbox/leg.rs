//! One leg of a program: from its start, or from where it waited, to its end or its next calls.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use baton_core::agent::{Program, Ran, ToolRequest};
use baton_core::fault::Fault;
use baton_core::tool::Envelope;
use baton_ports::sandbox::Limits;

use super::awaits::awaits;
use super::frame::{Asked, Budget, Cause, Given, ORDER_BYTES_MAX, Order, SOURCE_BYTES_MAX, Work, encode};
use super::seal::{Broken, Grant, Seal};
use super::{fault, names};
use crate::code;

/// A leg, ready to be ordered.
pub(super) struct Leg {
    /// The order as a frame.
    pub(super) order: Vec<u8>,
    /// What the program was granted, and had used before this leg.
    pub(super) grant: Grant,
    /// What it may use in all.
    pub(super) limits: Limits,
    /// What is left of its time.
    pub(super) time: Duration,
}

impl Leg {
    /// # Errors
    /// What the program has come to without being run.
    pub(super) fn new(program: &Program, limits: Limits, seal: &Seal) -> Result<Self, Ran> {
        let (grant, work) = match program {
            Program::Start { source, inputs, tools } => {
                let grant = fresh(source, inputs, tools)?;
                (grant, Work::Start { source: source.clone(), inputs: inputs.clone() })
            }
            Program::Replay { source, inputs, tools, calls } => {
                let grant = Grant { calls: calls.len(), ..fresh(source, inputs, tools)? };
                let calls = calls.iter().map(|(asked, result)| (again(asked), given(result))).collect();
                (grant, Work::Replay { source: source.clone(), inputs: inputs.clone(), calls })
            }
            Program::Resume { snapshot, results } => {
                let (grant, state) = seal.open(snapshot).map_err(|broken| match broken {
                    Broken::Stale => Ran::Stale,
                    Broken::Altered(how) => failed(fault::of_program(Cause::Snapshot, how, &limits)),
                })?;
                if results.len() != grant.waiting {
                    let told = format!("it waits for {} results and was given {}", grant.waiting, results.len());
                    return Err(failed(fault::of_program(Cause::Snapshot, &told, &limits)));
                }
                (grant, Work::Resume { state: BASE64.encode(state), results: results.iter().map(given).collect() })
            }
        };
        Self::ordered(grant, work, limits)
    }

    fn ordered(grant: Grant, work: Work, limits: Limits) -> Result<Self, Ran> {
        let time = limits.time.saturating_sub(Duration::from_millis(grant.time_ms));
        if time.is_zero() {
            return Err(failed(fault::of_program(Cause::Time, "nothing is left of its time", &limits)));
        }
        // A replay makes its recorded calls once more, and they count once.
        let made = if matches!(work, Work::Replay { .. }) { 0 } else { grant.calls };
        let budget = Budget {
            memory_bytes: limits.memory_bytes,
            time_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
            recursion: limits.recursion,
            printed_bytes: limits.output_bytes.saturating_sub(grant.printed_bytes),
            output_bytes: limits.output_bytes,
            calls: limits.calls.saturating_sub(made),
        };
        let functions = grant.functions.keys().cloned().collect();
        let order = Order { work, functions, awaits: grant.awaits, budget };
        let order = encode(&order, ORDER_BYTES_MAX).map_err(|long| {
            let message =
                format!("source, inputs and results have {} bytes, over the limit of {ORDER_BYTES_MAX}", long.bytes);
            failed(Fault::new(code::CODE_INVALID, message))
        })?;
        Ok(Self { order, grant, limits, time })
    }
}

/// What a program that begins is granted.
fn fresh(
    source: &str,
    inputs: &std::collections::BTreeMap<String, serde_json::Value>,
    tools: &[String],
) -> Result<Grant, Ran> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("its text has {} bytes, over the limit of {SOURCE_BYTES_MAX}", source.len());
        return Err(failed(Fault::new(code::CODE_INVALID, message)));
    }
    let functions = names::functions(tools, inputs).map_err(|why| failed(Fault::new(code::CODE_NAMES, why)))?;
    Ok(Grant { functions, awaits: awaits(source), calls: 0, waiting: 0, printed_bytes: 0, time_ms: 0 })
}

pub(super) fn failed(fault: Fault) -> Ran {
    Ran::Failed { fault, printed: String::new() }
}

/// A recorded call as the program makes it again.
fn again(asked: &ToolRequest) -> Asked {
    Asked { function: names::function(&asked.tool), arguments: asked.arguments.clone() }
}

/// What a program sees of a result: the data, or an exception with code and reason.
fn given(result: &Envelope) -> Given {
    if result.success {
        return Given::Value(result.data.clone());
    }
    let code = result.error_code.as_deref().unwrap_or("FAILED");
    let reason = result.error_details.as_deref().or(result.error.as_deref()).unwrap_or("it gave no reason");
    Given::Error(format!("{code}: {reason}"))
}
