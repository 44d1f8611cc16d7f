//! Checks that every node can be reached, every branch chosen, and every merge completed.

use std::collections::{BTreeMap, BTreeSet};

use super::super::compile::{branches_of, first_branch};
use super::super::node::{MergeMode, NodeKind};
use super::super::{EdgeIndex, EdgeTrigger, NodeIndex};
use super::checked_graph::CheckedGraph;
use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};

/// Maximum number of edges reported for one merge; the first few show the problem.
const LEAVING_SHOWN_MAX: usize = 4;

pub(super) fn check(layer: &CheckedGraph<'_, '_>, findings: &mut DiagnosticList) {
    layer.check_entry_nodes(findings);
    layer.check_branches(findings);
    layer.check_post_rollback(findings);
    for place in layer.lowered.graph.node_indices() {
        layer.check_merge(place, findings);
    }
}

impl CheckedGraph<'_, '_> {
    /// A node without in-edges starts with the run: correct for work, wrong for an end.
    fn check_entry_nodes(&self, findings: &mut DiagnosticList) {
        let graph = &self.lowered.graph;
        let has_trigger = graph.nodes.iter().any(|node| matches!(node.kind, NodeKind::Trigger));
        for (place, node) in graph.node_indices().zip(&graph.nodes) {
            if !graph.incoming(place).is_empty() || self.lowered.post_rollback_node == Some(place) {
                continue;
            }
            let closes = matches!(node.kind, NodeKind::End(_) | NodeKind::Sink(_) | NodeKind::Merge(_));
            let is_alone = graph.outgoing(place).is_empty() && graph.nodes.len() > 1 && !graph.edges.is_empty();
            let span = self.span(place);
            if closes {
                let message = format!("nothing leads to `{}`", node.id);
                let hint = format!("draw an edge to it: `- from: …` and `to: {}`", node.id);
                findings.push(Diagnostic::draft(DiagnosticCode::Unreachable, span, message).hint(hint));
            } else if has_trigger && !matches!(node.kind, NodeKind::Trigger) {
                let message = format!("nothing leads to `{}`, and a trigger starts this workflow", node.id);
                let hint = "draw an edge from the trigger, or from what comes before";
                findings.push(Diagnostic::draft(DiagnosticCode::Unreachable, span, message).hint(hint));
            } else if is_alone && self.body.edges.is_some() {
                let message = format!("no edge touches `{}`: it starts with the run and nothing waits for it", node.id);
                findings.push(Diagnostic::warning(DiagnosticCode::Unreachable, span, message));
            }
        }
    }

    /// Every label must name a branch of its source, and every choice must be between different edges.
    fn check_branches(&self, findings: &mut DiagnosticList) {
        let graph = &self.lowered.graph;
        let mut all: BTreeMap<NodeIndex, BTreeSet<String>> = BTreeMap::new();
        for (place, edge) in (0..).map(EdgeIndex).zip(&graph.edges) {
            let kind = &graph.node(edge.from).kind;
            let span = self.lowered.when_span(place);
            match &edge.when {
                EdgeTrigger::Branch(label) => {
                    let known = all.entry(edge.from).or_insert_with(|| branches_of(kind).into_iter().collect());
                    if known.is_empty() {
                        let message = format!(
                            "`{}` chooses no branch, so none is called `{}`",
                            self.id(edge.from),
                            clip_word(label)
                        );
                        let hint = "leave `when` out; a question about the output goes under `condition`";
                        findings.push(span.error(DiagnosticCode::Branch, message).hint(hint));
                    } else if !known.contains(label) {
                        let message = format!("`{}` has no branch `{}`", self.id(edge.from), clip_word(label));
                        let unknown = span.error(DiagnosticCode::Branch, message);
                        findings.push_with_suggestion(unknown, label, known.iter().map(String::as_str));
                    }
                }
                EdgeTrigger::Completed if matches!(kind, NodeKind::Switch(_)) && first_branch(kind).is_none() => {
                    let message = format!("the edge from `{}` follows no case", self.id(edge.from));
                    let hint = "write `when: CASE` on it, or give the switch a `default`";
                    findings.push(span.error(DiagnosticCode::Branch, message).hint(hint));
                }
                EdgeTrigger::Completed | EdgeTrigger::Failed => {}
            }
        }
        for (place, node) in graph.node_indices().zip(&graph.nodes) {
            let plain = graph.outgoing(place).iter().filter(|edge| graph.edge(**edge).when == EdgeTrigger::Completed);
            let labelled =
                graph.outgoing(place).iter().any(|edge| matches!(graph.edge(*edge).when, EdgeTrigger::Branch(_)));
            if matches!(node.kind, NodeKind::Condition(_)) && plain.count() > 1 && !labelled {
                let message = format!("every edge from `{}` follows its branch `true`", node.id);
                let hint = "write `when: false` on those that do not";
                findings.push(Diagnostic::warning(DiagnosticCode::Branch, self.span(place), message).hint(hint));
            }
        }
    }

