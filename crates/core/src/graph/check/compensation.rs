//! Checks that a compensation has its inputs, and can run.

use serde_json::Value as Json;

use super::parameters::{ParameterChecker, ToolCallSite};
use crate::definition::catalog::DefinitionCatalog;
use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};
use crate::definition::source::{SourceSpan, SpannedValue, YamlNode, YamlValue};
use crate::definition::spec::{CompensationSpec, NodeKindSpec, NodeSpec};
use baton_expr::ParamsDialect;

/// Reports a compensation on any node other than a tool node: it would never run.
pub(super) fn reject_non_tool_compensation(node: &NodeSpec<'_>, findings: &mut DiagnosticList) {
    if let Some(written) = &node.policy.compensation {
        // An agent's effects may be meant to stay.
        if matches!((&written.value, &node.part), (CompensationSpec::None, NodeKindSpec::Agent(_))) {
            return;
        }
        let message = format!("`{}` calls no tool itself, so its compensation never runs", node.id.value);
        let hint = "what an agent or a body does is undone as each tool says";
        findings.push(Diagnostic::warning(DiagnosticCode::CompensationIdle, written.span, message).hint(hint));
    }
}

/// Checks how the effect of a tool node is undone: by the node's compensation, or by the tool's.
pub(super) fn check(
    node: &NodeSpec<'_>,
    call: Option<&ToolCallSite<'_>>,
    dialect: ParamsDialect,
    catalog: &DefinitionCatalog,
    parameters: &mut ParameterChecker,
    findings: &mut DiagnosticList,
) {
    let written = node.policy.compensation.as_ref();
    if let (Some(written), Some(call)) = (written, call)
        && !call.own_facts().class.has_side_effects()
    {
        let message = format!("`{}` changes nothing, so its compensation never runs", call.tool.value);
        findings
            .push(Diagnostic::warning(DiagnosticCode::CompensationIdle, written.span, message).hint("leave it out"));
        return;
    }
    match written.map(|written| &written.value) {
        Some(CompensationSpec::None) => {}
        Some(CompensationSpec::Undo { tool, tree, .. }) => {
            if let Some(facts) = catalog.tools.get(&tool.value) {
                parameters.check(&ToolCallSite { tool, facts, tree: *tree, dialect }, findings);
            }
            if let (Some(call), Some(tree)) = (call, tree) {
                let mut needs = Vec::new();
                of_tree(tree, dialect, &mut needs);
                needs.iter().for_each(|need| need.check(&node.id.value, call, &tool.value, findings));
            }
        }
        None => {
            let own = call.and_then(|call| Some((call, call.own_facts().compensation.as_ref()?)));
            if let Some((call, own)) = own {
                let mut needs = Vec::new();
                of_json(&own.parameters, call.tool.span, &mut needs);
                needs.iter().for_each(|need| need.check(&node.id.value, call, &own.tool_name, findings));
            }
        }
    }
}

/// A field that a compensation reads: `root.field`, or `root.output.field`.
struct CompensationInput {
    root: String,
    fields: Vec<String>,
    span: SourceSpan,
}

impl CompensationInput {
    fn check(&self, node: &str, call: &ToolCallSite<'_>, undo: &str, findings: &mut DiagnosticList) {
        let mut fields = self.fields.iter().map(String::as_str);
        let mut first = fields.next();
        if self.root == node && first == Some("output") {
            first = fields.next();
        }
        let Some(field) = first else { return };
        let tool = &call.tool.value;
        if self.root == "arguments" {
            let Some(names) = call.names() else { return };
            let facts = call.own_facts();
            let properties = facts.parameters.get("properties").and_then(Json::as_object);
            let has_default =
                properties.and_then(|all| all.get(field)).is_some_and(|property| property.get("default").is_some());
            if !names.contains(&field) && !has_default {
                let message = format!(
                    "undoing `{node}` by `{undo}` needs the parameter `{}`, which it is not given",
                    clip_word(field)
                );
                let missing = self.span.error(DiagnosticCode::CompensationBlind, message);
                findings.push(missing.did_you_mean(field, names.iter().copied()));
            }
        } else if self.root == "output" || self.root == node {
            let known = &call.own_facts().output_fields;
            if !known.is_empty() && !known.iter().any(|name| name == field) {
                let message = format!(
                    "undoing `{node}` by `{undo}` needs `{}`, which `{tool}` does not answer",
                    clip_word(field)
                );
                let missing = self.span.error(DiagnosticCode::CompensationBlind, message);
                findings.push(missing.did_you_mean(field, known.iter().map(String::as_str)));
            }
        }
    }
}

