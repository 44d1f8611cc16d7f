//! One order: a program from its start, or from where it stopped, to its end or to its next calls.

mod call;
mod raised;
mod state;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use monty::{FunctionCall, MontyRun, OsCall, ResolveFutures, RunProgress};
use monty_types::{
    CompileOptions, ExtFunctionResult, MontyException, MontyObject, NameLookupResult, ResourceLimits, ResourceTracker,
};
use serde_json::Value;

use super::print::Printed;
use super::value::{to_json, to_python};
use crate::sandbox::frame::{ARGUMENTS_BYTES_MAX, Answer, Asked, Budget, Cause, Given, Order, Work};

/// The name of the program's text in tracebacks.
const FILE: &str = "program.py";

type Progress = Result<RunProgress, MontyException>;

/// Does what is ordered.
pub(super) fn perform(order: Order) -> Answer {
    let Order { work, functions, awaits, budget } = order;
    let mut leg = Leg {
        functions,
        awaits,
        budget,
        printed: Printed::new(budget.printed_bytes),
        recorded: VecDeque::new(),
        remembered: BTreeMap::new(),
        asked: Vec::new(),
        asked_bytes: 0,
        calls: 0,
    };
    let stopped = match work {
        Work::Start { source, inputs } => leg.start(source, inputs),
        Work::Replay { source, inputs, calls } => {
            leg.recorded = calls.into();
            leg.start(source, inputs)
        }
        Work::Resume { state, results } => leg.resume(&state, results),
    };
    leg.answer(stopped)
}

/// What ends a leg.
enum Stop {
    Finished(MontyObject),
    /// With the state it can go on from.
    Calls(String),
    Stale,
    Failed(Cause, String),
}

impl Stop {
    fn failed<T>(cause: Cause, message: impl Into<String>) -> Result<T, Self> {
        Err(Self::Failed(cause, message.into()))
    }
}

/// A program on its way.
struct Leg {
    functions: Vec<String>,
    awaits: bool,
    budget: Budget,
    printed: Printed,
    /// What a program that is replayed asked for before, and was given.
    recorded: VecDeque<(Asked, Given)>,
    /// Recorded results of calls that it has not awaited yet, by the interpreter's number of the call.
    remembered: BTreeMap<u32, Given>,
    /// Calls it made and has no results of, in order, with the interpreter's numbers.
    asked: Vec<(u32, Asked)>,
    asked_bytes: usize,
    /// Calls it made in this leg.
    calls: usize,
}

impl Leg {
    fn start(&mut self, source: String, inputs: BTreeMap<String, Value>) -> Stop {
        // Functions are variables of the program, so that a tool is found before anything built in of the same name.
        let function = |name: &String| (name.clone(), MontyObject::Function { name: name.clone(), docstring: None });
        let given = inputs.into_iter().map(|(name, value)| (name, to_python(value)));
        let (names, values) = self.functions.iter().map(function).chain(given).unzip();
        let program = match MontyRun::new(source, FILE, names, CompileOptions::default()) {
            Ok(program) => program,
            Err(error) => return Stop::Failed(Cause::Invalid, raised::told(&error)),
        };
        let limits = ResourceLimits::default()
            .max_duration(Duration::from_millis(self.budget.time_ms))
            .max_memory(self.budget.memory_bytes)
            .max_recursion_depth(self.budget.recursion);
        let first = program.start(values, ResourceTracker::new(limits), self.printed.writer());
        self.drive(first)
    }

    fn resume(&mut self, state: &str, results: Vec<Given>) -> Stop {
        let paused = match state::load(state) {
            Ok(paused) => paused,
            Err(stop) => return stop,
        };
        let count = results.len();
        let mut results = results.into_iter();
        let next = match (paused, results.next()) {
            (RunProgress::FunctionCall(call), Some(result)) if count == 1 => {
                call.resume(handed(result), self.printed.writer())
            }
            (RunProgress::ResolveFutures(futures), Some(first)) if count == futures.pending_call_ids().len() => {
                // The interpreter numbers calls in the order they are made, and lists them in any.
                let mut calls = futures.pending_call_ids().to_vec();
                calls.sort_unstable();
                let results = std::iter::once(first).chain(results).map(handed);
                futures.resume(calls.into_iter().zip(results).collect(), self.printed.writer())
            }
            _ => return Stop::Failed(Cause::Snapshot, format!("it does not wait for {count} results")),
        };
        self.drive(next)
    }

