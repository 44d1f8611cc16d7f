//! Replies held to the form that a request asks for: JSON by its `response_format`, and calls by the parameters of its
//! strict tools. What the provider does not enforce is checked here, told to the model once, and asked again; so a caller
//! is never given what it would trip over.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::http::StatusCode;
use baton_core::model::{Finish, Message, Reply, Request, ToolCall};
use baton_core::structured::{CORRECTIONS_MAX, Schema, Unfit};
use baton_ports::models::{Asker, Pieces};
use serde_json::Value;
use tokio::time::Instant;

use super::error::Error;
use crate::door::Door;
use crate::problem::Problem;

#[derive(Debug, Default)]
pub(super) struct Form {
    schema: Option<Schema>,
    /// Of the strict tools, by name.
    tools: BTreeMap<String, Schema>,
}

impl Form {
    /// # Errors
    /// What is no JSON Schema, with its field.
    pub fn of(request: &Request) -> Result<Self, Error> {
        let compiled = |field: &str, schema: &Value| {
            Schema::compile(schema)
                .map_err(|problem| Error::invalid(field, format!("this is no JSON Schema: {problem}")))
        };
        let schema = request.schema.as_ref().map(|schema| compiled("response_format", schema)).transpose()?;
        let strict = request.tools.iter().enumerate().filter(|(_, tool)| tool.strict == Some(true));
        let tools = strict.filter(|(_, tool)| !tool.parameters.is_null()).map(|(place, tool)| {
            Ok((tool.name.clone(), compiled(&format!("tools[{place}].function.parameters"), &tool.parameters)?))
        });
        Ok(Self { schema, tools: tools.collect::<Result<_, Error>>()? })
    }

    /// Whether any reply will do.
    pub fn is_free(&self) -> bool {
        self.schema.is_none() && self.tools.is_empty()
    }

    /// The reply in its form. One that was cut off or refused says so itself, and is given as it is.
    fn read(&self, mut reply: Reply) -> Result<Reply, Box<(Unsuited, Reply)>> {
        match reply.finish {
            Finish::Length | Finish::Filtered => return Ok(reply),
            Finish::Stop | Finish::ToolCalls => {}
        }
        if !reply.tool_calls.is_empty() {
            let unfit = reply.tool_calls.iter().enumerate().find_map(|(place, call)| {
                let schema = self.tools.get(&call.name)?;
                let what = format!("what you called `{}` with", call.name);
                schema.check(&what, &call.arguments).err().map(|unfit| Unsuited { unfit, call: Some(place) })
            });
            return match unfit {
                Some(unsuited) => Err(Box::new((unsuited, reply))),
                None => Ok(reply),
            };
        }
        let Some(schema) = &self.schema else { return Ok(reply) };
        match schema.read(&reply.content) {
            Ok(found) => {
                // What is JSON as it stands keeps its own order and spaces.
                if serde_json::from_str::<Value>(&reply.content).is_err() {
                    reply.content = found.to_string();
                }
                Ok(reply)
            }
            Err(unfit) => Err(Box::new((Unsuited { unfit, call: None }, reply))),
        }
    }
}

/// What is wrong with a reply, and with which of its calls.
struct Unsuited {
    unfit: Unfit,
    call: Option<usize>,
}

/// Asks until the reply has its form: once again at the most, and not at all where its pieces were told already. What
/// all of it cost and took is the reply's.
pub(super) async fn ask(
    door: &Door,
    asker: &Asker,
    form: &Form,
    request: &Request,
    pieces: Option<&Pieces>,
) -> Result<Reply, Error> {
    let deadline = Instant::now() + door.limits.answer;
    let mut request = Cow::Borrowed(request);
    let mut before: Option<Reply> = None;
    let mut corrections = 0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut reply = door.models.ask(asker, &request, left, pieces).await?;
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
            return Err(given_up(&unsuited.unfit, corrections));
        }
        corrections += 1;
        tracing::debug!(model = reply.model, code = unsuited.unfit.code, "a reply is asked for again");
        request.to_mut().messages.extend(correction(&unsuited, &reply));
        before = Some(reply);
    }
}

/// The reply, and what is wrong with it, as the model is shown them.
fn correction(unsuited: &Unsuited, reply: &Reply) -> Vec<Message> {
    let said = Message::Assistant {
        content: reply.content.clone(),
        tool_calls: reply.tool_calls.clone(),
        thinking: reply.thinking.clone(),
        name: None,
    };
    let problem = &unsuited.unfit.problem;
    let Some(at) = unsuited.call else {
        let again = format!("Your last reply could not be used: {problem}. Reply again with only the JSON.");
        return vec![said, Message::user(again)];
    };
    let answered = |(place, call): (usize, &ToolCall)| Message::Tool {
        tool_call_id: call.id.clone(),
        content: if place == at {
            format!("Nothing was done: {problem}. Call again.")
        } else {
            "Nothing was done, for another call of the same reply could not be used. Call again.".to_owned()
        },
    };
    std::iter::once(said).chain(reply.tool_calls.iter().enumerate().map(answered)).collect()
}

fn given_up(unfit: &Unfit, corrections: u32) -> Error {
    let Unfit { code, problem } = unfit;
    let asked = if corrections == 0 { "" } else { ", though the model was told and asked again" };
    Problem::new(
        StatusCode::BAD_GATEWAY,
        *code,
        format!("the reply has not the form that was asked for{asked}: {problem}"),
    )
    .into()
}