fn of_tree(tree: &YamlNode, dialect: ParamsDialect, needs: &mut Vec<CompensationInput>) {
    match &tree.value {
        YamlValue::List(items) => items.iter().for_each(|item| of_tree(item, dialect, needs)),
        YamlValue::Map(map) => map.iter().for_each(|(_, value)| of_tree(value, dialect, needs)),
        YamlValue::String(text) => of_text(&SpannedValue::new(text.text.as_str(), tree.span), dialect, needs),
        YamlValue::Null | YamlValue::Bool(_) | YamlValue::Number { .. } => {}
    }
}

fn of_json(value: &Json, span: SourceSpan, needs: &mut Vec<CompensationInput>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| of_json(item, span, needs)),
        Json::Object(fields) => fields.values().for_each(|value| of_json(value, span, needs)),
        Json::String(text) => of_text(&SpannedValue::new(text.as_str(), span), ParamsDialect::Edges, needs),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// The fields that a string reads. An expression that allows for a missing value (`default`, `is defined`) requires
/// nothing.
fn of_text(text: &SpannedValue<&str>, dialect: ParamsDialect, needs: &mut Vec<CompensationInput>) {
    let source = text.value;
    if dialect == ParamsDialect::Steps
        && let Some(reference) = source.strip_prefix('$').or_else(|| source.strip_prefix('{')?.strip_suffix('}'))
        && !reference.starts_with(['{', '%', '#', '$'])
    {
        needs.extend(chain(reference, text.span).map(|(need, _)| need));
        return;
    }
    let mut rest = source;
    while let Some(open) = rest.find("{{") {
        rest = &rest[open + 2..];
        let hole = rest.split("}}").next().unwrap_or_default();
        rest = &rest[hole.len()..];
        if !["default", "defined", " or ", " if "].iter().any(|word| hole.contains(word)) {
            of_hole(hole, text.span, needs);
        }
    }
}

/// The name chains of an expression; quoted text is skipped.
fn of_hole(hole: &str, span: SourceSpan, needs: &mut Vec<CompensationInput>) {
    let mut rest = hole;
    while let Some(c) = rest.chars().next() {
        if c == '"' || c == '\'' {
            let inside = &rest[1..];
            rest = inside.find(c).map_or("", |close| &inside[close + 1..]);
        } else if c.is_ascii_alphabetic() || c == '_' {
            let Some((need, len)) = chain(rest, span) else { return };
            rest = &rest[len..];
            needs.push(need);
        } else if c == '|' {
            // A filter's name is not a name of the run.
            let after = rest[1..].trim_start();
            rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
}

/// Parses `a.b.c`, `a[b]` or `a["b"]`; also returns its length in bytes.
fn chain(text: &str, span: SourceSpan) -> Option<(CompensationInput, usize)> {
    let word = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let mut at = word(text);
    let root = text.get(..at).filter(|root| !root.is_empty())?.to_owned();
    let mut fields = Vec::new();
    loop {
        let rest = &text[at..];
        if let Some(field) = rest.strip_prefix('.') {
            let len = word(field);
            fields.push(field[..len].to_owned());
            at += 1 + len;
        } else if let Some(inside) = rest.strip_prefix('[')
            && let Some(close) = inside.find(']')
        {
            fields.push(inside[..close].trim_matches(['"', '\'']).to_owned());
            at += close + 2;
        } else {
            return Some((CompensationInput { root, fields, span }, at));
        }
    }
}
