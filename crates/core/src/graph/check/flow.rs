//! Whether every node can be reached, every branch be chosen and every merge fire.

use std::collections::{BTreeMap, BTreeSet};

use super::super::compile::{branches_of, first_branch};
use super::super::node::{Kind, MergeMode};
use super::super::{EdgeIx, NodeIx, When};
use super::layer::Layer;
use crate::definition::diagnostic::{Code, Diagnostic, Findings, shown};

/// Edges that are named for one merge; the first few show what is wrong.
const LEAVING_SHOWN_MAX: usize = 4;

pub(super) fn check(layer: &Layer<'_, '_>, findings: &mut Findings) {
    layer.starts(findings);
    layer.branches(findings);
    layer.aftermath(findings);
    for place in layer.lowered.graph.places() {
        layer.merge(place, findings);
    }
}

impl Layer<'_, '_> {
    /// What nothing leads to starts with the run: right for work, wrong for an end.
    fn starts(&self, findings: &mut Findings) {
        let graph = &self.lowered.graph;
        let has_trigger = graph.nodes.iter().any(|node| matches!(node.kind, Kind::Trigger));
        for (place, node) in graph.places().zip(&graph.nodes) {
            if !graph.incoming(place).is_empty() || self.lowered.aftermath == Some(place) {
                continue;
            }
            let closes = matches!(node.kind, Kind::End(_) | Kind::Sink(_) | Kind::Merge(_));
            let is_alone = graph.outgoing(place).is_empty() && graph.nodes.len() > 1 && !graph.edges.is_empty();
            let span = self.span(place);
            if closes {
                let message = format!("nothing leads to `{}`", node.id);
                let hint = format!("draw an edge to it: `- from: …` and `to: {}`", node.id);
                findings.push(Diagnostic::draft(Code::Unreachable, span, message).hint(hint));
            } else if has_trigger && !matches!(node.kind, Kind::Trigger) {
                let message = format!("nothing leads to `{}`, and a trigger starts this workflow", node.id);
                let hint = "draw an edge from the trigger, or from what comes before";
                findings.push(Diagnostic::draft(Code::Unreachable, span, message).hint(hint));
            } else if is_alone && self.body.edges.is_some() {
                let message = format!("no edge touches `{}`: it starts with the run and nothing waits for it", node.id);
                findings.push(Diagnostic::warning(Code::Unreachable, span, message));
            }
        }
    }

    /// Every label names a branch its source has, and every choice is made between different edges.
    fn branches(&self, findings: &mut Findings) {
        let graph = &self.lowered.graph;
        let mut all: BTreeMap<NodeIx, BTreeSet<String>> = BTreeMap::new();
        for (place, edge) in (0..).map(EdgeIx).zip(&graph.edges) {
            let kind = &graph.node(edge.from).kind;
            let span = self.lowered.when_span(place);
            match &edge.when {
                When::Branch(label) => {
                    let known = all.entry(edge.from).or_insert_with(|| branches_of(kind).into_iter().collect());
                    if known.is_empty() {
                        let message =
                            format!("`{}` chooses no branch, so none is called `{}`", self.id(edge.from), shown(label));
                        let hint = "leave `when` out; a question about the output goes under `condition`";
                        findings.push(span.error(Code::Branch, message).hint(hint));
                    } else if !known.contains(label) {
                        let message = format!("`{}` has no branch `{}`", self.id(edge.from), shown(label));
                        let unknown = span.error(Code::Branch, message);
                        findings.push_near(unknown, label, known.iter().map(String::as_str));
                    }
                }
                When::Completed if matches!(kind, Kind::Switch(_)) && first_branch(kind).is_none() => {
                    let message = format!("the edge from `{}` follows no case", self.id(edge.from));
                    let hint = "write `when: CASE` on it, or give the switch a `default`";
                    findings.push(span.error(Code::Branch, message).hint(hint));
                }
                When::Completed | When::Failed => {}
            }
        }
        for (place, node) in graph.places().zip(&graph.nodes) {
            let plain = graph.outgoing(place).iter().filter(|edge| graph.edge(**edge).when == When::Completed);
            let labelled = graph.outgoing(place).iter().any(|edge| matches!(graph.edge(*edge).when, When::Branch(_)));
            if matches!(node.kind, Kind::Condition(_)) && plain.count() > 1 && !labelled {
                let message = format!("every edge from `{}` follows its branch `true`", node.id);
                let hint = "write `when: false` on those that do not";
                findings.push(Diagnostic::warning(Code::Branch, self.span(place), message).hint(hint));
            }
        }
    }

    /// What runs after a rollback is apart from what runs before it.
    fn aftermath(&self, findings: &mut Findings) {
        let Some(first) = self.lowered.aftermath else { return };
        let graph = &self.lowered.graph;
        if let Some(edge) = graph.incoming(first).first() {
            let message = format!("`{}` runs after a rollback, so nothing else may lead to it", self.id(first));
            let hint = "write a node of its own for `on_compensated`";
            findings.push(self.lowered.edge_span(*edge).error(Code::Conflict, message).hint(hint));
            return;
        }
        let starts = graph.places().filter(|place| *place != first && graph.incoming(*place).is_empty());
        let before: BTreeSet<NodeIx> = graph.reachable(starts);
        for place in graph.reachable([first]) {
            for index in graph.outgoing(place) {
                let to = graph.edge(*index).to;
                if !before.contains(&place) && before.contains(&to) {
                    let message = format!("`{}` runs after a rollback, when `{}` is over", self.id(place), self.id(to));
                    let hint = "end the rollback's own way with a node of its own";
                    findings.push(self.lowered.edge_span(*index).error(Code::Conflict, message).hint(hint));
                }
            }
        }
    }

    fn merge(&self, place: NodeIx, findings: &mut Findings) {
        let graph = &self.lowered.graph;
        let Kind::Merge(merge) = &graph.node(place).kind else { return };
        let incoming = graph.incoming(place);
        if let MergeMode::NOfM(needed) = merge.mode
            && !incoming.is_empty()
        {
            let most = self.paths.taken_max(incoming);
            if most < needed as usize {
                let message = format!(
                    "`{}` waits for {needed} branches; {} lead to it, of which a run takes {most} at most",
                    self.id(place),
                    incoming.len()
                );
                findings
                    .push(self.span(place).error(Code::NeverMerges, message).hint(format!("write `needed: {most}`")));
            }
        }
        if merge.may_cut() {
            self.leaving(place, findings);
        }
    }

    /// Edges from inside a branch that a merge may cut to work that does not lead to it.
    fn leaving(&self, merge: NodeIx, findings: &mut Findings) {
        let graph = &self.lowered.graph;
        let leads_to = |from: NodeIx, to: NodeIx| from == to || self.paths.precedes(from, to);
        let lasts: BTreeSet<NodeIx> = graph.incoming(merge).iter().map(|edge| graph.edge(*edge).from).collect();
        let mut said = 0;
        for place in self.paths.before(merge) {
            if said == LEAVING_SHOWN_MAX {
                return;
            }
            // What comes before all branches belongs to none.
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
                    findings.push(self.lowered.edge_span(*index).error(Code::LeavesBranch, message).hint(hint));
                    said += 1;
                }
            }
        }
    }
}
