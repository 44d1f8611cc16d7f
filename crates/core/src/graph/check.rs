//! Static checks: errors that can be detected before a run. Error edges count as edges in all of them.

mod checked_graph;
mod compensation;
mod cycle;
mod endpoint;
mod flow;
mod inert_references;
mod names;
mod output_fields;
mod parameters;
mod paths;
mod saga;
mod write_conflicts;

use super::compile::LoweredGraph;
use crate::definition::catalog::DefinitionCatalog;
use crate::definition::diagnostic::{DiagnosticCode, DiagnosticList};
use crate::definition::spec::{BodySpec, NodeKindSpec, ToolNodeSpec, WorkflowSpec};
use checked_graph::CheckedGraph;
use names::NameChecker;
use parameters::{ParameterChecker, ToolCallSite};

/// Checks a whole definition.
pub(crate) fn run(
    document: &WorkflowSpec<'_>,
    lowered: &LoweredGraph,
    catalog: &DefinitionCatalog,
    findings: &mut DiagnosticList,
) {
    if lowered.graph.nodes.is_empty() && !findings.has_errors() {
        let message = "the workflow has no nodes";
        let hint = "write at least one under `nodes:` or `steps:`";
        findings.push(document.body.span.error(DiagnosticCode::NoNodes, message).hint(hint));
    }
    cycles(lowered, findings);
    calls(&document.body, catalog, &mut ParameterChecker::default(), findings);
    let Some(layer) = CheckedGraph::of(&document.body, lowered) else { return };
    NameChecker::of(document, lowered).check(&layer, None, &[], findings);
    layer.each(&mut |layer| {
        flow::check(layer, findings);
        write_conflicts::check(document, layer, findings);
        endpoint::check(document, layer, findings);
    });
    saga::check(&layer, findings);
}

fn cycles(lowered: &LoweredGraph, findings: &mut DiagnosticList) {
    cycle::check(lowered, findings);
    lowered.bodies.values().for_each(|body| cycles(body, findings));
}

/// The call of each tool node, and how it is undone.
fn calls(
    body: &BodySpec<'_>,
    catalog: &DefinitionCatalog,
    parameters: &mut ParameterChecker,
    findings: &mut DiagnosticList,
) {
    let dialect = body.form.dialect();
    for node in &body.nodes {
        match &node.part {
            NodeKindSpec::Tool(written) => match &**written {
                ToolNodeSpec::Fixed { tool, tree, .. } => {
                    let call =
                        catalog.tools.get(&tool.value).map(|facts| ToolCallSite { tool, facts, tree: *tree, dialect });
                    if let Some(call) = &call {
                        parameters.check(call, findings);
                    }
                    compensation::check(node, call.as_ref(), dialect, catalog, parameters, findings);
                }
                ToolNodeSpec::AgentRequests { .. } => {
                    compensation::check(node, None, dialect, catalog, parameters, findings)
                }
            },
            NodeKindSpec::Loop(each) => {
                compensation::reject_non_tool_compensation(node, findings);
                calls(&each.body, catalog, parameters, findings);
            }
            NodeKindSpec::Parallel(branches) => {
                compensation::reject_non_tool_compensation(node, findings);
                branches.values().for_each(|body| calls(body, catalog, parameters, findings));
            }
            NodeKindSpec::Complete(_) | NodeKindSpec::Agent(_) | NodeKindSpec::Subworkflow(_) => {
                compensation::reject_non_tool_compensation(node, findings)
            }
        }
    }
}
