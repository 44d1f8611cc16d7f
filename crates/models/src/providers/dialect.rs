//! What one provider's API says differently from another's: where requests go, how they are written, how replies are
//! read. Everything else about a call over HTTP is [`Remote`](super::remote::HttpProvider)'s.

use std::fmt::Debug;

use baton_core::model::{FinishReason, ModelRequest, ModelToolCall, ThinkingBlock, TokenUsage};
use baton_ports::models::ReplyDelta;
use reqwest::Url;
use reqwest::header::{HeaderMap, InvalidHeaderValue};
use serde_json::Value;

use super::draft::ReplyDraft;
use super::tool_names::WireToolNames;
use super::{ProviderRequest, tokens};
use crate::catalogue::{ModelSpec, StructuredOutput};

pub(crate) trait ApiDialect: Debug + Send + Sync {
    type Assembly: ReplyAssembler;

    /// The environment variable people keep the key in, for messages.
    const KEY_VARIABLE: &'static str;

    /// Where a request for this model goes.
    fn endpoint(&self, model: &str) -> Url;

    /// Puts the key where the API looks for it, marked sensitive.
    fn authorize(&self, headers: &mut HeaderMap, key: &str) -> Result<(), InvalidHeaderValue>;

    /// Further headers of every request.
    fn headers(&self, _headers: &mut HeaderMap) {}

    /// The JSON body: a function of the query. An error says what of the request cannot be said to this provider.
    fn body(&self, query: &WireRequest<'_>) -> Result<Value, String>;

    /// Tokens of the longest reply this model gives where the request does not say; nothing where that is not known.
    fn reply_max(&self, _model: &str, spec: Option<&ModelSpec>) -> Option<u64> {
        spec.and_then(|spec| spec.output_tokens)
    }

    /// Whether the provider itself holds replies to the request's schema, and calls to the parameters of strict tools.
    fn enforces_schema(&self, query: &WireRequest<'_>) -> bool;

    /// Reads a reply that came whole.
    fn read(&self, query: &WireRequest<'_>, body: &[u8]) -> Result<WireReply, WireError>;

    /// What puts a streamed reply together.
    fn new_assembler(&self, query: &WireRequest<'_>) -> Self::Assembly;
}

/// One call as it goes over the wire.
#[derive(Debug)]
pub(crate) struct WireRequest<'a> {
    pub ask: &'a ProviderRequest<'a>,
    pub names: WireToolNames,
    pub structured: StructuredOutput,
    pub stream: bool,
}

impl<'a> WireRequest<'a> {
    /// `structured` is what the settings say for all models.
    pub fn of(ask: &'a ProviderRequest<'a>, structured: Option<StructuredOutput>) -> Self {
        Self {
            ask,
            names: WireToolNames::of(&ask.request.tools),
            structured: structured.or(ask.spec.map(|spec| spec.structured)).unwrap_or_default(),
            stream: (ask.first_token.is_some() || ask.pieces.is_some()) && ask.spec.is_none_or(|spec| spec.streaming),
        }
    }

    /// Whether the model takes a temperature, where the catalogue knows it.
    pub fn takes_temperature(&self) -> Option<bool> {
        self.ask.spec.and_then(|spec| spec.sampling)
    }

    /// What this model thought before one of the request's messages.
    pub fn thought<'t>(&self, thinking: Option<&'t ThinkingBlock>) -> &'t [Value] {
        thinking.filter(|thinking| thinking.model == self.ask.model).map_or(&[], |thinking| &thinking.parts)
    }
}

/// Puts a streamed reply together, event by event.
pub(crate) trait ReplyAssembler: Send {
    /// Takes the data of one event.
    fn feed(&mut self, event: &str) -> Result<(), WireError>;

    /// Takes the end of the stream; an error where the reply is not whole.
    fn close(&mut self) -> Result<(), WireError>;

    /// Whether the model has begun to say something, or to think.
    fn has_begun(&self) -> bool;

    fn is_whole(&self) -> bool;

    /// The reply so far.
    fn draft(&mut self) -> &mut ReplyDraft;

    /// The reply, once it is whole.
    fn answer(&mut self) -> Result<WireReply, WireError>;
}

/// A reply in our words; tool names are still the wire's.
#[derive(Debug, PartialEq)]
pub(crate) struct WireReply {
    pub content: String,
    pub tool_calls: Vec<ModelToolCall>,
    pub finish: FinishReason,
    /// `None` where the provider does not count.
    pub usage: Option<TokenUsage>,
    pub model: Option<String>,
    /// What must go back to the model with the answers to its calls.
    pub thinking: Vec<Value>,
}

impl WireReply {
    /// The counts, estimated where the provider has none.
    pub fn usage(&self, request: &ModelRequest) -> TokenUsage {
        self.usage.unwrap_or_else(|| TokenUsage {
            output_tokens: tokens::estimate_output(&self.content, &self.tool_calls),
            ..tokens::estimate_input(request)
        })
    }

    /// A reply that came whole, told to whoever listens.
    pub fn pieces(&self) -> Vec<ReplyDelta> {
        let text = (!self.content.is_empty()).then(|| ReplyDelta::Text(self.content.clone()));
        let call = |(index, call): (usize, &ModelToolCall)| ReplyDelta::ToolCall {
            index,
            id: Some(call.id.clone()),
            name: Some(call.name.clone()),
            arguments: arguments_text(&call.arguments),
        };
        text.into_iter().chain(self.tool_calls.iter().enumerate().map(call)).collect()
    }
}

/// Arguments as the wire has them; those that never were JSON stay as they were.
pub(crate) fn arguments_text(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Why what came back is not a reply.
#[derive(Debug)]
pub(crate) enum WireError {
    Malformed(String),
    /// The provider reports a failure inside a success.
    Error(Value),
}

impl WireError {
    pub fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }

    /// What is wrong with JSON, without repeating any of it: it may be a customer's words, and long.
    pub fn invalid_json(what: &str, error: &serde_json::Error) -> Self {
        let problem = match error.classify() {
            serde_json::error::Category::Eof => "ends too early",
            serde_json::error::Category::Syntax => "is not JSON",
            serde_json::error::Category::Data | serde_json::error::Category::Io => "has another shape than documented",
        };
        Self::Malformed(format!("{what} {problem} (line {}, column {})", error.line(), error.column()))
    }
}
