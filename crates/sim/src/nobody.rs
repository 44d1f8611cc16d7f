//! Ports that nobody answers, for worlds that need none of them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::{Program, Ran, Step};
use baton_core::fault::Fault;
use baton_core::id::TenantId;
use baton_core::model::{Reply, Request};
use baton_core::run::ModelFault;
use baton_core::tool::{Call, Facts, Outcome};
use baton_ports::models::{Asker, Models, Pieces};
use baton_ports::sandbox::{Limits, Sandbox};
use baton_ports::thinkers::{Thinkers, Thought};
use baton_ports::tools::{Checked, Tools};
use serde_json::Value;

/// There is no sandbox.
pub struct NoSandbox;

#[async_trait]
impl Sandbox for NoSandbox {
    async fn run(&self, _: &Program, _: &Limits) -> Result<Ran, Fault> {
        Err(Fault::new("NOBODY", "there is no sandbox"))
    }
}

/// There are no tools.
pub struct NoTools;

/// Nobody thinks elsewhere.
pub struct NoThinkers;

#[async_trait]
impl Thinkers for NoThinkers {
    async fn think(&self, _: Thought<'_>, _: Duration) -> Result<Step, ModelFault> {
        Err(ModelFault::lasting(Fault::new("NOBODY", "nobody thinks elsewhere")))
    }
}

#[async_trait]
impl Tools for NoTools {
    async fn check(&self, _: &Call, _: Option<&str>) -> Checked {
        Checked::RateLimited { retry_after: Duration::from_secs(1) }
    }

    async fn look_up(&self, _: &Call, _: Duration) -> Outcome {
        Outcome::Unknown { fault: Fault::new("NOBODY", "there are no tools") }
    }

    fn facts(&self, _: &str) -> Option<Arc<Facts>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// There are no models.
pub struct NoModels;

#[async_trait]
impl Models for NoModels {
    async fn ask(&self, _: &Asker, _: &Request, _: Duration, _: Option<&Pieces>) -> Result<Reply, ModelFault> {
        Err(ModelFault::lasting(Fault::new("NOBODY", "there are no models")))
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn explain(&self, _: &TenantId, _: &str) -> Option<Value> {
        None
    }
}
