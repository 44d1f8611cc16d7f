//! The calls of one reply: those still to be requested, and the form in which the answers go back to the model.

use baton_core::agent::{AgentStep, ToolRequest};
use baton_core::model::ThinkingBlock;
use baton_core::tool::ToolEnvelope;
use serde_json::{Value, json};

use super::super::chain::{ThoughtChain, ToolObservation};
use super::super::result::{answer_text, tool_observation};
use super::read::ToolProtocol;
use super::tool_call;
use crate::fault::ReplyError;
use crate::transcript::PromptTranscript;

pub(super) struct RequestedCall {
    pub id: String,
    pub name: String,
    pub input: Value,
    pub purpose: CallPurpose,
    /// The answer: the tool's result, or the customer's message.
    pub answer: Option<Value>,
}

pub(super) enum CallPurpose {
    Tool,
    Ask {
        question: String,
    },
    HandOver {
        reason: String,
    },
    /// Returned to the model with the problem.
    Invalid(ReplyError),
}

/// The calls of one reply, in its order. Tools are called first; then the hand-over is made or, if there is none,
/// the questions are asked.
pub(super) struct ReplyCalls {
    pub thought: String,
    pub said: String,
    pub calls: Vec<RequestedCall>,
    pub protocol: ToolProtocol,
    /// The thinking block that the model gets back with the answers.
    pub thinking: Option<ThinkingBlock>,
}

impl ReplyCalls {
    /// The first problem, if none of the reply's calls can be used.
    pub fn all_invalid(&self) -> Option<ReplyError> {
        let problem = |call: &RequestedCall| match &call.purpose {
            CallPurpose::Invalid(unusable) => Some(unusable.clone()),
            CallPurpose::Tool | CallPurpose::Ask { .. } | CallPurpose::HandOver { .. } => None,
        };
        let problems: Option<Vec<ReplyError>> = self.calls.iter().map(problem).collect();
        problems?.into_iter().next()
    }

    pub fn hand_over(&self) -> Option<&str> {
        self.calls.iter().find_map(|call| match &call.purpose {
            CallPurpose::HandOver { reason } => Some(reason.as_str()),
            CallPurpose::Tool | CallPurpose::Ask { .. } | CallPurpose::Invalid(_) => None,
        })
    }

    /// The next step before the model sees the answers.
    pub fn next(&self) -> Option<AgentStep> {
        let open = || self.calls.iter().filter(|call| call.answer.is_none());
        let requests: Vec<ToolRequest> = open()
            .filter(|call| matches!(call.purpose, CallPurpose::Tool))
            .map(|call| ToolRequest { id: call.id.clone(), tool: call.name.clone(), arguments: call.input.clone() })
            .collect();
        if !requests.is_empty() {
            return Some(AgentStep::RequestTools(requests));
        }
        if let Some(reason) = self.hand_over() {
            return Some(AgentStep::HandOver { reason: reason.to_owned() });
        }
        let questions: Vec<&str> = open().filter_map(question).collect();
        (!questions.is_empty()).then(|| AgentStep::AskCustomer { question: questions.join("\n") })
    }

    /// Takes the results of all requested tools.
    pub fn results(&mut self, results: &[(String, ToolEnvelope)]) {
        for call in self.calls.iter_mut().filter(|call| matches!(call.purpose, CallPurpose::Tool)) {
            let result = results.iter().find(|(id, _)| *id == call.id);
            call.answer = Some(match result {
                Some((_, envelope)) => tool_observation(envelope),
                None => json!({"success": false, "error": "no result was recorded for this call"}),
            });
        }
    }

    /// Takes the customer's message, if a question is next in turn.
    pub fn add_answer(&mut self, message: &str) -> bool {
        if !matches!(self.next(), Some(AgentStep::AskCustomer { .. })) {
            return false;
        }
        for call in self.calls.iter_mut().filter(|call| question(call).is_some()) {
            call.answer = Some(Value::String(message.to_owned()));
        }
        true
    }

    /// Writes the reply and its answers to the transcript and to the chain.
    pub fn write(self, transcript: &mut PromptTranscript, chain: &mut ThoughtChain) {
        match self.protocol {
            ToolProtocol::Native => {
                transcript.add_calls(&self.said, self.calls.iter().map(tool_call).collect(), self.thinking);
                for call in &self.calls {
                    transcript.tool(&call.id, answer_text(&answer(call)));
                }
            }
            ToolProtocol::Text => {
                transcript.assistant(&self.said);
                for call in &self.calls {
                    transcript.user(format!("Observation: {}", answer_text(&answer(call))));
                }
            }
        }
        let mut thought = Some(self.thought.as_str());
        for call in &self.calls {
            let observation = ToolObservation { action: &call.name, input: &call.input, result: &answer(call) };
            chain.add_action(thought.take().unwrap_or_default(), observation);
        }
    }
}

fn question(call: &RequestedCall) -> Option<&str> {
    match &call.purpose {
        CallPurpose::Ask { question } => Some(question),
        CallPurpose::Tool | CallPurpose::HandOver { .. } | CallPurpose::Invalid(_) => None,
    }
}

fn answer(call: &RequestedCall) -> Value {
    match (&call.answer, &call.purpose) {
        (Some(answer), _) => answer.clone(),
        (None, CallPurpose::Invalid(unusable)) => json!({"success": false, "error": unusable.problem}),
        (None, CallPurpose::Tool | CallPurpose::Ask { .. } | CallPurpose::HandOver { .. }) => {
            json!({"success": false, "error": "this was not answered"})
        }
    }
}
