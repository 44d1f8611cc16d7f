//! `simple`: one model call, no loop. Classification, extraction, short answers.

use baton_core::agent::{Seen, Step, Task};
use baton_core::model::Reply;
use baton_core::structured::extract;
use serde_json::{Value, json};

use crate::fault::{Unusable, code};
use crate::one_shot::OneShot;
use crate::prompt;
use crate::schema;
use crate::transcript::Wants;

/// The output is what the schema says. Without a schema it is the object that the reply is, else `{"text": reply}`.
pub(crate) fn step(task: &Task, seen: &[Seen]) -> Step {
    let (schema, system) =
        match schema::of(&task.agent).and_then(|schema| Ok((schema, prompt::with_schema(task, &task.system)?))) {
            Ok(both) => both,
            Err(fault) => return Step::GiveUp(fault),
        };
    OneShot {
        system,
        schema: task.agent.output_schema.clone(),
        again: if schema.is_some() { Wants::Json } else { Wants::Shorter },
        read: &|reply: &Reply| match &schema {
            Some(schema) => schema.read(&reply.content).map_err(Unusable::from),
            None => free(&reply.content),
        },
    }
    .step(task, seen)
}

fn free(text: &str) -> Result<Value, Unusable> {
    if let Some(object) = extract::whole_object(text) {
        return Ok(object);
    }
    match extract::without_thinking(text).trim() {
        "" => Err(Unusable::new(code::REPLY_EMPTY, "the reply is empty")),
        text => Ok(json!({"text": text})),
    }
}

#[cfg(test)]
mod malformed;
#[cfg(test)]
mod tests;
