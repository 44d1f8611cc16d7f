//! Whether what expressions mention is there when they are evaluated.

use std::collections::{BTreeMap, BTreeSet};

use super::super::NodeIx;
use super::super::compile::Lowered;
use super::super::input::Key;
use super::super::node::{Kind, Over, ToolSource};
use super::answers::{self, Answers};
use super::layer::Layer;
use super::texts;
use crate::definition::diagnostic::{Code, Diagnostic, Findings, shown};
use crate::definition::document::{Document, Mention};

/// What every run knows.
const FIXED: &[&str] = &["input", "context", "shared_context", "run"];
/// What a node that runs after a rollback knows.
const AFTERMATH: &[&str] = &["error", "undone"];

/// Names that hold wherever in the document an expression stands.
pub(super) struct Names<'d> {
    variables: BTreeSet<&'d str>,
    input: Option<&'d BTreeMap<String, Key>>,
    /// Undeclared names already said once.
    said: BTreeSet<String>,
}

/// Where an expression stands: the nodes around it, inmost last, and what a loop adds.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    outer: Option<&'s Scope<'s>>,
    nodes: &'s BTreeSet<&'s str>,
    /// By node: the fields that its output has, where they are declared.
    answers: &'s BTreeMap<&'s str, Answers>,
    local: &'s [&'s str],
}

impl<'d> Names<'d> {
    pub(super) fn of(document: &'d Document<'_>, lowered: &'d Lowered) -> Self {
        let mut variables: BTreeSet<&str> = document.variables.keys().map(String::as_str).collect();
        collect(lowered, &mut variables);
        Self { variables, input: document.input.0.as_ref(), said: BTreeSet::new() }
    }

    /// Checks the expressions of a graph and of all inside it.
    pub(super) fn check(
        &mut self,
        layer: &Layer<'_, '_>,
        outer: Option<&Scope<'_>>,
        local: &[&str],
        findings: &mut Findings,
    ) {
        let own: BTreeSet<&str> = layer.body.nodes.iter().map(|node| node.id.value.as_str()).collect();
        let answers = answers::of(layer);
        let scope = Scope { outer, nodes: &own, answers: &answers, local };
        for (place, node) in (0..).map(NodeIx).zip(&layer.body.nodes) {
            for mention in &node.mentions {
                if !(layer.paths.is_after(place) && AFTERMATH.contains(&mention.root.as_str())) {
                    self.mention(mention, layer, place, layer.paths.is_after(place), scope, findings);
                }
            }
            texts::check(node, layer.body.form.dialect(), &|name| self.knows(name, &scope), findings);
        }
        for edge in layer.body.edges.iter().flatten() {
            let Some(from) = layer.lowered.graph.find(&edge.from.value) else { continue };
            for mention in &edge.mentions {
                // An edge is looked at once its source has completed.
                let mention = Mention { own: true, ..mention.clone() };
                self.mention(&mention, layer, from, layer.paths.is_after(from), scope, findings);
            }
        }
        for ((place, _), inner) in &layer.inner {
            self.check(inner, Some(&scope), names_inside(&layer.lowered.graph.node(*place).kind), findings);
        }
    }

    /// One name, mentioned by the node at `place`.
    fn mention(
        &mut self,
        mention: &Mention,
        layer: &Layer<'_, '_>,
        place: NodeIx,
        is_after: bool,
        scope: Scope<'_>,
        findings: &mut Findings,
    ) {
        match layer.lowered.graph.find(&mention.root) {
            Some(_) if is_after => {}
            Some(named) if named == place && mention.own || layer.paths.precedes(named, place) => {
                answers::check(mention, scope.answers, findings);
            }
            Some(named) => findings.push(reads_later(mention, layer, named, place)),
            None => self.elsewhere(mention, scope, findings),
        }
    }

    /// Whether a name means something here: a node, a variable, a key of the input, what a loop adds.
    fn knows(&self, name: &str, scope: &Scope<'_>) -> bool {
        let around = std::iter::successors(Some(scope), |scope| scope.outer);
        self.variables.contains(name)
            || self.input.is_some_and(|input| input.contains_key(name))
            || around.into_iter().any(|here| here.local.contains(&name) || here.nodes.contains(name))
    }

    /// A name that is no node of this graph: one around it (checked at the node whose body this is), a variable, a
    /// key of the input, or nothing that is declared.
    fn elsewhere(&mut self, mention: &Mention, scope: Scope<'_>, findings: &mut Findings) {
        let root = mention.root.as_str();
        let mut around = Some(&scope);
        while let Some(here) = around {
            if here.local.contains(&root) {
                return;
            }
            if here.nodes.contains(root) {
                return answers::check(mention, here.answers, findings);
            }
            around = here.outer;
        }
        let is_input = self.input.is_some_and(|input| input.contains_key(root));
        if is_input || FIXED.contains(&root) || self.variables.contains(root) || !self.said.insert(root.to_owned()) {
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
                let message = format!("`{}` is no node, no variable and no key of the input", shown(root));
                Diagnostic::draft(Code::UnknownWord, mention.span, message)
            }
            None => {
                let message =
                    format!("`{}` is no node and no variable: it is looked for in the run's input", shown(root));
                let hint = format!("declare it, and misspellings are found: `input: {{{}: string}}`", shown(root));
                Diagnostic::warning(Code::UnknownWord, mention.span, message).hint(hint)
            }
        };
        findings.push_near(unknown, root, known);
    }
}

fn reads_later(mention: &Mention, layer: &Layer<'_, '_>, named: NodeIx, place: NodeIx) -> Diagnostic {
    let (reader, root) = (layer.id(place), &mention.root);
    let error = |message: String| mention.span.error(Code::ReadsLater, message);
    if named == place {
        let hint = "`output` is known in `set` and `compensation`";
        return error(format!("`{reader}` reads its own output before there is one")).hint(hint);
    }
    if layer.lowered.aftermath == Some(named) {
        return error(format!("`{reader}` reads `{root}`, which runs only after a rollback"));
    }
    if layer.paths.precedes(place, named) {
        return error(format!("`{reader}` reads `{root}`, which comes after it"));
    }
    let hint = format!("draw an edge: `- from: {root}` and `to: {reader}`");
    error(format!("`{reader}` reads `{root}`, and no edge makes it wait for that")).hint(hint)
}

/// What a body sees beside the names around it.
fn names_inside(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind::Loop(each) => match each.over {
            Over::Each { .. } => &["item", "index", "last"],
            Over::While(_) | Over::Until(_) => &["index", "last"],
        },
        _ => &[],
    }
}

/// Variables that something in the document sets.
fn collect<'d>(lowered: &'d Lowered, variables: &mut BTreeSet<&'d str>) {
    for node in &lowered.graph.nodes {
        variables.extend(node.output_key.as_deref());
        variables.extend(node.sets.iter().map(|(name, _)| name.as_str()));
        match &node.kind {
            Kind::Transform(sets) => variables.extend(sets.iter().map(|(name, _)| name.as_str())),
            Kind::Agent(agent) if agent.selects => {
                variables.insert("tool_requests");
            }
            Kind::Tool(tool) if matches!(tool.from, ToolSource::Requests) => {
                variables.extend(["tool_requests", "tool_results"]);
            }
            _ => {}
        }
    }
    lowered.bodies.values().for_each(|body| collect(body, variables));
}
