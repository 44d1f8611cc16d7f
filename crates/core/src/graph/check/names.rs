//! Checks that the names in expressions exist when they are evaluated.

use std::collections::{BTreeMap, BTreeSet};

use super::super::NodeIndex;
use super::super::compile::LoweredGraph;
use super::super::input::InputKey;
use super::super::node::{LoopMode, NodeKind, ToolSource};
use super::checked_graph::CheckedGraph;
use super::inert_references;
use super::output_fields::{self, OutputFields};
use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};
use crate::definition::spec::{NameReference, WorkflowSpec};

/// The names of every run.
const FIXED: &[&str] = &["input", "context", "shared_context", "run"];
/// Additional names of a node that runs after a rollback.
const POST_ROLLBACK_NAMES: &[&str] = &["error", "undone"];

/// Names that are valid everywhere in the document.
pub(super) struct NameChecker<'d> {
    variables: BTreeSet<&'d str>,
    input: Option<&'d BTreeMap<String, InputKey>>,
    /// Undeclared names that were already reported.
    reported: BTreeSet<String>,
}

/// The scope of an expression: the enclosing nodes, innermost last, and the names that a loop adds.
#[derive(Clone, Copy)]
pub(super) struct NameScope<'s> {
    outer: Option<&'s NameScope<'s>>,
    nodes: &'s BTreeSet<&'s str>,
    /// By node: the declared fields of its output.
    answers: &'s BTreeMap<&'s str, OutputFields>,
    local: &'s [&'s str],
}

impl<'d> NameChecker<'d> {
    pub(super) fn of(document: &'d WorkflowSpec<'_>, lowered: &'d LoweredGraph) -> Self {
        let mut variables: BTreeSet<&str> = document.variables.keys().map(String::as_str).collect();
        collect(lowered, &mut variables);
        Self { variables, input: document.input.0.as_ref(), reported: BTreeSet::new() }
    }

    /// Checks the expressions of a graph and of all graphs inside it.
    pub(super) fn check(
        &mut self,
        layer: &CheckedGraph<'_, '_>,
        outer: Option<&NameScope<'_>>,
        local: &[&str],
        findings: &mut DiagnosticList,
    ) {
        let own: BTreeSet<&str> = layer.body.nodes.iter().map(|node| node.id.value.as_str()).collect();
        let answers = output_fields::of(layer);
        let scope = NameScope { outer, nodes: &own, answers: &answers, local };
        for (place, node) in (0..).map(NodeIndex).zip(&layer.body.nodes) {
            for mention in &node.references {
                if !(layer.paths.is_post_rollback(place) && POST_ROLLBACK_NAMES.contains(&mention.root.as_str())) {
                    self.mention(mention, layer, place, layer.paths.is_post_rollback(place), scope, findings);
                }
            }
            inert_references::check(node, layer.body.form.dialect(), &|name| self.knows(name, &scope), findings);
        }
        for edge in layer.body.edges.iter().flatten() {
            let Some(from) = layer.lowered.graph.find(&edge.from.value) else { continue };
            for mention in &edge.references {
                // An edge is evaluated after its source has completed.
                let mention = NameReference { is_after_node: true, ..mention.clone() };
                self.mention(&mention, layer, from, layer.paths.is_post_rollback(from), scope, findings);
            }
        }
        for ((place, _), inner) in &layer.inner {
            self.check(inner, Some(&scope), names_inside(&layer.lowered.graph.node(*place).kind), findings);
        }
    }

    /// Checks one name that the node at `place` references.
    fn mention(
        &mut self,
        mention: &NameReference,
        layer: &CheckedGraph<'_, '_>,
        place: NodeIndex,
        is_after: bool,
        scope: NameScope<'_>,
        findings: &mut DiagnosticList,
    ) {
        match layer.lowered.graph.find(&mention.root) {
            Some(_) if is_after => {}
            Some(named) if named == place && mention.is_after_node || layer.paths.precedes(named, place) => {
                output_fields::check(mention, scope.answers, findings);
            }
            Some(named) => findings.push(reads_later_diagnostic(mention, layer, named, place)),
            None => self.check_outer_name(mention, scope, findings),
        }
    }

