//! Handles one request: runs a program from its start, or from where it paused, to its end or to its next calls.

mod call;
mod exception;
mod state;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use monty::{FunctionCall, MontyRun, OsCall, ResolveFutures, RunProgress};
use monty_types::{
    CompileOptions, ExtFunctionResult, MontyException, MontyObject, NameLookupResult, ResourceLimits, ResourceTracker,
};
use serde_json::Value;

use super::print::PrintBuffer;
use super::value::{to_json, to_python};
use crate::sandbox::frame::{
    ARGUMENTS_BYTES_MAX, CallReply, ChildBudget, ChildRequest, ChildResponse, ChildWork, ProgramCall,
    ProgramFailureKind,
};

/// The name of the program's source in tracebacks.
const FILE: &str = "program.py";

type InterpreterProgress = Result<RunProgress, MontyException>;

/// Performs a request.
pub(super) fn perform(order: ChildRequest) -> ChildResponse {
    let ChildRequest { work, functions, awaits, budget } = order;
    let mut leg = ProgramSegment {
        functions,
        awaits,
        budget,
        printed: PrintBuffer::new(budget.printed_bytes),
        recorded: VecDeque::new(),
        replies: BTreeMap::new(),
        pending: Vec::new(),
        pending_bytes: 0,
        calls: 0,
    };
    let stopped = match work {
        ChildWork::Start { source, inputs } => leg.start(source, inputs),
        ChildWork::Replay { source, inputs, calls } => {
            leg.recorded = calls.into();
            leg.start(source, inputs)
        }
        ChildWork::Resume { state, results } => leg.resume(&state, results),
    };
    leg.answer(stopped)
}

/// What ends a segment.
enum SegmentEnd {
    Finished(MontyObject),
    /// Paused for calls, with the state to resume from.
    Calls(String),
    Stale,
    Failed(ProgramFailureKind, String),
}

impl SegmentEnd {
    fn failed<T>(cause: ProgramFailureKind, message: impl Into<String>) -> Result<T, Self> {
        Err(Self::Failed(cause, message.into()))
    }
}

/// A program in progress.
struct ProgramSegment {
    functions: Vec<String>,
    awaits: bool,
    budget: ChildBudget,
    printed: PrintBuffer,
    /// The earlier calls of a replayed program, with their results.
    recorded: VecDeque<(ProgramCall, CallReply)>,
    /// Recorded results of calls that it has not awaited yet, by the interpreter's number of the call.
    replies: BTreeMap<u32, CallReply>,
    /// Calls without results, in order, with the interpreter's numbers.
    pending: Vec<(u32, ProgramCall)>,
    pending_bytes: usize,
    /// Number of calls made in this segment.
    calls: usize,
}

impl ProgramSegment {
    fn start(&mut self, source: String, inputs: BTreeMap<String, Value>) -> SegmentEnd {
        // Functions are variables of the program, so that a tool takes precedence over a builtin of the same name.
        let function = |name: &String| (name.clone(), MontyObject::Function { name: name.clone(), docstring: None });
        let given = inputs.into_iter().map(|(name, value)| (name, to_python(value)));
        let (names, values) = self.functions.iter().map(function).chain(given).unzip();
        let program = match MontyRun::new(source, FILE, names, CompileOptions::default()) {
            Ok(program) => program,
            Err(error) => return SegmentEnd::Failed(ProgramFailureKind::Invalid, exception::traceback(&error)),
        };
        let limits = ResourceLimits::default()
            .max_duration(Duration::from_millis(self.budget.time_ms))
            .max_memory(self.budget.memory_bytes)
            .max_recursion_depth(self.budget.recursion);
        let first = program.start(values, ResourceTracker::new(limits), self.printed.writer());
        self.drive(first)
    }