    /// Nodes after a rollback must be separate from nodes before it.
    fn check_post_rollback(&self, findings: &mut DiagnosticList) {
        let Some(first) = self.lowered.post_rollback_node else { return };
        let graph = &self.lowered.graph;
        if let Some(edge) = graph.incoming(first).first() {
            let message = format!("`{}` runs after a rollback, so nothing else may lead to it", self.id(first));
            let hint = "write a node of its own for `on_compensated`";
            findings.push(self.lowered.edge_span(*edge).error(DiagnosticCode::Conflict, message).hint(hint));
            return;
        }
        let starts = graph.node_indices().filter(|place| *place != first && graph.incoming(*place).is_empty());
        let before: BTreeSet<NodeIndex> = graph.reachable(starts);
        for place in graph.reachable([first]) {
            for index in graph.outgoing(place) {
                let to = graph.edge(*index).to;
                if !before.contains(&place) && before.contains(&to) {
                    let message = format!("`{}` runs after a rollback, when `{}` is over", self.id(place), self.id(to));
                    let hint = "end the rollback's own way with a node of its own";
                    findings.push(self.lowered.edge_span(*index).error(DiagnosticCode::Conflict, message).hint(hint));
                }
            }
        }
    }

    fn check_merge(&self, place: NodeIndex, findings: &mut DiagnosticList) {
        let graph = &self.lowered.graph;
        let NodeKind::Merge(merge) = &graph.node(place).kind else { return };
        let incoming = graph.incoming(place);
        if let MergeMode::NOfM(needed) = merge.mode
            && !incoming.is_empty()
        {
            let most = self.paths.max_taken_edges(incoming);
            if most < needed as usize {
                let message = format!(
                    "`{}` waits for {needed} branches; {} lead to it, of which a run takes {most} at most",
                    self.id(place),
                    incoming.len()
                );
                findings.push(
                    self.span(place)
                        .error(DiagnosticCode::NeverMerges, message)
                        .hint(format!("write `needed: {most}`")),
                );
            }
        }
        if merge.may_cancel_branches() {
            self.check_cut_edges(place, findings);
        }
    }

    /// Reports edges from inside a branch that a merge may cancel to work that does not lead to the merge.
    fn check_cut_edges(&self, merge: NodeIndex, findings: &mut DiagnosticList) {
        let graph = &self.lowered.graph;
        let leads_to = |from: NodeIndex, to: NodeIndex| from == to || self.paths.precedes(from, to);
        let lasts: BTreeSet<NodeIndex> = graph.incoming(merge).iter().map(|edge| graph.edge(*edge).from).collect();
        let mut said = 0;
        for place in self.paths.before(merge) {
            if said == LEAVING_SHOWN_MAX {
                return;
            }
            // A node before all branches belongs to none.
            if lasts.iter().all(|last| leads_to(place, *last)) {
                continue;
            }
            for index in graph.outgoing(place) {
                let to = graph.edge(*index).to;
                if !leads_to(to, merge) {
                    let message = format!(
                        "the edge from `{}` to `{}` leaves a branch that the merge `{}` may cut",
                        self.id(place),
                        self.id(to),
                        self.id(merge)
                    );
                    let hint = format!("lead `{}` to the merge, too, or write `rest: wait` on it", self.id(to));
                    findings
                        .push(self.lowered.edge_span(*index).error(DiagnosticCode::LeavesBranch, message).hint(hint));
                    said += 1;
                }
            }
        }
    }
}
