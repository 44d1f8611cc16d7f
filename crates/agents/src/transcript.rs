//! What the model is shown: the messages of one task, in order.

use baton_core::agent::{Kind, Task};
use baton_core::fault::Fault;
use baton_core::model::{Message, Profile, Request, Thinking, ToolCall, ToolOffer};
use serde_json::{Value, json};

use crate::fault::Unusable;
use crate::prompt::{self, Name};

/// The temperature of every kind: the same question should get the same answer.
const TEMPERATURE_DEFAULT: f64 = 0.0;

/// What a model is asked for in place of a reply that cannot be used.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wants {
    Json,
    Shorter,
    Reply,
}

impl Wants {
    fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Shorter => "shorter",
            Self::Reply => "reply",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Transcript {
    messages: Vec<Message>,
}

impl Transcript {
    pub fn open(system: String, prompt: &str) -> Self {
        let mut transcript = Self::under(system);
        transcript.user(prompt);
        transcript
    }

    /// Only the system prompt, where there is one.
    pub fn under(system: String) -> Self {
        let is_there = !system.trim().is_empty();
        Self { messages: is_there.then_some(Message::system(system)).into_iter().collect() }
    }

    pub fn user(&mut self, content: impl Into<String>) {
        self.messages.push(Message::user(content));
    }

    /// What the model said, whatever it thought.
    pub fn assistant(&mut self, content: impl Into<String>) {
        self.called(content, Vec::new(), None);
    }

    /// What the model said and called; the answers follow.
    pub fn called(&mut self, content: impl Into<String>, tool_calls: Vec<ToolCall>, thinking: Option<Thinking>) {
        self.messages.push(Message::Assistant { content: content.into(), tool_calls, thinking, name: None });
    }

    pub fn tool(&mut self, tool_call_id: impl Into<String>, content: impl Into<String>) {
        self.messages.push(Message::Tool { tool_call_id: tool_call_id.into(), content: content.into() });
    }

    /// Shows the model its own reply and what is wrong with it.
    pub fn correct(&mut self, task: &Task, reply: &str, unusable: &Unusable, wants: Wants) -> Result<(), Fault> {
        let values = json!({"problem": unusable.problem, "wants": wants.word()});
        self.assistant(reply);
        self.user(prompt::render(task, Name::Correct, &values)?);
        Ok(())
    }

    /// The request for the next reply, with the agent's own settings or its kind's.
    pub fn request(self, task: &Task, tools: Vec<ToolOffer>, schema: Option<Value>) -> Request {
        let agent = &task.agent;
        Request {
            agent: agent.name.clone(),
            profile: agent.model_profile.unwrap_or(match agent.kind {
                Kind::Simple => Profile::Fast,
                Kind::Reasoning | Kind::Custom => Profile::Balanced,
                Kind::Code => Profile::Powerful,
            }),
            model: agent.model.clone(),
            messages: self.messages,
            tools,
            schema,
            temperature: agent.temperature.unwrap_or(TEMPERATURE_DEFAULT),
            max_tokens: agent.max_tokens,
            ..Request::default()
        }
    }
}
