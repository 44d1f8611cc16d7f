//! The differences between the APIs of providers: where requests go, how they are written, how replies are parsed.
//! [`HttpProvider`](super::remote::HttpProvider) does everything else about a call over HTTP.

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

    /// The environment variable that usually contains the API key, for messages.
    const KEY_VARIABLE: &'static str;

    /// The URL of a request for this model.
    fn endpoint(&self, model: &str) -> Url;

    /// Adds the API key as the API expects it, marked sensitive.
    fn authorize(&self, headers: &mut HeaderMap, key: &str) -> Result<(), InvalidHeaderValue>;

    /// Adds further headers to every request.
    fn headers(&self, _headers: &mut HeaderMap) {}

    /// Builds the JSON body, a function of the query. An error names the part of the request that this provider cannot
    /// represent.
    fn body(&self, query: &WireRequest<'_>) -> Result<Value, String>;

    /// Maximum tokens of this model's reply if the request sets no limit; `None` if unknown.
    fn reply_max(&self, _model: &str, spec: Option<&ModelSpec>) -> Option<u64> {
        spec.and_then(|spec| spec.output_tokens)
    }

    /// Whether the provider itself enforces the request's schema on replies, and the parameters of strict tools on
    /// calls.
    fn enforces_schema(&self, query: &WireRequest<'_>) -> bool;

    /// Parses a complete reply.
    fn read(&self, query: &WireRequest<'_>, body: &[u8]) -> Result<WireReply, WireError>;

    /// Creates the assembler of a streamed reply.
    fn new_assembler(&self, query: &WireRequest<'_>) -> Self::Assembly;
}

/// One call as it is sent over the wire.
#[derive(Debug)]
pub(crate) struct WireRequest<'a> {
    pub ask: &'a ProviderRequest<'a>,
    pub names: WireToolNames,
    pub structured: StructuredOutput,
    pub stream: bool,
}

impl<'a> WireRequest<'a> {
    /// `structured` is the setting for all models.
    pub fn of(ask: &'a ProviderRequest<'a>, structured: Option<StructuredOutput>) -> Self {
        Self {
            ask,
            names: WireToolNames::of(&ask.request.tools),
            structured: structured.or(ask.spec.map(|spec| spec.structured)).unwrap_or_default(),
            stream: (ask.first_token.is_some() || ask.pieces.is_some()) && ask.spec.is_none_or(|spec| spec.streaming),
        }
    }

    /// Whether the model accepts a temperature, if the catalogue knows.
    pub fn takes_temperature(&self) -> Option<bool> {
        self.ask.spec.and_then(|spec| spec.sampling)
    }

    /// The thinking of this model that belongs to one of the request's messages.
    pub fn thought<'t>(&self, thinking: Option<&'t ThinkingBlock>) -> &'t [Value] {
        thinking.filter(|thinking| thinking.model == self.ask.model).map_or(&[], |thinking| &thinking.parts)
    }
}

/// Assembles a streamed reply, event by event.
pub(crate) trait ReplyAssembler: Send {
    /// Adds the data of one event.
    fn feed(&mut self, event: &str) -> Result<(), WireError>;

    /// Ends the stream; returns an error if the reply is incomplete.
    fn close(&mut self) -> Result<(), WireError>;

    /// Whether the model has begun to write or to think.
    fn has_begun(&self) -> bool;

    fn is_whole(&self) -> bool;

    /// The reply so far.
    fn draft(&mut self) -> &mut ReplyDraft;

    /// The complete reply.
    fn answer(&mut self) -> Result<WireReply, WireError>;
}

/// A reply in this crate's format; tool names are still those of the wire.
#[derive(Debug, PartialEq)]
pub(crate) struct WireReply {
    pub content: String,
    pub tool_calls: Vec<ModelToolCall>,
    pub finish: FinishReason,
    /// `None` if the provider does not count.
    pub usage: Option<TokenUsage>,
    pub model: Option<String>,
    /// Blocks that must be sent back to the model with the results of its calls.
    pub thinking: Vec<Value>,
}

impl WireReply {
    /// The counts, estimated if the provider has none.
    pub fn usage(&self, request: &ModelRequest) -> TokenUsage {
        self.usage.unwrap_or_else(|| TokenUsage {
            output_tokens: tokens::estimate_output(&self.content, &self.tool_calls),
            ..tokens::estimate_input(request)
        })
    }

    /// A complete reply as deltas for the listener.
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

/// Arguments as the wire contains them; arguments that never were JSON stay unchanged.
pub(crate) fn arguments_text(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Why the response is not a reply.
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

    /// Describes invalid JSON without quoting it: it may contain a customer's words, and be long.
    pub fn invalid_json(what: &str, error: &serde_json::Error) -> Self {
        let problem = match error.classify() {
            serde_json::error::Category::Eof => "ends too early",
            serde_json::error::Category::Syntax => "is not JSON",
            serde_json::error::Category::Data | serde_json::error::Category::Io => "has another shape than documented",
        };
        Self::Malformed(format!("{what} {problem} (line {}, column {})", error.line(), error.column()))
    }
}
