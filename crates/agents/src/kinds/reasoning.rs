//! `reasoning`: thinks, asks for tools, sees their results, and goes on until it has an answer (ReAct).
//!
//! The whole loop is one fold over what the agent has seen. Each reply of the model is one iteration. It ends with an
//! answer, with a hand-over, or with a fault: no answer within `max_iterations`, the same action with the same input
//! three times running, or two unusable replies in a row.

mod calls;
mod react;
mod read;

use baton_core::agent::{ITERATIONS_DEFAULT, ITERATIONS_MAX, Seen, Step, Task};
use baton_core::fault::Fault;
use baton_core::model::{Reply, ToolCall, ToolOffer};
use baton_core::structured::{Schema, extract};
use baton_core::tool::Envelope;
use serde_json::{Value, json};

use self::calls::{Call, Calls};
use self::read::{Offered, Protocol, Reading};
use super::chain::Chain;
use crate::fault::{Unusable, code};
use crate::prompt::{self, Name};
use crate::schema;
use crate::transcript::{Transcript, Wants};

/// Unusable replies in a row that are corrected; the next one is the last.
const CORRECTIONS_MAX: u32 = 1;
/// The time an identical action is asked for that stops the loop.
const REPEATS_MAX: u32 = 3;

pub(crate) fn step(task: &Task, seen: &[Seen]) -> Step {
    let mut reasoning = match Reasoning::begin(task) {
        Ok(reasoning) => reasoning,
        Err(fault) => return Step::GiveUp(fault),
    };
    for item in seen {
        if let Some(last) = reasoning.see(item) {
            return last;
        }
    }
    reasoning.next()
}

struct Reasoning<'t> {
    task: &'t Task,
    offered: Offered,
    schema: Option<Schema>,
    transcript: Transcript,
    chain: Chain,
    iterations: u32,
    corrections: u32,
    repeated: Repeated,
    /// The calls of the last reply that are not all answered yet.
    open: Option<Calls>,
}

impl<'t> Reasoning<'t> {
    fn begin(task: &'t Task) -> Result<Self, Fault> {
        let offered = Offered::to(task);
        let mut system = task.system.clone();
        if offered.protocol == Protocol::Text && !offered.tools.all().is_empty() {
            let values = json!({"tools": offered.tools.shown()});
            system = prompt::join(&system, &prompt::render(task, Name::React, &values)?);
        }
        let system = prompt::with_schema(task, &system)?;
        Ok(Self {
            task,
            offered,
            schema: schema::of(&task.agent)?,
            transcript: Transcript::open(system, &task.prompt),
            chain: Chain::default(),
            iterations: 0,
            corrections: 0,
            repeated: Repeated::default(),
            open: None,
        })
    }

    /// Takes in one thing that happened; answers where that was the last.
    fn see(&mut self, item: &Seen) -> Option<Step> {
        match item {
            Seen::Replied(reply) => self.reply(reply),
            Seen::ModelFailed(fault) => Some(Step::GiveUp(fault.clone())),
            Seen::Tools(results) => {
                self.results(results);
                None
            }
            Seen::Said(message) => {
                self.said(message);
                None
            }
            // It runs none.
            Seen::Ran(_) => None,
        }
    }

    fn reply(&mut self, reply: &Reply) -> Option<Step> {
        self.close();
        self.iterations = self.iterations.saturating_add(1);
        match read::read(reply, &self.offered, self.iterations) {
            Ok(Reading::Calls { thought, said, calls, protocol }) => {
                self.act(Calls { thought, said, calls, protocol, thinking: reply.thinking.clone() })
            }
            Ok(Reading::Answer { thought, text }) => self.answer(reply, thought, &text),
            Err(unusable) => self.correct(reply, unusable),
        }
    }