    fn resume(&mut self, state: &str, results: Vec<CallReply>) -> SegmentEnd {
        let paused = match state::load(state) {
            Ok(paused) => paused,
            Err(stop) => return stop,
        };
        let count = results.len();
        let mut results = results.into_iter();
        let next = match (paused, results.next()) {
            (RunProgress::FunctionCall(call), Some(result)) if count == 1 => {
                call.resume(external_result(result), self.printed.writer())
            }
            (RunProgress::ResolveFutures(futures), Some(first)) if count == futures.pending_call_ids().len() => {
                // The interpreter numbers calls in the order they are made, but lists them in any order.
                let mut calls = futures.pending_call_ids().to_vec();
                calls.sort_unstable();
                let results = std::iter::once(first).chain(results).map(external_result);
                futures.resume(calls.into_iter().zip(results).collect(), self.printed.writer())
            }
            _ => {
                return SegmentEnd::Failed(
                    ProgramFailureKind::Snapshot,
                    format!("it does not wait for {count} results"),
                );
            }
        };
        self.drive(next)
    }

    /// Runs until something must be answered.
    fn drive(&mut self, mut progress: InterpreterProgress) -> SegmentEnd {
        loop {
            let next = match progress {
                Ok(RunProgress::Complete(value)) => return self.finished(value),
                Ok(RunProgress::FunctionCall(call)) => self.handle_call(call),
                Ok(RunProgress::ResolveFutures(futures)) => self.resolve_futures(futures),
                Ok(RunProgress::OsCall(call)) => return self.denied(call),
                Ok(RunProgress::NameLookup(lookup)) => {
                    Ok(lookup.resume(NameLookupResult::Undefined, self.printed.writer()))
                }
                Err(error) => return self.raised(&error),
            };
            progress = match next {
                Ok(progress) => progress,
                Err(stop) => return stop,
            };
        }
    }

    fn handle_call(&mut self, call: FunctionCall) -> Result<InterpreterProgress, SegmentEnd> {
        let asked = match call::read_call(&call, &self.functions) {
            Ok(asked) => asked,
            Err(error) => return Ok(call.resume(error, self.printed.writer())),
        };
        if self.calls == self.budget.calls {
            return SegmentEnd::failed(
                ProgramFailureKind::Calls,
                format!("`{}` would be one call more than it may make", asked.function),
            );
        }
        self.calls += 1;
        if let Some((recorded, given)) = self.recorded.pop_front() {
            return self.replay_call(call, &asked, &recorded, given);
        }
        self.pending_bytes += asked.arguments.to_string().len();
        if self.pending_bytes > ARGUMENTS_BYTES_MAX {
            return SegmentEnd::failed(
                ProgramFailureKind::Output,
                format!("the arguments of its calls have more than {ARGUMENTS_BYTES_MAX} bytes"),
            );
        }
        self.pending.push((call.call_id, asked));
        if self.awaits {
            return Ok(call.resume_pending(self.printed.writer()));
        }
        Err(state::suspend(RunProgress::FunctionCall(call)))
    }

    /// A call that was made before gets its recorded result.
    fn replay_call(
        &mut self,
        call: FunctionCall,
        asked: &ProgramCall,
        recorded: &ProgramCall,
        given: CallReply,
    ) -> Result<InterpreterProgress, SegmentEnd> {
        if asked != recorded {
            return SegmentEnd::failed(ProgramFailureKind::Differs, call::difference(self.calls, asked, recorded));
        }
        if self.awaits {
            self.replies.insert(call.call_id, given);
            return Ok(call.resume_pending(self.printed.writer()));
        }
        self.discard_replayed_output();
        Ok(call.resume(external_result(given), self.printed.writer()))
    }

