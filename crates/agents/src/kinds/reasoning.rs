//! `reasoning` agents: think, call tools, observe their results, and continue until there is an answer (ReAct).
//!
//! The whole loop is one fold over the agent's observations. Each reply of the model is one iteration. The loop
//! ends with an answer, a hand-over, or a fault: no answer within `max_iterations`, the same action with the same
//! input three times in a row, or two unusable replies in a row.

mod calls;
mod react;
mod read;

use baton_core::agent::{AgentObservation, AgentStep, AgentTask, ITERATIONS_DEFAULT, ITERATIONS_MAX};
use baton_core::fault::Fault;
use baton_core::model::{ModelReply, ModelToolCall, ToolOffer};
use baton_core::structured::{ReplySchema, extract};
use baton_core::tool::ToolEnvelope;
use serde_json::{Value, json};

use self::calls::{ReplyCalls, RequestedCall};
use self::read::{OfferedTools, ParsedReply, ToolProtocol};
use super::chain::ThoughtChain;
use crate::fault::{ReplyError, code};
use crate::prompt::{self, PromptName};
use crate::schema;
use crate::transcript::{CorrectionKind, PromptTranscript};

/// Maximum number of consecutive unusable replies that are corrected. The next unusable reply ends the agent.
const CORRECTIONS_MAX: u32 = 1;
/// The number of consecutive identical actions that stops the loop.
const REPEATS_MAX: u32 = 3;

pub(crate) fn step(task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
    let mut reasoning = match ReasoningAgent::begin(task) {
        Ok(reasoning) => reasoning,
        Err(fault) => return AgentStep::GiveUp(fault),
    };
    for item in seen {
        if let Some(last) = reasoning.fold(item) {
            return last;
        }
    }
    reasoning.next()
}

struct ReasoningAgent<'t> {
    task: &'t AgentTask,
    offered: OfferedTools,
    schema: Option<ReplySchema>,
    transcript: PromptTranscript,
    chain: ThoughtChain,
    iterations: u32,
    corrections: u32,
    repeated: RepeatCounter,
    /// The calls of the last reply that are not all answered yet.
    open: Option<ReplyCalls>,
}

impl<'t> ReasoningAgent<'t> {
    fn begin(task: &'t AgentTask) -> Result<Self, Fault> {
        let offered = OfferedTools::to(task);
        let mut system = task.system.clone();
        if offered.protocol == ToolProtocol::Text && !offered.tools.all().is_empty() {
            let values = json!({"tools": offered.tools.as_json()});
            system = prompt::join(&system, &prompt::render(task, PromptName::React, &values)?);
        }
        let system = prompt::with_schema(task, &system)?;
        Ok(Self {
            task,
            offered,
            schema: schema::of(&task.agent)?,
            transcript: PromptTranscript::open(system, &task.prompt),
            chain: ThoughtChain::default(),
            iterations: 0,
            corrections: 0,
            repeated: RepeatCounter::default(),
            open: None,
        })
    }

    /// Folds in one observation. Returns the last step if the observation leads to it.
    fn fold(&mut self, item: &AgentObservation) -> Option<AgentStep> {
        match item {
            AgentObservation::Replied(reply) => self.reply(reply),
            AgentObservation::ModelFailed(fault) => Some(AgentStep::GiveUp(fault.clone())),
            AgentObservation::Tools(results) => {
                self.results(results);
                None
            }
            AgentObservation::Said(message) => {
                self.add_answer(message);
                None
            }
            // Reasoning agents run no programs.
            AgentObservation::Ran(_) => None,
        }
    }

    fn reply(&mut self, reply: &ModelReply) -> Option<AgentStep> {
        self.close();
        self.iterations = self.iterations.saturating_add(1);
        match read::read(reply, &self.offered, self.iterations) {
            Ok(ParsedReply::Calls { thought, said, calls, protocol }) => {
                self.act(ReplyCalls { thought, said, calls, protocol, thinking: reply.thinking.clone() })
            }
            Ok(ParsedReply::Answer { thought, text }) => self.answer(reply, thought, &text),
            Err(unusable) => self.correct(reply, unusable),
        }
    }

