//! `execute_code`: Python in the sandbox, with nothing but its inputs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::{Program, Ran};
use baton_core::tool::{Class, Facts, Retry};
use baton_ports::sandbox::{Limits, Sandbox};
use serde_json::{Value, json};

use crate::catalogue::{Action, Entry, Risk};
use crate::code;
use crate::failure::Failure;
use crate::request::Request;
use crate::tool::Tool;

/// Characters of one program; a call is journaled with its arguments.
const CODE_CHARS_MAX: usize = 64 << 10;
/// What an attempt may take beyond the program's own time: the wait for a child.
const WAIT: Duration = Duration::from_secs(90);

/// Where programs run, and what each may use.
#[derive(Clone)]
pub struct Execution {
    pub sandbox: Arc<dyn Sandbox>,
    pub limits: Limits,
}

pub(crate) fn entry(execution: Execution) -> Entry {
    let facts = Facts {
        retry: Retry { max_attempts: 3, ..Retry::default() },
        description: "Runs Python that computes and reaches nothing: no files, network, clock or tools. The value of \
                      its last expression is the result, and must have a JSON form"
            .to_owned(),
        output_fields: vec!["result".to_owned(), "printed".to_owned()],
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["code"],
            "properties": {
                "code": {
                    "type": "string", "minLength": 1, "maxLength": CODE_CHARS_MAX,
                    "description": "Python. There are json, math, re, datetime, itertools, functools and collections",
                },
                "inputs": {"type": "object", "description": "Variables that the program finds set"},
            },
        }),
        // A function of its arguments: the sandbox has no clock, no chance and nobody to ask.
        ..Facts::new(Class::Pure, execution.limits.time.saturating_add(WAIT))
    };
    Entry::new(
        "execute_code",
        "code",
        "sandbox",
        Action::new(facts, "code_execution", Risk::Medium),
        Arc::new(ExecuteCode(execution)),
    )
}

struct ExecuteCode(Execution);

#[async_trait]
impl Tool for ExecuteCode {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let inputs = request.argument("inputs").as_object().cloned().unwrap_or_default();
        let program = Program::Start {
            source: request.text("code").unwrap_or_default().to_owned(),
            inputs: inputs.into_iter().collect(),
            tools: Vec::new(),
        };
        let Execution { sandbox, limits } = &self.0;
        let ran = sandbox.run(&program, limits).await;
        match ran.map_err(|fault| Failure::NotDone { fault, retryable: true, retry_after: None })? {
            Ran::Finished { output, printed } => Ok(json!({"result": output, "printed": printed})),
            Ran::Failed { fault, .. } => Err(Failure::NotDone { fault, retryable: false, retry_after: None }),
            Ran::Calls { .. } | Ran::Stale => {
                Err(Failure::refused(code::CODE_CRASHED, "it was granted no tools and no past, and asks for one"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
