//! Ports without an implementation, for worlds that need none of them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::{AgentStep, ProgramOutcome, SandboxProgram};
use baton_core::fault::Fault;
use baton_core::id::TenantId;
use baton_core::model::{ModelReply, ModelRequest};
use baton_core::run::ModelCallError;
use baton_core::tool::{ToolContract, ToolInvocation, ToolOutcome};
use baton_ports::models::{DeltaSender, ModelCaller, ModelService};
use baton_ports::remote_agents::{RemoteAgents, StepRequest};
use baton_ports::sandbox::{Sandbox, SandboxLimits};
use baton_ports::tools::{CheckResult, ToolGateway};
use serde_json::Value;

/// There is no sandbox.
pub struct NullSandbox;

#[async_trait]
impl Sandbox for NullSandbox {
    async fn run(&self, _: &SandboxProgram, _: &SandboxLimits) -> Result<ProgramOutcome, Fault> {
        Err(Fault::new("NOBODY", "there is no sandbox"))
    }
}

/// There are no tools.
pub struct NullTools;

/// There are no remote agents.
pub struct NullThinkers;

#[async_trait]
impl RemoteAgents for NullThinkers {
    async fn think(&self, _: StepRequest<'_>, _: Duration) -> Result<AgentStep, ModelCallError> {
        Err(ModelCallError::permanent(Fault::new("NOBODY", "nobody thinks elsewhere")))
    }
}

#[async_trait]
impl ToolGateway for NullTools {
    async fn check(&self, _: &ToolInvocation, _: Option<&str>) -> CheckResult {
        CheckResult::RateLimited { retry_after: Duration::from_secs(1) }
    }

    async fn look_up(&self, _: &ToolInvocation, _: Duration) -> ToolOutcome {
        ToolOutcome::Unknown { fault: Fault::new("NOBODY", "there are no tools") }
    }

    fn facts(&self, _: &str) -> Option<Arc<ToolContract>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// There are no models.
pub struct NullModels;

#[async_trait]
impl ModelService for NullModels {
    async fn ask(
        &self,
        _: &ModelCaller,
        _: &ModelRequest,
        _: Duration,
        _: Option<&DeltaSender>,
    ) -> Result<ModelReply, ModelCallError> {
        Err(ModelCallError::permanent(Fault::new("NOBODY", "there are no models")))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn explain(&self, _: &TenantId, _: &str) -> Option<Value> {
        None
    }
}
