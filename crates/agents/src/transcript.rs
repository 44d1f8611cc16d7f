//! The transcript shown to the model: the messages of one task, in order.

use baton_core::agent::{AgentKind, AgentTask};
use baton_core::fault::Fault;
use baton_core::model::{ModelMessage, ModelProfile, ModelRequest, ModelToolCall, ThinkingBlock, ToolOffer};
use serde_json::{Value, json};

use crate::fault::ReplyError;
use crate::prompt::{self, PromptName};

/// The temperature of every kind of agent: the same question should get the same answer.
const TEMPERATURE_DEFAULT: f64 = 0.0;

/// What a model is asked for in place of an unusable reply.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CorrectionKind {
    Json,
    Shorter,
    Reply,
}

impl CorrectionKind {
    fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Shorter => "shorter",
            Self::Reply => "reply",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct PromptTranscript {
    messages: Vec<ModelMessage>,
}

impl PromptTranscript {
    pub fn open(system: String, prompt: &str) -> Self {
        let mut transcript = Self::with_system(system);
        transcript.user(prompt);
        transcript
    }

    /// A transcript with only the system prompt, if there is one.
    pub fn with_system(system: String) -> Self {
        let is_there = !system.trim().is_empty();
        Self { messages: is_there.then_some(ModelMessage::system(system)).into_iter().collect() }
    }

    pub fn user(&mut self, content: impl Into<String>) {
        self.messages.push(ModelMessage::user(content));
    }

    /// Appends the model's message, without its reasoning.
    pub fn assistant(&mut self, content: impl Into<String>) {
        self.add_calls(content, Vec::new(), None);
    }

    /// Appends the model's message and its calls; the answers follow.
    pub fn add_calls(
        &mut self,
        content: impl Into<String>,
        tool_calls: Vec<ModelToolCall>,
        thinking: Option<ThinkingBlock>,
    ) {
        self.messages.push(ModelMessage::Assistant { content: content.into(), tool_calls, thinking, name: None });
    }

    pub fn tool(&mut self, tool_call_id: impl Into<String>, content: impl Into<String>) {
        self.messages.push(ModelMessage::Tool { tool_call_id: tool_call_id.into(), content: content.into() });
    }

    /// Shows the model its own reply and the problem with it.
    pub fn correct(
        &mut self,
        task: &AgentTask,
        reply: &str,
        unusable: &ReplyError,
        wants: CorrectionKind,
    ) -> Result<(), Fault> {
        let values = json!({"problem": unusable.problem, "wants": wants.word()});
        self.assistant(reply);
        self.user(prompt::render(task, PromptName::Correct, &values)?);
        Ok(())
    }

    /// The request for the next reply, with the agent's own settings or the defaults of its kind.
    pub fn request(self, task: &AgentTask, tools: Vec<ToolOffer>, schema: Option<Value>) -> ModelRequest {
        let agent = &task.agent;
        ModelRequest {
            agent: agent.name.clone(),
            profile: agent.model_profile.unwrap_or(match agent.kind {
                AgentKind::Simple => ModelProfile::Fast,
                AgentKind::Reasoning | AgentKind::Custom => ModelProfile::Balanced,
                AgentKind::Code => ModelProfile::Powerful,
            }),
            model: agent.model.clone(),
            messages: self.messages,
            tools,
            schema,
            temperature: agent.temperature.unwrap_or(TEMPERATURE_DEFAULT),
            max_tokens: agent.max_tokens,
            ..ModelRequest::default()
        }
    }
}