    fn act(&mut self, calls: ReplyCalls) -> Option<AgentStep> {
        if let Some(fault) = self.repeated.count(&calls.calls, &self.task.agent.name) {
            return Some(AgentStep::GiveUp(fault));
        }
        match calls.all_invalid() {
            None => self.corrections = 0,
            Some(unusable) => {
                self.corrections += 1;
                if self.corrections > CORRECTIONS_MAX {
                    return Some(AgentStep::GiveUp(unusable.fault(&self.task.agent.name)));
                }
            }
        }
        // A hand-over needs no further reply. Any other call would be made for a loop that may not continue.
        if calls.hand_over().is_none()
            && let Some(fault) = self.limit_fault()
        {
            return Some(AgentStep::GiveUp(fault));
        }
        self.open = Some(calls);
        None
    }

    fn answer(&mut self, reply: &ModelReply, thought: Option<String>, text: &str) -> Option<AgentStep> {
        let answer = match &self.schema {
            Some(schema) => schema.parse_reply(text).map_err(ReplyError::from),
            None => Ok(extract::whole_object(text).unwrap_or_else(|| Value::String(text.to_owned()))),
        };
        match answer {
            Ok(answer) => {
                let chain = std::mem::take(&mut self.chain);
                let by_schema = self.schema.is_some();
                let output = chain.output(thought.as_deref().unwrap_or(text), answer, by_schema, self.iterations);
                Some(AgentStep::Answer { output })
            }
            Err(unusable) => self.correct(reply, unusable),
        }
    }

    fn correct(&mut self, reply: &ModelReply, unusable: ReplyError) -> Option<AgentStep> {
        self.corrections += 1;
        if self.corrections > CORRECTIONS_MAX || !unusable.is_correctable() {
            return Some(AgentStep::GiveUp(unusable.fault(&self.task.agent.name)));
        }
        if let Some(fault) = self.limit_fault() {
            return Some(AgentStep::GiveUp(fault));
        }
        self.transcript
            .correct(self.task, &reply.content, &unusable, CorrectionKind::Reply)
            .err()
            .map(AgentStep::GiveUp)
    }

    /// The fault of an agent that used up its iterations.
    fn limit_fault(&self) -> Option<Fault> {
        let max = self.task.agent.max_iterations.unwrap_or(ITERATIONS_DEFAULT).clamp(1, ITERATIONS_MAX);
        (self.iterations >= max).then(|| super::iterations_exceeded(&self.task.agent.name, max))
    }

    fn results(&mut self, results: &[(String, ToolEnvelope)]) {
        if let Some(open) = &mut self.open {
            open.results(results);
        }
    }

    fn add_answer(&mut self, message: &str) {
        let answered = self.open.as_mut().is_some_and(|open| open.add_answer(message));
        if !answered {
            self.close();
            self.transcript.user(message);
        }
    }

    /// Writes the open calls and their answers to the transcript and to the chain.
    fn close(&mut self) {
        if let Some(calls) = self.open.take() {
            calls.write(&mut self.transcript, &mut self.chain);
        }
    }

    fn next(mut self) -> AgentStep {
        if let Some(step) = self.open.as_ref().and_then(ReplyCalls::next) {
            return step;
        }
        self.close();
        let tools: Vec<ToolOffer> = match self.offered.protocol {
            ToolProtocol::Native => self.offered.tools.all().to_vec(),
            ToolProtocol::Text => Vec::new(),
        };
        AgentStep::AskModel(self.transcript.request(self.task, tools, self.task.agent.output_schema.clone()))
    }
}

/// Counts how many times in a row the same calls were requested.
#[derive(Default)]
struct RepeatCounter {
    last: Vec<(String, Value)>,
    times: u32,
}

impl RepeatCounter {
    fn count(&mut self, calls: &[RequestedCall], agent: &str) -> Option<Fault> {
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
fn tool_call(call: &RequestedCall) -> ModelToolCall {
    ModelToolCall { id: call.id.clone(), name: call.name.clone(), arguments: call.input.clone() }
}

#[cfg(test)]
mod tests;
