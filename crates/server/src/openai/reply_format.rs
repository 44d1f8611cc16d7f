//! Enforces the format that a request requires of its reply: JSON by `response_format`, and calls by the parameters
//! of its strict tools. What the provider does not enforce is checked here, and a violation is sent back to the
//! model once. So a caller never receives a reply in the wrong format.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::StatusCode;
use baton_core::model::{FinishReason, ModelMessage, ModelReply, ModelRequest, ModelToolCall};
use baton_core::structured::{CORRECTIONS_MAX, ReplySchema, ReplySchemaError};
use baton_ports::models::{DeltaSender, ModelCaller};
use serde_json::Value;
use tokio::time::Instant;

use super::error::OpenAiError;
use crate::problem::HttpProblem;
use crate::state::AppState;

#[derive(Debug, Default)]
pub(super) struct ReplyFormat {
    schema: Option<ReplySchema>,
    /// The schemas of the strict tools, by name.
    tools: BTreeMap<String, ReplySchema>,
}

impl ReplyFormat {
    /// Compiles the schemas of the request.
    ///
    /// # Errors
    /// The field that is not a valid JSON Schema.
    pub fn of(request: &ModelRequest) -> Result<Self, OpenAiError> {
        let compiled = |field: &str, schema: &Value| {
            ReplySchema::compile(schema)
                .map_err(|problem| OpenAiError::invalid(field, format!("this is no JSON Schema: {problem}")))
        };
        let schema = request.schema.as_ref().map(|schema| compiled("response_format", schema)).transpose()?;
        let strict = request.tools.iter().enumerate().filter(|(_, tool)| tool.strict == Some(true));
        let tools = strict.filter(|(_, tool)| !tool.parameters.is_null()).map(|(place, tool)| {
            Ok((tool.name.clone(), compiled(&format!("tools[{place}].function.parameters"), &tool.parameters)?))
        });
        Ok(Self { schema, tools: tools.collect::<Result<_, OpenAiError>>()? })
    }

    /// Whether any reply is acceptable.
    pub fn is_unconstrained(&self) -> bool {
        self.schema.is_none() && self.tools.is_empty()
    }

    /// Checks the reply. A reply that was cut off or filtered is reported by its finish reason and returned
    /// unchanged.
    fn read(&self, mut reply: ModelReply) -> Result<ModelReply, Box<(ReplyDiagnostic, ModelReply)>> {
        match reply.finish {
            FinishReason::Length | FinishReason::Filtered => return Ok(reply),
            FinishReason::Stop | FinishReason::ToolCalls => {}
        }
        if !reply.tool_calls.is_empty() {
            let unfit = reply.tool_calls.iter().enumerate().find_map(|(place, call)| {
                let schema = self.tools.get(&call.name)?;
                let what = format!("what you called `{}` with", call.name);
                schema.check(&what, &call.arguments).err().map(|unfit| ReplyDiagnostic { unfit, call: Some(place) })
            });
            return match unfit {
                Some(unsuited) => Err(Box::new((unsuited, reply))),
                None => Ok(reply),
            };
        }
        let Some(schema) = &self.schema else { return Ok(reply) };
        match schema.parse_reply(&reply.content) {
            Ok(found) => {
                // A reply that is already valid JSON keeps its field order and white space.
                if serde_json::from_str::<Value>(&reply.content).is_err() {
                    reply.content = found.to_string();
                }
                Ok(reply)
            }
            Err(unfit) => Err(Box::new((ReplyDiagnostic { unfit, call: None }, reply))),
        }
    }
}

/// What is wrong with a reply, and with which of its calls.
struct ReplyDiagnostic {
    unfit: ReplySchemaError,
    call: Option<usize>,
}

/// Asks the model until its reply has the required format: at most one more time, and not at all if parts of the
/// reply were already sent. The cost and latency of all attempts are added to the reply.
pub(super) async fn ask_until_valid(
    state: &AppState,
    asker: &ModelCaller,
    form: &ReplyFormat,
    request: &ModelRequest,
    pieces: Option<&DeltaSender>,
) -> Result<ModelReply, OpenAiError> {
    let deadline = Instant::now() + state.limits.answer_timeout;
    let mut request = Cow::Borrowed(request);
    let mut before: Option<ModelReply> = None;
    let mut corrections = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut reply = state.models.ask(asker, &request, left, pieces).await?;
        if let Some(before) = &before {
            reply.cost += before.cost;
            reply.usage.add(&before.usage);
            reply.latency_ms = reply.latency_ms.saturating_add(before.latency_ms);
        }
        let (unsuited, reply) = match form.read(reply) {
            Ok(reply) => return Ok(reply),
            Err(unsuited) => *unsuited,
        };
        if corrections >= CORRECTIONS_MAX || pieces.is_some() {
            return Err(retries_exhausted(&unsuited.unfit, corrections));
        }
        corrections += 1;
        tracing::debug!(model = reply.model, code = unsuited.unfit.code, "a reply is asked for again");
        request.to_mut().messages.extend(correction(&unsuited, &reply));
        before = Some(reply);
    }
}

/// The reply and its problem, as messages to the model.
fn correction(unsuited: &ReplyDiagnostic, reply: &ModelReply) -> Vec<ModelMessage> {
    let said = ModelMessage::Assistant {
        content: reply.content.clone(),
        tool_calls: reply.tool_calls.clone(),
        thinking: reply.thinking.clone(),
        name: None,
    };
    let problem = &unsuited.unfit.problem;
    let Some(at) = unsuited.call else {
        let again = format!("Your last reply could not be used: {problem}. Reply again with only the JSON.");
        return vec![said, ModelMessage::user(again)];
    };
    let answered = |(place, call): (usize, &ModelToolCall)| ModelMessage::Tool {
        tool_call_id: call.id.clone(),
        content: if place == at {
            format!("Nothing was done: {problem}. Call again.")
        } else {
            "Nothing was done, for another call of the same reply could not be used. Call again.".to_owned()
        },
    };
    std::iter::once(said).chain(reply.tool_calls.iter().enumerate().map(answered)).collect()
}

fn retries_exhausted(unfit: &ReplySchemaError, corrections: u32) -> OpenAiError {
    let ReplySchemaError { code, problem } = unfit;
    let asked = if corrections == 0 { "" } else { ", though the model was told and asked again" };
    HttpProblem::new(
        StatusCode::BAD_GATEWAY,
        *code,
        format!("the reply has not the form that was asked for{asked}: {problem}"),
    )
    .into()
}
