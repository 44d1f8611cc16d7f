//! `simple` agents: one model call, no loop. For classification, extraction and short answers.

use baton_core::agent::{AgentObservation, AgentStep, AgentTask};
use baton_core::model::ModelReply;
use baton_core::structured::extract;
use serde_json::{Value, json};

use crate::fault::{ReplyError, code};
use crate::one_shot::OneShot;
use crate::prompt;
use crate::schema;
use crate::transcript::CorrectionKind;

/// The output follows the schema. Without a schema, it is the object in the reply, or `{"text": reply}` if the
/// reply is not an object.
pub(crate) fn step(task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
    let (schema, system) =
        match schema::of(&task.agent).and_then(|schema| Ok((schema, prompt::with_schema(task, &task.system)?))) {
            Ok(both) => both,
            Err(fault) => return AgentStep::GiveUp(fault),
        };
    OneShot {
        system,
        schema: task.agent.output_schema.clone(),
        correction: if schema.is_some() { CorrectionKind::Json } else { CorrectionKind::Shorter },
        read: &|reply: &ModelReply| match &schema {
            Some(schema) => schema.parse_reply(&reply.content).map_err(ReplyError::from),
            None => free(&reply.content),
        },
    }
    .step(task, seen)
}

fn free(text: &str) -> Result<Value, ReplyError> {
    if let Some(object) = extract::whole_object(text) {
        return Ok(object);
    }
    match extract::strip_thinking(text).trim() {
        "" => Err(ReplyError::new(code::REPLY_EMPTY, "the reply is empty")),
        text => Ok(json!({"text": text})),
    }
}

#[cfg(test)]
mod malformed;
#[cfg(test)]
mod tests;
