//! Checks that a cost limit includes the costs of an agent's endpoint.

use super::super::node::NodeKind;
use super::checked_graph::CheckedGraph;
use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList};
use crate::definition::spec::WorkflowSpec;

pub(super) fn check(document: &WorkflowSpec<'_>, layer: &CheckedGraph<'_, '_>, findings: &mut DiagnosticList) {
    let graph = &layer.lowered.graph;
    for (place, node) in graph.node_indices().zip(&graph.nodes) {
        let NodeKind::Agent(agent) = &node.kind else { continue };
        if document.max_cost.is_none() && node.policy.max_cost.is_none() {
            continue;
        }
        let all = std::iter::once(&agent.agent).chain(agent.fallbacks.iter().map(|fallback| &fallback.agent));
        for agent in all.filter(|agent| agent.endpoint.is_some() && agent.cost_per_step_usd.is_none()) {
            let message = format!(
                "the endpoint that thinks for agent `{}` says no price, so what it costs counts as nothing against \
                 `max_cost_usd`",
                agent.name
            );
            let hint = "write `cost_per_step_usd` in the agent: the most one step costs, 0 where it is free";
            findings.push(Diagnostic::warning(DiagnosticCode::Unpriced, layer.span(place), message).hint(hint));
        }
    }
}
