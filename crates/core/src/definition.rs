//! From the text of a workflow to its executable form: read, check, compile, pin.
//!
//! [`check`] takes YAML or JSON and a [`DefinitionCatalog`] of known names. It returns all problems, each with line and
//! column ([`Diagnostic`], [`render`]), and, if there are no errors, the compiled [`Workflow`] and the [`Bundle`] that
//! pins all its dependencies. [`compile`] makes the same workflow from a bundle.
//!
//! A file with names that do not exist (yet) is a *draft*: it loads and can be drawn, but cannot be activated or run
//! ([`CheckedDefinition::runnable`]). The format is documented in `docs/reference/workflow-format.md`. [`schema`]
//! generates its JSON Schema from the tables that the reader itself uses.
//!
//! Deliberately absent: files and folders (in the `app` crate), and anything that depends on a run.

mod body;
pub(crate) mod catalog;
pub(crate) mod diagnostic;
mod diff;
pub(crate) mod duration;
mod fields;
mod folder;
mod json_schema;
mod kinds;
mod node;
mod policy;
mod reader;
mod root;
mod schema;
pub mod source;
pub(crate) mod spec;
pub mod yaml;

use serde_json::Value as Json;

pub use catalog::{DefinitionCatalog, PinnedWorkflow};
pub use diagnostic::{DIAGNOSTICS_MAX, Diagnostic, DiagnosticCode, Severity, excerpt, render};
pub use diff::{DefinitionChange, DefinitionChangeKind, diff};
pub use duration::parse as parse_duration;
pub use folder::check_all;
pub use schema::schema;

use crate::bundle::Bundle;
use crate::graph::{Workflow, check as checks, compile as lowering};
use catalog::UnreadyWorkflows;
use diagnostic::DiagnosticList;
use reader::DefinitionReader;
use source::YamlNode;
use spec::WorkflowSpec;

/// The format version of the bundles made here.
pub const BUNDLE_FORMAT: u32 = 1;

/// The result of checking a definition.
#[derive(Debug)]
pub struct CheckedDefinition {
    /// In file order.
    pub diagnostics: Vec<Diagnostic>,
    /// The workflow for drawing and inspection. `None` if the text is not a workflow. In a draft, a name that does not
    /// exist is a placeholder, so use [`Self::runnable`] to run it.
    pub workflow: Option<Workflow>,
    /// The dependencies that the definition pins, as far as they exist.
    pub bundle: Option<Bundle>,
}

impl CheckedDefinition {
    /// Returns the worst severity of all diagnostics.
    pub fn worst_severity(&self) -> Option<Severity> {
        self.diagnostics.iter().map(|diagnostic| diagnostic.severity).min()
    }

    /// Returns the workflow and its bundle, if it may be activated and run: no errors, and not a draft.
    pub fn runnable(&self) -> Option<(&Workflow, &Bundle)> {
        match self.worst_severity() {
            Some(Severity::Error | Severity::Draft) => None,
            Some(Severity::Warning | Severity::Hint) | None => self.workflow.as_ref().zip(self.bundle.as_ref()),
        }
    }
}

/// A bundle that does not compile: it is damaged, or was made by a version with other rules.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("bundle of `{name}` has format {found}; this binary reads {BUNDLE_FORMAT}")]
    Format { name: String, found: u32 },
    #[error("bundle of `{name}` does not compile: {first}")]
    Definition { name: String, first: String },
}

/// Reads, checks and compiles a definition. Bounded by the limits of [`source`] and [`crate::graph`]; never panics.
pub fn check(source: &[u8], catalog: &DefinitionCatalog) -> CheckedDefinition {
    match source::read(source) {
        Ok(tree) => check_named(&tree, catalog, &UnreadyWorkflows::new()),
        Err(diagnostics) => CheckedDefinition { diagnostics, workflow: None, bundle: None },
    }
}

/// The name prefix of the workflow for a single tool call, before the tool's name. It is reserved for these workflows.
pub const SINGLE_CALL_PREFIX: &str = "tool.";

/// The name prefix of the workflow for a single agent task, before the agent's name. It is reserved for these
/// workflows.
pub const SINGLE_AGENT_PREFIX: &str = "agent.";

/// Returns whether a workflow's name is reserved for the generated workflows of a single call or a single agent.
pub fn is_single_call_name(name: &str) -> bool {
    name.starts_with(SINGLE_CALL_PREFIX) || name.starts_with(SINGLE_AGENT_PREFIX)
}

/// Checks a generated workflow for a single call or agent, whose name [is reserved](is_single_call_name).
pub fn check_single_call(definition: &Json, catalog: &DefinitionCatalog) -> CheckedDefinition {
    check_tree(&YamlNode::from_json(definition), catalog, &UnreadyWorkflows::new())
}