    fn act(&mut self, calls: Calls) -> Option<Step> {
        if let Some(fault) = self.repeated.count(&calls.calls, &self.task.agent.name) {
            return Some(Step::GiveUp(fault));
        }
        match calls.all_invalid() {
            None => self.corrections = 0,
            Some(unusable) => {
                self.corrections += 1;
                if self.corrections > CORRECTIONS_MAX {
                    return Some(Step::GiveUp(unusable.fault(&self.task.agent.name)));
                }
            }
        }
        // A hand-over needs no further reply; anything else would be done for a loop that may not go on.
        if calls.hand_over().is_none()
            && let Some(fault) = self.spent()
        {
            return Some(Step::GiveUp(fault));
        }
        self.open = Some(calls);
        None
    }

    fn answer(&mut self, reply: &Reply, thought: Option<String>, text: &str) -> Option<Step> {
        let answer = match &self.schema {
            Some(schema) => schema.read(text).map_err(Unusable::from),
            None => Ok(extract::whole_object(text).unwrap_or_else(|| Value::String(text.to_owned()))),
        };
        match answer {
            Ok(answer) => {
                let chain = std::mem::take(&mut self.chain);
                let by_schema = self.schema.is_some();
                let output = chain.output(thought.as_deref().unwrap_or(text), answer, by_schema, self.iterations);
                Some(Step::Answer { output })
            }
            Err(unusable) => self.correct(reply, unusable),
        }
    }

    fn correct(&mut self, reply: &Reply, unusable: Unusable) -> Option<Step> {
        self.corrections += 1;
        if self.corrections > CORRECTIONS_MAX || !unusable.is_correctable() {
            return Some(Step::GiveUp(unusable.fault(&self.task.agent.name)));
        }
        if let Some(fault) = self.spent() {
            return Some(Step::GiveUp(fault));
        }
        self.transcript.correct(self.task, &reply.content, &unusable, Wants::Reply).err().map(Step::GiveUp)
    }

    /// The fault of having no iteration left.
    fn spent(&self) -> Option<Fault> {
        let max = self.task.agent.max_iterations.unwrap_or(ITERATIONS_DEFAULT).clamp(1, ITERATIONS_MAX);
        (self.iterations >= max).then(|| super::spent(&self.task.agent.name, max))
    }

    fn results(&mut self, results: &[(String, Envelope)]) {
        if let Some(open) = &mut self.open {
            open.results(results);
        }
    }

    fn said(&mut self, message: &str) {
        let answered = self.open.as_mut().is_some_and(|open| open.said(message));
        if !answered {
            self.close();
            self.transcript.user(message);
        }
    }

    /// Writes the open calls and their answers down, for the model and for the chain.
    fn close(&mut self) {
        if let Some(calls) = self.open.take() {
            calls.write(&mut self.transcript, &mut self.chain);
        }
    }

    fn next(mut self) -> Step {
        if let Some(step) = self.open.as_ref().and_then(Calls::next) {
            return step;
        }
        self.close();
        let tools: Vec<ToolOffer> = match self.offered.protocol {
            Protocol::Native => self.offered.tools.all().to_vec(),
            Protocol::Text => Vec::new(),
        };
        Step::AskModel(self.transcript.request(self.task, tools, self.task.agent.output_schema.clone()))
    }
}

/// Counts how often the same calls were asked for running.
#[derive(Default)]
struct Repeated {
    last: Vec<(String, Value)>,
    times: u32,
}

impl Repeated {
    fn count(&mut self, calls: &[Call], agent: &str) -> Option<Fault> {
        let asked: Vec<(String, Value)> = calls.iter().map(|call| (call.name.clone(), call.input.clone())).collect();
        self.times = if asked == self.last { self.times + 1 } else { 1 };
        self.last = asked;
        (self.times >= REPEATS_MAX).then(|| {
            let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
            Fault::new(
                code::LOOP_DETECTED,
                format!(
                    "agent `{agent}`: asked for `{}` with the same input {REPEATS_MAX} times running",
                    extract::clip(&names.join("`, `"), 200)
                ),
            )
        })
    }
}

/// The model's own form of a call, for the transcript.
fn tool_call(call: &Call) -> ToolCall {
    ToolCall { id: call.id.clone(), name: call.name.clone(), arguments: call.input.clone() }
}

#[cfg(test)]
mod tests;
