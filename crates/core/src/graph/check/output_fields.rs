//! Checks that an expression reads only fields that a node declares for its output.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::NodeIndex;
use super::super::node::{NodeKind, ToolSource};
use super::checked_graph::CheckedGraph;
use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};
use crate::definition::spec::{self, NameReference, NodeKindSpec, ToolNodeSpec};
use baton_expr::nearest;

/// Fields that any output may have without a declaration: the whole output, a caught failure, a stand-in answer.
const COMMON_FIELDS: &[&str] = &["output", "error", "success", "degraded", "degraded_reason", "message"];

/// The declared fields of a node's output.
pub(super) struct OutputFields {
    fields: Vec<String>,
    /// There are no other fields.
    is_closed: bool,
}

/// Returns the declared fields by node; nodes without a declaration are left out.
pub(super) fn of<'l>(layer: &'l CheckedGraph<'_, '_>) -> BTreeMap<&'l str, OutputFields> {
    let places = (0..).map(NodeIndex).zip(&layer.body.nodes);
    places.filter_map(|(place, node)| Some((node.id.value.as_str(), declared_fields(layer, place)?))).collect()
}

fn declared_fields(layer: &CheckedGraph<'_, '_>, place: NodeIndex) -> Option<OutputFields> {
    let written = &layer.body.nodes.get(place.as_usize())?.part;
    match &layer.lowered.graph.node(place).kind {
        NodeKind::Tool(tool) => {
            let (ToolSource::Fixed { tool: name, .. }, NodeKindSpec::Tool(written)) = (&tool.from, written) else {
                return None;
            };
            let ToolNodeSpec::Fixed { tree, .. } = &**written else { return None };
            let own = spec::action_facts(tool.facts.get(name)?, *tree, layer.body.form.dialect());
            let fields = own.output_fields.clone();
            (!fields.is_empty()).then_some(OutputFields { fields, is_closed: false })
        }
        // Each of several agents answers by its own schema.
        NodeKind::Agent(agent) if !agent.only_selects_tools && agent.fallbacks.is_empty() => {
            let schema = agent.agent.output_schema.as_ref()?;
            let fields = schema.get("properties")?.as_object()?.keys().cloned().collect();
            Some(OutputFields { fields, is_closed: schema.get("additionalProperties") == Some(&Json::Bool(false)) })
        }
        _ => None,
    }
}

/// Reports an undeclared field if a declared one may be meant, or if no other fields are possible.
pub(super) fn check(mention: &NameReference, all: &BTreeMap<&str, OutputFields>, findings: &mut DiagnosticList) {
    let Some(answers) = all.get(mention.root.as_str()) else { return };
    for read in &mention.reads {
        let mut fields = read.fields.iter();
        let is_step = |field: &str| field == "output" && !answers.fields.iter().any(|known| known == field);
        let read = match fields.next() {
            Some((first, _)) if is_step(first) => fields.next(),
            first => first,
        };
        let Some((field, span)) = read else { continue };
        let known = || answers.fields.iter().map(String::as_str);
        let is_known = known().chain(COMMON_FIELDS.iter().copied()).any(|known| known == field);
        if is_known || !answers.is_closed && nearest(field, known()).is_none() {
            continue;
        }
        let message = format!("`{}` does not answer `{}`", clip_word(&mention.root), clip_word(field));
        findings.push_with_suggestion(
            Diagnostic::warning(DiagnosticCode::UnknownField, *span, message),
            field,
            known(),
        );
    }
}