/// Checks a user's definition: a name that is reserved for single calls is refused.
fn check_named(tree: &YamlNode, catalog: &DefinitionCatalog, unready: &UnreadyWorkflows) -> CheckedDefinition {
    let mut checked = check_tree(tree, catalog, unready);
    if checked.workflow.take_if(|workflow| is_single_call_name(&workflow.name)).is_some() {
        let name = root::read(tree, &mut DefinitionReader::default()).and_then(|document| document.name);
        let message = format!(
            "names that begin with `{SINGLE_CALL_PREFIX}` or `{SINGLE_AGENT_PREFIX}` are kept for single calls of tools and agents"
        );
        let span = name.map_or_else(|| tree.span, |name| name.span);
        checked.diagnostics.push(Diagnostic::error(DiagnosticCode::BadName, span, message));
        checked.bundle = None;
    }
    checked
}

/// Compiles the workflow that a bundle pins. It equals the one compiled from the original source.
///
/// # Errors
/// [`BundleError`], if the bundle was not made by [`check`].
pub fn compile(bundle: &Bundle) -> Result<Workflow, BundleError> {
    let name = || bundle.name.clone();
    if bundle.format != BUNDLE_FORMAT {
        return Err(BundleError::Format { name: name(), found: bundle.format });
    }
    let tree = YamlNode::from_json(&bundle.definition);
    let mut reader = DefinitionReader::default();
    reader.is_pinned = true;
    let document = root::read(&tree, &mut reader);
    let mut findings = reader.findings;
    let lowered = document
        .as_ref()
        .map(|document| lower(document, &DefinitionCatalog::of(bundle), &UnreadyWorkflows::new(), &mut findings));
    let worst = |findings: DiagnosticList| findings.finish().into_iter().min_by_key(|diagnostic| diagnostic.severity);
    match (lowered, worst(findings)) {
        (Some((workflow, ..)), None) => Ok(workflow),
        (Some((workflow, ..)), Some(mildest)) if mildest.severity > Severity::Draft => Ok(workflow),
        (_, worst) => {
            let first = worst.map_or_else(|| "it is empty".to_owned(), |diagnostic| diagnostic.message);
            Err(BundleError::Definition { name: name(), first })
        }
    }
}

fn check_tree(tree: &YamlNode, catalog: &DefinitionCatalog, unready: &UnreadyWorkflows) -> CheckedDefinition {
    let mut reader = DefinitionReader::default();
    let document = root::read(tree, &mut reader);
    let mut findings = reader.findings;
    let Some(document) = document else {
        return CheckedDefinition { diagnostics: findings.finish(), workflow: None, bundle: None };
    };
    let (workflow, lowered, used) = lower(&document, catalog, unready, &mut findings);
    checks::run(&document, &lowered, catalog, &mut findings);
    if findings.has_errors() {
        return CheckedDefinition { diagnostics: findings.finish(), workflow: None, bundle: None };
    }
    let bundle = Bundle {
        format: BUNDLE_FORMAT,
        name: workflow.name.clone(),
        definition: definition_of(tree, &document),
        agents: used.agents,
        tools: used.tools.into_iter().map(|(name, facts)| (name, (*facts).clone())).collect(),
        subworkflows: used.subworkflows,
    };
    CheckedDefinition { diagnostics: findings.finish(), workflow: Some(workflow), bundle: Some(bundle) }
}

fn lower(
    document: &WorkflowSpec<'_>,
    catalog: &DefinitionCatalog,
    unready: &UnreadyWorkflows,
    findings: &mut DiagnosticList,
) -> (Workflow, lowering::LoweredGraph, lowering::BundleContents) {
    let (lowered, used) = lowering::lower(document, catalog, unready, findings);
    let variables = document.variables.iter().map(|(name, variable)| (name.clone(), variable.value.variable.clone()));
    let workflow = Workflow {
        name: document.name.as_ref().map_or_else(|| "unnamed".to_owned(), |name| name.value.clone()),
        version: document.version.clone(),
        graph: lowered.graph.clone(),
        input: document.input.clone(),
        variables: variables.collect(),
        timeout: document.timeout,
        max_cost: document.max_cost,
        on_compensated: lowered.post_rollback_node,
        entity_sources: document.entity_sources.clone(),
        hil: document.hil.clone(),
    };
    (workflow, lowered, used)
}

/// Returns the definition as JSON. The version is kept as text, because a number would lose its spelling.
fn definition_of(tree: &YamlNode, document: &WorkflowSpec<'_>) -> Json {
    let mut definition = tree.to_json();
    for place in ["", "/workflow"] {
        if let Some(version) = definition.pointer_mut(place).and_then(|outer| outer.get_mut("version")) {
            *version = Json::String(document.version.clone());
        }
    }
    definition
}

#[cfg(test)]
mod tests;
