//! Agents whose steps are decided by an external HTTP endpoint: one POST per step.
//!
//! The endpoint receives `{"task", "seen"}` with the call's key as `Idempotency-Key`, and responds with the step as
//! JSON. Addresses are checked as for `http_request`, because the person who registers an agent may have no access to
//! the internal network.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::AgentStep;
use baton_core::fault::{Fault, code as fault_code};
use baton_core::run::ModelCallError;
use baton_core::tool::EffectClass;
use baton_ports::remote_agents::{RemoteAgents, StepRequest};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde_json::json;

use crate::code;
use crate::config::{BoundSecret, ToolsConfig, origin_of};
use crate::kinds::http_request::idempotency_key;
use crate::outbound::{OutboundClient, OutboundRequest, OutboundResponse, check_status};
use crate::tool_error::ToolError;

/// The key in an agent's `metadata` that names the secret sent to its endpoint.
pub const SECRET: &str = baton_core::agent::ENDPOINT_SECRET;
/// Maximum number of characters shown of a response that is not a step.
const SHOWN_CHARS_MAX: usize = 200;

/// A client that requests agent steps from endpoints.
pub struct AgentEndpoints {
    outbound: OutboundClient,
    secrets: BTreeMap<String, BoundSecret>,
}

impl AgentEndpoints {
    pub fn new(config: &ToolsConfig) -> Self {
        Self { outbound: OutboundClient::new(config.outbound.clone()), secrets: config.secrets.clone() }
    }

    async fn request_step(&self, thought: StepRequest<'_>) -> Result<AgentStep, ToolError> {
        let answer = self.outbound.send(self.outgoing(thought)?, None).await;
        let answer = answer.map_err(|no_answer| no_answer.failure(EffectClass::Read))?;
        check_status(&answer, EffectClass::Read)?;
        read(&answer)
    }

    fn outgoing(&self, thought: StepRequest<'_>) -> Result<OutboundRequest, ToolError> {
        let StepRequest { key, endpoint, task, seen, .. } = thought;
        let agent = &task.agent.name;
        let refused =
            |reason: String| ToolError::permanent(code::INVALID_PARAMETERS, format!("agent `{agent}`: {reason}"));
        let url: Url = endpoint.parse().map_err(|_| refused(format!("its endpoint `{endpoint}` is no URL")))?;
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", idempotency_key(key));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(name) = task.agent.metadata.get(SECRET).and_then(serde_json::Value::as_str) {
            let secret = self.secrets.get(name);
            let secret =
                secret.ok_or_else(|| refused(format!("there is no secret `{name}` under `[tools.secrets]`")))?;
            let secret = secret.for_endpoint(&url).ok_or_else(|| {
                let origin = origin_of(&url);
                refused(format!(
                    "the secret `{name}` may not go to {origin}; `[tools.secrets.{name}]` says where by `origins`"
                ))
            })?;
            let mut value = HeaderValue::from_str(&format!("Bearer {}", secret.expose()))
                .map_err(|_| refused(format!("the secret `{name}` has characters that a header cannot carry")))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let body = Some(json!({"task": task, "seen": seen}).to_string().into_bytes());
        Ok(OutboundRequest { method: Method::POST, url, headers, body, secrets: Vec::new() })
    }
}

fn read(answer: &OutboundResponse) -> Result<AgentStep, ToolError> {
    let refused = |reason: String| ToolError::permanent(fault_code::STEP_INVALID, format!("{}: {reason}", answer.from));
    if answer.truncated {
        return Err(refused(format!("its answer is longer than {} bytes", answer.body.len())));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        let text: String = String::from_utf8_lossy(&answer.body).chars().take(SHOWN_CHARS_MAX).collect();
        refused(format!("its answer is no step ({error}): {text}"))
    })
}

#[async_trait]
impl RemoteAgents for AgentEndpoints {
    async fn think(&self, thought: StepRequest<'_>, limit: Duration) -> Result<AgentStep, ModelCallError> {
        let agent = thought.task.agent.name.clone();
        let fault = |fault, retryable, retry_after| ModelCallError {
            retryable,
            retry_after,
            ..ModelCallError::permanent(fault)
        };
        match tokio::time::timeout(limit, self.request_step(thought)).await {
            Ok(Ok(step)) => Ok(step),
            Ok(Err(ToolError::NotDone { fault: told, retryable, retry_after })) => {
                Err(fault(told, retryable, retry_after))
            }
            Ok(Err(ToolError::Unknown { fault: told })) => Err(fault(told, true, None)),
            Ok(Err(ToolError::NeedsInput { fault: told, .. })) => Err(fault(told, false, None)),
            Err(_) => {
                let message = format!("whoever thinks for agent `{agent}` did not answer within {} s", limit.as_secs());
                Err(fault(Fault::new(code::TIMEOUT, message), true, None))
            }
        }
    }
}

#[cfg(test)]
mod tests;
