//! Triggers start runs without a direct request: schedules, and signed webhooks.
//!
//! Definitions are records of a tenant. A run's id is derived from its cause (a schedule and an instant, or a webhook
//! and a delivery), so repeated starts, from any number of processes and after any crash, result in one run.

mod definitions;
pub mod schedule;
pub mod signature;
pub mod webhook;

use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::id::{RunId, TenantId};
use baton_core::time::Time;
use baton_core::tool::Caller;
use baton_expr::{JsonContext, ParamsDialect, ParamsTemplate};
use baton_ports::read::ReadModel;
use baton_ports::records::{self, RecordStore};
use baton_ports::registry::{WorkflowRegistry, WorkflowVersion};
use serde_json::{Map, Value};

use crate::{Engine, RunStart};

pub use definitions::{NAME_BYTES_MAX, NamedDefinition, PAGE_MAX, check_name, delete, find, list, save};

/// The reason why a trigger was not saved, or did not start a run.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// A field of a definition is invalid.
    #[error("`{field}`: {why}")]
    Invalid { field: &'static str, why: String },
    #[error("there is no {kind} `{name}`")]
    Unknown { kind: &'static str, name: String },
    #[error("a {kind} `{name}` is there already")]
    Taken { kind: &'static str, name: String },
    #[error("a tenant has at most {max} of these")]
    TooMany { max: usize },
    #[error("no workflow `{name}`")]
    NoWorkflow { name: String },
    #[error(transparent)]
    Engine(#[from] crate::EngineError),
    #[error(transparent)]
    Records(#[from] records::RecordError),
    #[error(transparent)]
    Read(#[from] baton_ports::journal::JournalError),
}

impl TriggerError {
    pub(crate) fn invalid(field: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Invalid { field, why: why.to_string() }
    }

    /// Whether retrying cannot succeed.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Invalid { .. }
            | Self::Unknown { .. }
            | Self::Taken { .. }
            | Self::TooMany { .. }
            | Self::NoWorkflow { .. }
            | Self::Engine(crate::EngineError::Input(_) | crate::EngineError::BadVersion { .. }) => true,
            Self::Engine(_) | Self::Records(_) | Self::Read(_) => false,
        }
    }
}

/// Stores triggers and starts their runs. Cheap to clone.
#[derive(Clone)]
pub struct TriggerService {
    pub engine: Engine,
    pub registry: Arc<dyn WorkflowRegistry>,
    pub records: Arc<dyn RecordStore>,
    pub read: Arc<dyn ReadModel>,
    /// The IANA time zone of runs and schedules that name none.
    pub zone: Option<String>,
}

/// A run to be started by a trigger.
struct TriggeredRun<'f> {
    run: RunId,
    workflow: &'f str,
    input: Value,
    context: Map<String, Value>,
    /// For journals and audit rows.
    by: String,
    /// Who set the trigger up, and who started this run by hand: they count as its requesters.
    set_up_by: Vec<String>,
}

impl TriggerService {
    /// Accepts the run; one that was accepted before is the same run.
    async fn begin(&self, tenant: &TenantId, firing: TriggeredRun<'_>) -> Result<(), TriggerError> {
        let version = self.version(tenant, firing.workflow).await?;
        let context = Value::Object(firing.context);
        let caller = Caller {
            begun_by: Some(firing.by),
            also_asked: firing.set_up_by,
            ..Caller::of(&context, self.zone.as_deref())
        };
        let start = RunStart {
            run: firing.run,
            tenant: tenant.clone(),
            workflow: version.workflow,
            bundle: version.bundle,
            input: firing.input,
            context,
            caller,
        };
        match self.engine.start(start).await {
            Ok(()) | Err(crate::EngineError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn version(&self, tenant: &TenantId, workflow: &str) -> Result<WorkflowVersion, TriggerError> {
        let active = self.registry.active(tenant, workflow).await?;
        active.ok_or_else(|| TriggerError::NoWorkflow { name: workflow.to_owned() })
    }
}

/// Renders the templates of an input.
fn render_input(input: &Value, names: &Value, now: Time) -> Result<Value, TriggerError> {
    let params = ParamsTemplate::parse(input, ParamsDialect::Edges)
        .map_err(|error| TriggerError::invalid("input", error.message))?;
    params
        .render(&JsonContext::new(names, now.to_timestamp()))
        .map_err(|error| TriggerError::invalid("input", error.message))
}

/// A run's id: readable, and the same for the same cause.
fn trigger_run_id(kind: &str, tenant: &TenantId, name: &str, born: Time, cause: &str) -> RunId {
    let whole = format!("{kind}\n{tenant}\n{name}\n{}\n{cause}", born.as_ms());
    let hash = ContentHash::of(whole.as_bytes());
    RunId::new(format!("{kind}-{name}-{}", hash.as_str().get(..32).unwrap_or_default()))
}
