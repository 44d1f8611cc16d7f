//! From the text of a workflow to what runs: read, checked, compiled, pinned.
//!
//! [`check`] takes YAML or JSON and a [`DefinitionCatalog`] of what may be named. It answers with everything that is wrong, each
//! finding at its line and column ([`Diagnostic`], [`render`]), and, where nothing stands against it, the compiled
//! [`Workflow`] and the [`Bundle`] that pins all it depends on. [`compile`] makes the same workflow from a bundle.
//!
//! A file that names what is not there (yet) is a *draft*: it loads and can be drawn, and is refused when it is
//! activated or run ([`CheckedDefinition::runnable`]). The format is documented in `docs/reference/workflow-format.md`, its JSON
//! Schema made by [`schema`] from the tables the reader itself uses.
//!
//! Deliberately absent: files and folders (the `app` room's), and anything that depends on a run.

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

/// The layout of the bundles made here.
pub const BUNDLE_FORMAT: u32 = 1;

/// What came of checking a definition.
#[derive(Debug)]
pub struct CheckedDefinition {
    /// In the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// To be drawn and looked at. `None` where the text is no workflow. What a draft names and is not there stands in
    /// it as a placeholder, so what runs is asked of [`Self::runnable`].
    pub workflow: Option<Workflow>,
    /// What the definition pins, as far as it is there.
    pub bundle: Option<Bundle>,
}

impl CheckedDefinition {
    /// The worst that was found.
    pub fn worst_severity(&self) -> Option<Severity> {
        self.diagnostics.iter().map(|diagnostic| diagnostic.severity).min()
    }

    /// The workflow and its bundle, where it may be activated and run: no error, and no draft.
    pub fn runnable(&self) -> Option<(&Workflow, &Bundle)> {
        match self.worst_severity() {
            Some(Severity::Error | Severity::Draft) => None,
            Some(Severity::Warning | Severity::Hint) | None => self.workflow.as_ref().zip(self.bundle.as_ref()),
        }
    }
}

/// A bundle that does not compile: damaged, or made by a binary with other rules.
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

/// What the workflow of a single call of a tool is called, before the tool's name. No other workflow is called so.
pub const SINGLE_CALL_PREFIX: &str = "tool.";

/// What the workflow of a single agent's work is called, before the agent's name. No other workflow is called so.
pub const SINGLE_AGENT_PREFIX: &str = "agent.";

/// Whether a workflow's name is kept for those that we wrote for a single call or a single agent.
pub fn is_single_call_name(name: &str) -> bool {
    name.starts_with(SINGLE_CALL_PREFIX) || name.starts_with(SINGLE_AGENT_PREFIX)
}

/// Checks a workflow that we wrote for a single call or agent: its name [is kept](is_single_call_name) for those.
pub fn check_single_call(definition: &Json, catalog: &DefinitionCatalog) -> CheckedDefinition {
    check_tree(&YamlNode::from_json(definition), catalog, &UnreadyWorkflows::new())
}

/// Checks what somebody wrote: a name that is kept for single calls is refused.
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

/// The workflow a bundle pins: the same as was compiled from the source it was made of.
///
/// # Errors
/// [`BundleError`], where the bundle is not one of [`check`]'s making.
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

/// The definition as JSON. The version is kept as it was written, which a number would not be.
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