    /// The program waits for calls: replayed calls get their recorded results, otherwise it pauses for all calls it
    /// has made.
    fn resolve_futures(&mut self, futures: ResolveFutures) -> Result<InterpreterProgress, SegmentEnd> {
        if !self.replies.is_empty() {
            let given = std::mem::take(&mut self.replies);
            self.discard_replayed_output();
            let results = given.into_iter().map(|(call, given)| (call, external_result(given))).collect();
            return Ok(futures.resume(results, self.printed.writer()));
        }
        let mut pending = futures.pending_call_ids().to_vec();
        pending.sort_unstable();
        if pending.is_empty() || !pending.iter().eq(self.pending.iter().map(|(call, _)| call)) {
            return SegmentEnd::failed(
                ProgramFailureKind::Raised,
                "RuntimeError: it waits for something that is no call of a tool",
            );
        }
        Err(state::suspend(RunProgress::ResolveFutures(futures)))
    }

    /// Output before the last recorded result was already reported when the program paused for that result.
    fn discard_replayed_output(&mut self) {
        if self.recorded.is_empty() {
            self.printed.discard();
        }
    }

    fn denied(&mut self, call: OsCall) -> SegmentEnd {
        let name = call.function_call.name();
        let error =
            MontyException::new(monty_types::ExcType::PermissionError, Some(format!("`{name}` is out of reach")));
        match call.abort(error, self.printed.writer()) {
            Err(error) => SegmentEnd::Failed(ProgramFailureKind::Denied, exception::traceback(&error)),
            Ok(_) => SegmentEnd::Failed(ProgramFailureKind::Denied, format!("`{name}` is out of reach")),
        }
    }

    fn raised(&self, error: &MontyException) -> SegmentEnd {
        let cause = if self.printed.has_overflowed() { ProgramFailureKind::Output } else { exception::cause(error) };
        SegmentEnd::Failed(cause, exception::traceback(error))
    }

    fn finished(&self, value: MontyObject) -> SegmentEnd {
        if self.printed.has_overflowed() {
            return SegmentEnd::Failed(ProgramFailureKind::Output, "it prints more than it may".to_owned());
        }
        if let Some((asked, _)) = self.recorded.front() {
            let message = format!("it ended without its recorded call of `{}`", asked.function);
            return SegmentEnd::Failed(ProgramFailureKind::Differs, message);
        }
        if let Some((_, asked)) = self.pending.first() {
            let function = &asked.function;
            let message = format!("`{function}(…)` was not awaited, so it was not called; write `await {function}(…)`");
            return SegmentEnd::Failed(ProgramFailureKind::NotAwaited, message);
        }
        SegmentEnd::Finished(value)
    }

    fn answer(mut self, stop: SegmentEnd) -> ChildResponse {
        let printed = self.printed.take();
        match stop {
            SegmentEnd::Finished(value) => match self.output(value) {
                Ok(output) => ChildResponse::Finished { output, printed },
                Err((cause, message)) => ChildResponse::Failed { cause, message, printed },
            },
            SegmentEnd::Calls(state) => {
                let calls = self.pending.into_iter().map(|(_, asked)| asked).collect();
                ChildResponse::Calls { calls, state, printed }
            }
            SegmentEnd::Stale => ChildResponse::Stale,
            SegmentEnd::Failed(cause, message) => ChildResponse::Failed { cause, message, printed },
        }
    }

    fn output(&self, value: MontyObject) -> Result<Value, (ProgramFailureKind, String)> {
        let output = to_json(value).map_err(|what| (ProgramFailureKind::Value, format!("its result is {what}")))?;
        let (bytes, limit) = (output.to_string().len(), self.budget.output_bytes);
        if bytes > limit {
            return Err((
                ProgramFailureKind::Output,
                format!("its result has {bytes} bytes, over the limit of {limit}"),
            ));
        }
        Ok(output)
    }
}

/// The result of a call as the program sees it.
fn external_result(given: CallReply) -> ExtFunctionResult {
    match given {
        CallReply::Value(value) => ExtFunctionResult::Return(to_python(value)),
        CallReply::Error(message) => ExtFunctionResult::Error(MontyException::runtime_error(message)),
    }
}

#[cfg(test)]
mod tests;