    /// Returns whether a name is known here: a node, a variable, a key of the input, or a name that a loop adds.
    fn knows(&self, name: &str, scope: &NameScope<'_>) -> bool {
        let around = std::iter::successors(Some(scope), |scope| scope.outer);
        self.variables.contains(name)
            || self.input.is_some_and(|input| input.contains_key(name))
            || around.into_iter().any(|here| here.local.contains(&name) || here.nodes.contains(name))
    }

    /// Checks a name that is not a node of this graph. It may be an enclosing one (checked at the node with this body),
    /// a variable, a key of the input, or undeclared.
    fn check_outer_name(&mut self, mention: &NameReference, scope: NameScope<'_>, findings: &mut DiagnosticList) {
        let root = mention.root.as_str();
        let mut around = Some(&scope);
        while let Some(here) = around {
            if here.local.contains(&root) {
                return;
            }
            if here.nodes.contains(root) {
                return output_fields::check(mention, here.answers, findings);
            }
            around = here.outer;
        }
        let is_input = self.input.is_some_and(|input| input.contains_key(root));
        if is_input || FIXED.contains(&root) || self.variables.contains(root) || !self.reported.insert(root.to_owned())
        {
            return;
        }
        let mut known: Vec<&str> = FIXED.to_vec();
        let mut around = Some(&scope);
        while let Some(here) = around {
            known.extend(here.nodes.iter().chain(here.local));
            around = here.outer;
        }
        known.extend(self.variables.iter().copied());
        known.extend(self.input.into_iter().flat_map(BTreeMap::keys).map(String::as_str));
        let unknown = match self.input {
            Some(_) => {
                let message = format!("`{}` is no node, no variable and no key of the input", clip_word(root));
                Diagnostic::draft(DiagnosticCode::UnknownWord, mention.span, message)
            }
            None => {
                let message =
                    format!("`{}` is no node and no variable: it is looked for in the run's input", clip_word(root));
                let hint = format!("declare it, and misspellings are found: `input: {{{}: string}}`", clip_word(root));
                Diagnostic::warning(DiagnosticCode::UnknownWord, mention.span, message).hint(hint)
            }
        };
        findings.push_with_suggestion(unknown, root, known);
    }
}

fn reads_later_diagnostic(
    mention: &NameReference,
    layer: &CheckedGraph<'_, '_>,
    named: NodeIndex,
    place: NodeIndex,
) -> Diagnostic {
    let (reader, root) = (layer.id(place), &mention.root);
    let error = |message: String| mention.span.error(DiagnosticCode::ReadsLater, message);
    if named == place {
        let hint = "`output` is known in `set` and `compensation`";
        return error(format!("`{reader}` reads its own output before there is one")).hint(hint);
    }
    if layer.lowered.post_rollback_node == Some(named) {
        return error(format!("`{reader}` reads `{root}`, which runs only after a rollback"));
    }
    if layer.paths.precedes(place, named) {
        return error(format!("`{reader}` reads `{root}`, which comes after it"));
    }
    let hint = format!("draw an edge: `- from: {root}` and `to: {reader}`");
    error(format!("`{reader}` reads `{root}`, and no edge makes it wait for that")).hint(hint)
}

/// Names that a body sees in addition to the enclosing ones.
fn names_inside(kind: &NodeKind) -> &'static [&'static str] {
    match kind {
        NodeKind::Loop(each) => match each.over {
            LoopMode::Each { .. } => &["item", "index", "last"],
            LoopMode::While(_) | LoopMode::Until(_) => &["index", "last"],
        },
        _ => &[],
    }
}

/// Variables that the document sets.
fn collect<'d>(lowered: &'d LoweredGraph, variables: &mut BTreeSet<&'d str>) {
    for node in &lowered.graph.nodes {
        variables.extend(node.output_key.as_deref());
        variables.extend(node.sets.iter().map(|(name, _)| name.as_str()));
        match &node.kind {
            NodeKind::Transform(sets) => variables.extend(sets.iter().map(|(name, _)| name.as_str())),
            NodeKind::Agent(agent) if agent.only_selects_tools => {
                variables.insert("tool_requests");
            }
            NodeKind::Tool(tool) if matches!(tool.from, ToolSource::AgentRequests) => {
                variables.extend(["tool_requests", "tool_results"]);
            }
            _ => {}
        }
    }
    lowered.bodies.values().for_each(|body| collect(body, variables));
}
