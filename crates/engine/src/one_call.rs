//! A single call from outside, executed as a run of its own: checked, approved, deduplicated, audited and compensated
//! like any other.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::definition::{self, DefinitionCatalog, SINGLE_CALL_PREFIX};
use baton_core::id::{ID_BYTES_MAX, RunId, TenantId};
use baton_core::run::{OpenWait, Run, RunState, TOOL_RESULTS};
use baton_core::time::Time;
use baton_core::tool::{Caller, ToolContract, ToolEnvelope};
use baton_ports::journal;
use baton_ports::registry::{WorkflowRegistry, WorkflowVersion};
use baton_ports::tools::ToolGateway;
use serde_json::{Map, Value, json};

use crate::driver::RunStart;

/// The node that makes the call, or the choice.
const NODE: &str = "call";
/// The agent that makes the choice.
const SELECTOR: &str = "tool_selector";

/// The call, and the caller on whose behalf it is made.
pub struct OneCall {
    /// Chosen by the caller: the same id is accepted once, by whichever process is first.
    pub run: RunId,
    pub tenant: TenantId,
    /// The name of an existing tool.
    pub tool: String,
    pub arguments: Map<String, Value>,
    pub context: Value,
    pub caller: Caller,
}

/// A message for which a model chooses tools; nothing is called.
pub struct OneChoice {
    pub run: RunId,
    pub tenant: TenantId,
    pub message: String,
    /// The tools to choose from, which must exist.
    pub tools: Vec<String>,
    pub context: Value,
    pub caller: Caller,
}

