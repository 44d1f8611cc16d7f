//! Agents of type `custom`, whose steps are computed by an external service over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::{AgentObservation, AgentStep, AgentTask};
use baton_core::id::TenantId;
use baton_core::run::ModelCallError;

/// A request for one step of such an agent.
#[derive(Clone, Copy, Debug)]
pub struct StepRequest<'a> {
    pub tenant: &'a TenantId,
    /// The call's idempotency key: a request repeated under it is the same byte for byte.
    pub key: &'a str,
    pub endpoint: &'a str,
    pub task: &'a AgentTask,
    pub seen: &'a [AgentObservation],
}

/// Requests the next step of an agent.
#[async_trait]
pub trait RemoteAgents: Send + Sync {
    /// The step, within `limit`.
    ///
    /// # Errors
    /// The service did not answer, or its answer is not a valid step.
    async fn think(&self, thought: StepRequest<'_>, limit: Duration) -> Result<AgentStep, ModelCallError>;
}
