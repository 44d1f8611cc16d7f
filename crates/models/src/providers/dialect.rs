//! What one provider's API says differently from another's: where requests go, how they are written, how replies are
//! read. Everything else about a call over HTTP is [`Remote`](super::remote::Remote)'s.

use std::fmt::Debug;

use baton_core::model::{Finish, Request, Thinking, ToolCall, Usage};
use baton_ports::models::Piece;
use reqwest::Url;
use reqwest::header::{HeaderMap, InvalidHeaderValue};
use serde_json::Value;

use super::draft::Draft;
use super::names::Names;
use super::{Ask, tokens};
use crate::catalogue::{Spec, Structured};

pub(crate) trait Dialect: Debug + Send + Sync {
    type Assembly: Assembly;

    /// The environment variable people keep the key in, for messages.
    const KEY_VARIABLE: &'static str;

    /// Where a request for this model goes.
    fn endpoint(&self, model: &str) -> Url;

    /// Puts the key where the API looks for it, marked sensitive.
    fn authorize(&self, headers: &mut HeaderMap, key: &str) -> Result<(), InvalidHeaderValue>;

    /// Further headers of every request.
    fn headers(&self, _headers: &mut HeaderMap) {}

    /// The JSON body: a function of the query. An error says what of the request cannot be said to this provider.
    fn body(&self, query: &Query<'_>) -> Result<Value, String>;

    /// Tokens of the longest reply this model gives where the request does not say; nothing where that is not known.
    fn reply_max(&self, _model: &str, spec: Option<&Spec>) -> Option<u64> {
        spec.and_then(|spec| spec.output_tokens)
    }

    /// Whether the provider itself holds replies to the request's schema, and calls to the parameters of strict tools.
    fn holds(&self, query: &Query<'_>) -> bool;

    /// Reads a reply that came whole.
    fn read(&self, query: &Query<'_>, body: &[u8]) -> Result<Answer, Problem>;

    /// What puts a streamed reply together.
    fn assembly(&self, query: &Query<'_>) -> Self::Assembly;
}

/// One call as it goes over the wire.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pub ask: &'a Ask<'a>,
    pub names: Names,
    pub structured: Structured,
    pub stream: bool,
}

impl<'a> Query<'a> {
    /// `structured` is what the settings say for all models.
    pub fn of(ask: &'a Ask<'a>, structured: Option<Structured>) -> Self {
        Self {
            ask,
            names: Names::of(&ask.request.tools),
            structured: structured.or(ask.spec.map(|spec| spec.structured)).unwrap_or_default(),
            stream: (ask.first_token.is_some() || ask.pieces.is_some()) && ask.spec.is_none_or(|spec| spec.streaming),
        }
    }

    /// Whether the model takes a temperature, where the catalogue knows it.
    pub fn takes_temperature(&self) -> Option<bool> {
        self.ask.spec.and_then(|spec| spec.sampling)
    }

    /// What this model thought before one of the request's messages.
    pub fn thought<'t>(&self, thinking: Option<&'t Thinking>) -> &'t [Value] {
        thinking.filter(|thinking| thinking.model == self.ask.model).map_or(&[], |thinking| &thinking.parts)
    }
}

/// Puts a streamed reply together, event by event.
pub(crate) trait Assembly: Send {
    /// Takes the data of one event.
    fn take(&mut self, event: &str) -> Result<(), Problem>;

    /// Takes the end of the stream; an error where the reply is not whole.
    fn close(&mut self) -> Result<(), Problem>;

    /// Whether the model has begun to say something, or to think.
    fn has_begun(&self) -> bool;

    fn is_whole(&self) -> bool;

    /// The reply so far.
    fn draft(&mut self) -> &mut Draft;

    /// The reply, once it is whole.
    fn answer(&mut self) -> Result<Answer, Problem>;
}

/// A reply in our words; tool names are still the wire's.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub content: String,
    pub tool_calls: Vec<ToolCall>,
    pub finish: Finish,
    /// `None` where the provider does not count.
    pub usage: Option<Usage>,
    pub model: Option<String>,
    /// What must go back to the model with the answers to its calls.
    pub thinking: Vec<Value>,
}

impl Answer {
    /// The counts, estimated where the provider has none.
    pub fn usage(&self, request: &Request) -> Usage {
        self.usage.unwrap_or_else(|| Usage {
            output_tokens: tokens::of_output(&self.content, &self.tool_calls),
            ..tokens::of_input(request)
        })
    }

    /// A reply that came whole, told to whoever listens.
    pub fn pieces(&self) -> Vec<Piece> {
        let text = (!self.content.is_empty()).then(|| Piece::Text(self.content.clone()));
        let call = |(index, call): (usize, &ToolCall)| Piece::ToolCall {
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
pub(crate) enum Problem {
    Malformed(String),
    /// The provider reports a failure inside a success.
    Error(Value),
}

impl Problem {
    pub fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }

    /// What is wrong with JSON, without repeating any of it: it may be a customer's words, and long.
    pub fn unreadable(what: &str, error: &serde_json::Error) -> Self {
        let problem = match error.classify() {
            serde_json::error::Category::Eof => "ends too early",
            serde_json::error::Category::Syntax => "is not JSON",
            serde_json::error::Category::Data | serde_json::error::Category::Io => "has another shape than documented",
        };
        Self::Malformed(format!("{what} {problem} (line {}, column {})", error.line(), error.column()))
    }
}