#[derive(Debug, thiserror::Error)]
pub enum OneCallError {
    /// The tool cannot be called by itself.
    #[error("`{tool}` cannot be called by itself: {reason}")]
    Uncallable { tool: String, reason: String },
    #[error(transparent)]
    Journal(#[from] journal::JournalError),
    #[error("a workflow cannot be encoded: {0}")]
    Encoding(#[from] serde_json::Error),
}

impl OneCall {
    /// The run that makes the call, and its version.
    ///
    /// # Errors
    /// The tool cannot be called this way, or the version cannot be stored.
    pub async fn begin(
        self,
        tools: &dyn ToolGateway,
        registry: &dyn WorkflowRegistry,
        now: Time,
    ) -> Result<(RunStart, WorkflowVersion), OneCallError> {
        // Arguments are part of the input and not of the definition, so that nothing in them is read as a template.
        let definition = json!({
            "name": name_of(&self.tool),
            "nodes": [
                {"id": "ask", "type": "transform", "set": {"tool_requests": "{{ input.requests }}"}},
                {"id": NODE, "type": "tool", "from": "tool_requests", "tools": [self.tool]},
            ],
            "edges": [{"from": "ask", "to": NODE}],
        });
        let catalog = DefinitionCatalog {
            tools: facts(tools, &self.tenant, [self.tool.clone()]),
            ..DefinitionCatalog::default()
        };
        let version = save(registry, &self.tenant, &self.tool, &definition, &catalog, now).await?;
        let start = RunStart {
            run: self.run,
            tenant: self.tenant,
            workflow: version.workflow.clone(),
            bundle: version.bundle.clone(),
            input: json!({"requests": [{"tool": self.tool, "arguments": self.arguments}]}),
            caller: self.caller,
            context: self.context,
        };
        Ok((start, version))
    }
}

impl OneChoice {
    /// The run that makes the choice, and its version.
    ///
    /// # Errors
    /// A tool cannot be offered to agents, or the version cannot be stored.
    pub async fn begin(
        self,
        tools: &dyn ToolGateway,
        registry: &dyn WorkflowRegistry,
        now: Time,
    ) -> Result<(RunStart, WorkflowVersion), OneCallError> {
        let name = name_of("select");
        let definition = json!({
            "name": name,
            "nodes": [{
                "id": NODE, "type": "agent", "agent": SELECTOR, "mode": "select", "tools": self.tools,
                "task": "{{ input.message }}",
            }],
        });
        let agents = baton_agents::shipped().into_iter().filter(|(agent, _)| agent == SELECTOR).collect();
        let catalog =
            DefinitionCatalog { agents, tools: facts(tools, &self.tenant, self.tools), ..DefinitionCatalog::default() };
        let version = save(registry, &self.tenant, &name, &definition, &catalog, now).await?;
        let start = RunStart {
            run: self.run,
            tenant: self.tenant,
            workflow: version.workflow.clone(),
            bundle: version.bundle.clone(),
            input: json!({"message": self.message}),
            caller: self.caller,
            context: self.context,
        };
        Ok((start, version))
    }
}

/// The facts of these tools, and of the tools that undo them.
fn facts(
    tools: &dyn ToolGateway,
    tenant: &TenantId,
    names: impl IntoIterator<Item = String>,
) -> BTreeMap<String, Arc<ToolContract>> {
    let (mut known, mut wanted) = (BTreeMap::new(), names.into_iter().collect::<Vec<String>>());
    while let Some(name) = wanted.pop() {
        let Some(facts) = tools.facts_for(tenant, &name).filter(|_| !known.contains_key(&name)) else { continue };
        let undoing =
            facts.flattened_actions().into_iter().chain([&*facts]).filter_map(|facts| facts.compensation.as_ref());
        wanted.extend(undoing.map(|compensation| compensation.tool_name.clone()));
        known.insert(name, facts);
    }
    known
}

/// An unchanged workflow keeps its revision.
async fn save(
    registry: &dyn WorkflowRegistry,
    tenant: &TenantId,
    what: &str,
    definition: &Value,
    catalog: &DefinitionCatalog,
    now: Time,
) -> Result<WorkflowVersion, OneCallError> {
    let checked = definition::check_single_call(definition, catalog);
    let (workflow, bundle) = checked.runnable().ok_or_else(|| {
        let reason = checked.diagnostics.first().map(|found| found.message.clone()).unwrap_or_default();
        OneCallError::Uncallable { tool: what.to_owned(), reason }
    })?;
    let (text, hash) = bundle.seal()?;
    Ok(registry.save(tenant, &workflow.name, &workflow.version, text.into(), &hash, now).await?)
}

/// A tool's name may be as long as the limit for workflow names: then its hash stands for it.
fn name_of(tool: &str) -> String {
    let name = format!("{SINGLE_CALL_PREFIX}{tool}");
    if name.len() <= ID_BYTES_MAX {
        name
    } else {
        format!("{SINGLE_CALL_PREFIX}{}", ContentHash::of(tool.as_bytes()).as_str())
    }
}

/// The result of the call of such a run, once there is one; `None` for any other kind of run.
pub fn envelope(run: &Run) -> Option<ToolEnvelope> {
    let results = output(run).or_else(|| of_failed(run))?;
    // One call was requested, so there is one result.
    let result = results.as_object()?.values().next()?;
    serde_json::from_value(result.clone()).ok()
}

fn output(run: &Run) -> Option<Value> {
    run.outputs().remove(NODE).filter(|_| is_one(run))
}

fn is_one(run: &Run) -> bool {
    run.workflow().is_some_and(|workflow| workflow.name.starts_with(SINGLE_CALL_PREFIX))
}

/// What remains of a failed call: its run has failed with it, and no node has an output.
fn of_failed(run: &Run) -> Option<Value> {
    let results = run.variables().get(TOOL_RESULTS).filter(|_| is_one(run) && run.state() == RunState::Failed)?;
    Some((**results).clone())
}

/// How the call of such a run failed, if it failed. The run fails with it; a run of an older version completed.
pub fn failure(run: &Run) -> Option<ToolEnvelope> {
    envelope(run).filter(|envelope| matches!(run.state(), RunState::Completed | RunState::Failed) && !envelope.success)
}

/// For programs: the envelope and its run, or what the run waits for if there is no envelope yet.
pub fn as_json(run: &Run, envelope: Option<ToolEnvelope>, open: &[OpenWait]) -> Value {
    let fields = match envelope.map(|envelope| json!(envelope)) {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    with_run_fields(run, fields, "success", open)
}

/// For programs: the choice and its run, or the reason if there is no choice yet.
pub fn choice_as_json(run: &Run, open: &[OpenWait]) -> Value {
    let fields = output(run).and_then(|output| output.as_object().cloned()).unwrap_or_default();
    with_run_fields(run, fields, "tools", open)
}

fn with_run_fields(run: &Run, mut fields: Map<String, Value>, needed: &str, open: &[OpenWait]) -> Value {
    fields.insert("execution_id".to_owned(), json!(run.id()));
    fields.insert("state".to_owned(), json!(run.state()));
    if fields.get(needed).is_none() {
        fields.insert(needed.to_owned(), Value::Null);
        fields.insert("error_details".to_owned(), json!(run.fault().map(|fault| fault.message.clone())));
        fields.insert("waits_for".to_owned(), open.iter().map(OpenWait::as_json).collect());
    }
    Value::Object(fields)
}
