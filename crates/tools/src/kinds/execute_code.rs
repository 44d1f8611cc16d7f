//! `execute_code`: Python in the sandbox, with access to nothing but its inputs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::{ProgramOutcome, SandboxProgram};
use baton_core::tool::{EffectClass, RetryPolicy, ToolContract};
use baton_ports::sandbox::{Sandbox, SandboxLimits};
use serde_json::{Value, json};

use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::code;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Maximum length of one program, in characters; a call is journaled with its arguments.
const CODE_CHARS_MAX: usize = 64 << 10;
/// Extra time of an attempt beyond the program's own time: the wait for a child process.
const WAIT: Duration = Duration::from_secs(90);

/// The sandbox that runs programs, and the limits of each.
#[derive(Clone)]
pub struct CodeExecution {
    pub sandbox: Arc<dyn Sandbox>,
    pub limits: SandboxLimits,
}

pub(crate) fn entry(execution: CodeExecution) -> ToolEntry {
    let facts = ToolContract {
        retry: RetryPolicy { max_attempts: 3, ..RetryPolicy::default() },
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
        // A pure function of its arguments: the sandbox has no clock, no randomness and no I/O.
        ..ToolContract::new(EffectClass::Pure, execution.limits.time.saturating_add(WAIT))
    };
    ToolEntry::new(
        "execute_code",
        "code",
        "sandbox",
        ActionSpec::new(facts, "code_execution", ToolRisk::Medium),
        Arc::new(ExecuteCode(execution)),
    )
}

struct ExecuteCode(CodeExecution);

#[async_trait]
impl ToolHandler for ExecuteCode {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let inputs = request.argument("inputs").as_object().cloned().unwrap_or_default();
        let program = SandboxProgram::Start {
            source: request.text("code").unwrap_or_default().to_owned(),
            inputs: inputs.into_iter().collect(),
            tools: Vec::new(),
        };
        let CodeExecution { sandbox, limits } = &self.0;
        let ran = sandbox.run(&program, limits).await;
        match ran.map_err(|fault| ToolError::NotDone { fault, retryable: true, retry_after: None })? {
            ProgramOutcome::Finished { output, printed } => Ok(json!({"result": output, "printed": printed})),
            ProgramOutcome::Failed { fault, .. } => {
                Err(ToolError::NotDone { fault, retryable: false, retry_after: None })
            }
            ProgramOutcome::Calls { .. } | ProgramOutcome::Stale => {
                Err(ToolError::permanent(code::CODE_CRASHED, "it was granted no tools and no past, and asks for one"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
