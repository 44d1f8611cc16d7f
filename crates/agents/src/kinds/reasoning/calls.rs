//! The calls of one reply: what is still to be asked for, and how the answers go back.

use baton_core::agent::{Step, ToolRequest};
use baton_core::model::Thinking;
use baton_core::tool::Envelope;
use serde_json::{Value, json};

use super::super::chain::{Chain, Observation};
use super::super::result::{shown, told};
use super::read::Protocol;
use super::tool_call;
use crate::fault::Unusable;
use crate::transcript::Transcript;

pub(super) struct Call {
    pub id: String,
    pub name: String,
    pub input: Value,
    pub purpose: Purpose,
    /// What came back: the tool's result, or the customer's words.
    pub answer: Option<Value>,
}

pub(super) enum Purpose {
    Tool,
    Ask {
        question: String,
    },
    HandOver {
        reason: String,
    },
    /// It goes back to the model with what is wrong.
    Invalid(Unusable),
}

/// One reply's calls, in its order. Tools come first, then the question, then the hand-over.
pub(super) struct Calls {
    pub thought: String,
    pub said: String,
    pub calls: Vec<Call>,
    pub protocol: Protocol,
    /// What the model gets back with the answers.
    pub thinking: Option<Thinking>,
}

impl Calls {
    /// The first problem, where no call of the reply can be used.
    pub fn all_invalid(&self) -> Option<Unusable> {
        let problem = |call: &Call| match &call.purpose {
            Purpose::Invalid(unusable) => Some(unusable.clone()),
            Purpose::Tool | Purpose::Ask { .. } | Purpose::HandOver { .. } => None,
        };
        let problems: Option<Vec<Unusable>> = self.calls.iter().map(problem).collect();
        problems?.into_iter().next()
    }

    pub fn hand_over(&self) -> Option<&str> {
        self.calls.iter().find_map(|call| match &call.purpose {
            Purpose::HandOver { reason } => Some(reason.as_str()),
            Purpose::Tool | Purpose::Ask { .. } | Purpose::Invalid(_) => None,
        })
    }

    /// What must still happen before the model sees the answers.
    pub fn next(&self) -> Option<Step> {
        let open = || self.calls.iter().filter(|call| call.answer.is_none());
        let requests: Vec<ToolRequest> = open()
            .filter(|call| matches!(call.purpose, Purpose::Tool))
            .map(|call| ToolRequest { id: call.id.clone(), tool: call.name.clone(), arguments: call.input.clone() })
            .collect();
        if !requests.is_empty() {
            return Some(Step::RequestTools(requests));
        }
        if let Some(reason) = self.hand_over() {
            return Some(Step::HandOver { reason: reason.to_owned() });
        }
        let questions: Vec<&str> = open().filter_map(question).collect();
        (!questions.is_empty()).then(|| Step::AskCustomer { question: questions.join("\n") })
    }

    /// Takes the results of all tools that were asked for.
    pub fn results(&mut self, results: &[(String, Envelope)]) {
        for call in self.calls.iter_mut().filter(|call| matches!(call.purpose, Purpose::Tool)) {
            let result = results.iter().find(|(id, _)| *id == call.id);
            call.answer = Some(match result {
                Some((_, envelope)) => told(envelope),
                None => json!({"success": false, "error": "no result was recorded for this call"}),
            });
        }
    }

    /// Takes the customer's words, if they answer a question that is next in turn.
    pub fn said(&mut self, message: &str) -> bool {
        if !matches!(self.next(), Some(Step::AskCustomer { .. })) {
            return false;
        }
        for call in self.calls.iter_mut().filter(|call| question(call).is_some()) {
            call.answer = Some(Value::String(message.to_owned()));
        }
        true
    }

    /// Writes the reply and its answers down.
    pub fn write(self, transcript: &mut Transcript, chain: &mut Chain) {
        match self.protocol {
            Protocol::Native => {
                transcript.called(&self.said, self.calls.iter().map(tool_call).collect(), self.thinking);
                for call in &self.calls {
                    transcript.tool(&call.id, shown(&answer(call)));
                }
            }
            Protocol::Text => {
                transcript.assistant(&self.said);
                for call in &self.calls {
                    transcript.user(format!("Observation: {}", shown(&answer(call))));
                }
            }
        }
        let mut thought = Some(self.thought.as_str());
        for call in &self.calls {
            let observation = Observation { action: &call.name, input: &call.input, seen: &answer(call) };
            chain.acted(thought.take().unwrap_or_default(), observation);
        }
    }
}

fn question(call: &Call) -> Option<&str> {
    match &call.purpose {
        Purpose::Ask { question } => Some(question),
        Purpose::Tool | Purpose::HandOver { .. } | Purpose::Invalid(_) => None,
    }
}

fn answer(call: &Call) -> Value {
    match (&call.answer, &call.purpose) {
        (Some(answer), _) => answer.clone(),
        (None, Purpose::Invalid(unusable)) => json!({"success": false, "error": unusable.problem}),
        (None, Purpose::Tool | Purpose::Ask { .. } | Purpose::HandOver { .. }) => {
            json!({"success": false, "error": "this was not answered"})
        }
    }
}
