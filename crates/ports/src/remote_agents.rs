//! Agents of type `custom` that somebody else thinks for, over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::{AgentObservation, AgentStep, AgentTask};
use baton_core::id::TenantId;
use baton_core::run::ModelCallError;

/// One question to whoever thinks for an agent.
#[derive(Clone, Copy, Debug)]
pub struct StepRequest<'a> {
    pub tenant: &'a TenantId,
    /// The call's idempotency key: asked again under it, the question is the same byte for byte.
    pub key: &'a str,
    pub endpoint: &'a str,
    pub task: &'a AgentTask,
    pub seen: &'a [AgentObservation],
}

/// Asks for the next step of an agent.
#[async_trait]
pub trait RemoteAgents: Send + Sync {
    /// The step, within `limit`.
    ///
    /// # Errors
    /// Nobody answered, or what was answered is no step.
    async fn think(&self, thought: StepRequest<'_>, limit: Duration) -> Result<AgentStep, ModelCallError>;
}
