//! Whether an expression reads of a node what the node says it answers.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::super::NodeIx;
use super::super::node::{Kind, ToolSource};
use super::layer::Layer;
use crate::definition::diagnostic::{Code, Diagnostic, Findings, shown};
use crate::definition::document::{self, Mention, Part, Tool};
use crate::expr::nearest;

/// What an output may have though nobody declares it: the whole of it, a failure that was caught, an answer that stands in.
const ALWAYS: &[&str] = &["output", "error", "success", "degraded", "degraded_reason", "message"];

/// The fields that a node's output is declared to have.
pub(super) struct Answers {
    fields: Vec<String>,
    /// It has no others.
    is_closed: bool,
}

/// By node; those that declare nothing are left out.
pub(super) fn of<'l>(layer: &'l Layer<'_, '_>) -> BTreeMap<&'l str, Answers> {
    let places = (0..).map(NodeIx).zip(&layer.body.nodes);
    places.filter_map(|(place, node)| Some((node.id.value.as_str(), declared(layer, place)?))).collect()
}

fn declared(layer: &Layer<'_, '_>, place: NodeIx) -> Option<Answers> {
    let written = &layer.body.nodes.get(place.at())?.part;
    match &layer.lowered.graph.node(place).kind {
        Kind::Tool(tool) => {
            let (ToolSource::Written { tool: name, .. }, Part::Tool(written)) = (&tool.from, written) else {
                return None;
            };
            let Tool::Written { tree, .. } = &**written else { return None };
            let own = document::own_facts(tool.facts.get(name)?, *tree, layer.body.form.dialect());
            let fields = own.output_fields.clone();
            (!fields.is_empty()).then_some(Answers { fields, is_closed: false })
        }
        // Of several agents each answers by a schema of its own.
        Kind::Agent(agent) if !agent.selects && agent.fallbacks.is_empty() => {
            let schema = agent.agent.output_schema.as_ref()?;
            let fields = schema.get("properties")?.as_object()?.keys().cloned().collect();
            Some(Answers { fields, is_closed: schema.get("additionalProperties") == Some(&Json::Bool(false)) })
        }
        _ => None,
    }
}

/// Names a field that is none of those declared, where one of them may be meant, or where there are no others.
pub(super) fn check(mention: &Mention, all: &BTreeMap<&str, Answers>, findings: &mut Findings) {
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
        let is_known = known().chain(ALWAYS.iter().copied()).any(|known| known == field);
        if is_known || !answers.is_closed && nearest(field, known()).is_none() {
            continue;
        }
        let message = format!("`{}` does not answer `{}`", shown(&mention.root), shown(field));
        findings.push_near(Diagnostic::warning(Code::UnknownField, *span, message), field, known());
    }
}
