//! Agents of type `custom` that somebody else thinks for, over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::{Seen, Step, Task};
use baton_core::id::TenantId;
use baton_core::run::ModelFault;

/// One question to whoever thinks for an agent.
#[derive(Clone, Copy, Debug)]
pub struct Thought<'a> {
    pub tenant: &'a TenantId,
    /// The call's idempotency key: asked again under it, the question is the same byte for byte.
    pub key: &'a str,
    pub endpoint: &'a str,
    pub task: &'a Task,
    pub seen: &'a [Seen],
}

/// Asks for the next step of an agent.
#[async_trait]
pub trait Thinkers: Send + Sync {
    /// The step, within `limit`.
    ///
    /// # Errors
    /// Nobody answered, or what was answered is no step.
    async fn think(&self, thought: Thought<'_>, limit: Duration) -> Result<Step, ModelFault>;
}