    /// Goes on until something must be answered.
    fn drive(&mut self, mut progress: Progress) -> Stop {
        loop {
            let next = match progress {
                Ok(RunProgress::Complete(value)) => return self.finished(value),
                Ok(RunProgress::FunctionCall(call)) => self.called(call),
                Ok(RunProgress::ResolveFutures(futures)) => self.awaited(futures),
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

    fn called(&mut self, call: FunctionCall) -> Result<Progress, Stop> {
        let asked = match call::asked(&call, &self.functions) {
            Ok(asked) => asked,
            Err(error) => return Ok(call.resume(error, self.printed.writer())),
        };
        if self.calls == self.budget.calls {
            return Stop::failed(Cause::Calls, format!("`{}` would be one call more than it may make", asked.function));
        }
        self.calls += 1;
        if let Some((recorded, given)) = self.recorded.pop_front() {
            return self.again(call, &asked, &recorded, given);
        }
        self.asked_bytes += asked.arguments.to_string().len();
        if self.asked_bytes > ARGUMENTS_BYTES_MAX {
            return Stop::failed(
                Cause::Output,
                format!("the arguments of its calls have more than {ARGUMENTS_BYTES_MAX} bytes"),
            );
        }
        self.asked.push((call.call_id, asked));
        if self.awaits {
            return Ok(call.resume_pending(self.printed.writer()));
        }
        Err(state::keep(RunProgress::FunctionCall(call)))
    }

    /// A call that was made before gets what it got then.
    fn again(&mut self, call: FunctionCall, asked: &Asked, recorded: &Asked, given: Given) -> Result<Progress, Stop> {
        if asked != recorded {
            return Stop::failed(Cause::Differs, call::difference(self.calls, asked, recorded));
        }
        if self.awaits {
            self.remembered.insert(call.call_id, given);
            return Ok(call.resume_pending(self.printed.writer()));
        }
        self.forget_told();
        Ok(call.resume(handed(given), self.printed.writer()))
    }

    /// It waits for calls: for those it made again, or else for all it has made.
    fn awaited(&mut self, futures: ResolveFutures) -> Result<Progress, Stop> {
        if !self.remembered.is_empty() {
            let given = std::mem::take(&mut self.remembered);
            self.forget_told();
            let results = given.into_iter().map(|(call, given)| (call, handed(given))).collect();
            return Ok(futures.resume(results, self.printed.writer()));
        }
        let mut pending = futures.pending_call_ids().to_vec();
        pending.sort_unstable();
        if pending.is_empty() || !pending.iter().eq(self.asked.iter().map(|(call, _)| call)) {
            return Stop::failed(Cause::Raised, "RuntimeError: it waits for something that is no call of a tool");
        }
        Err(state::keep(RunProgress::ResolveFutures(futures)))
    }

    /// What was printed before the last recorded result was told when that result was asked for.
    fn forget_told(&mut self) {
        if self.recorded.is_empty() {
            self.printed.forget();
        }
    }

    fn denied(&mut self, call: OsCall) -> Stop {
        let name = call.function_call.name();
        let error =
            MontyException::new(monty_types::ExcType::PermissionError, Some(format!("`{name}` is out of reach")));
        match call.abort(error, self.printed.writer()) {
            Err(error) => Stop::Failed(Cause::Denied, raised::told(&error)),
            Ok(_) => Stop::Failed(Cause::Denied, format!("`{name}` is out of reach")),
        }
    }

    fn raised(&self, error: &MontyException) -> Stop {
        let cause = if self.printed.has_overflowed() { Cause::Output } else { raised::cause(error) };
        Stop::Failed(cause, raised::told(error))
    }

    fn finished(&self, value: MontyObject) -> Stop {
        if self.printed.has_overflowed() {
            return Stop::Failed(Cause::Output, "it prints more than it may".to_owned());
        }
        if let Some((asked, _)) = self.recorded.front() {
            let message = format!("it ended without its recorded call of `{}`", asked.function);
            return Stop::Failed(Cause::Differs, message);
        }
        if let Some((_, asked)) = self.asked.first() {
            let function = &asked.function;
            let message = format!("`{function}(…)` was not awaited, so it was not called; write `await {function}(…)`");
            return Stop::Failed(Cause::NotAwaited, message);
        }
        Stop::Finished(value)
    }

    fn answer(mut self, stop: Stop) -> Answer {
        let printed = self.printed.take();
        match stop {
            Stop::Finished(value) => match self.output(value) {
                Ok(output) => Answer::Finished { output, printed },
                Err((cause, message)) => Answer::Failed { cause, message, printed },
            },
            Stop::Calls(state) => {
                let calls = self.asked.into_iter().map(|(_, asked)| asked).collect();
                Answer::Calls { calls, state, printed }
            }
            Stop::Stale => Answer::Stale,
            Stop::Failed(cause, message) => Answer::Failed { cause, message, printed },
        }
    }

    fn output(&self, value: MontyObject) -> Result<Value, (Cause, String)> {
        let output = to_json(value).map_err(|what| (Cause::Value, format!("its result is {what}")))?;
        let (bytes, limit) = (output.to_string().len(), self.budget.output_bytes);
        if bytes > limit {
            return Err((Cause::Output, format!("its result has {bytes} bytes, over the limit of {limit}")));
        }
        Ok(output)
    }
}

/// What the program sees of a call's result.
fn handed(given: Given) -> ExtFunctionResult {
    match given {
        Given::Value(value) => ExtFunctionResult::Return(to_python(value)),
        Given::Error(message) => ExtFunctionResult::Error(MontyException::runtime_error(message)),
    }
}

#[cfg(test)]
mod tests;
