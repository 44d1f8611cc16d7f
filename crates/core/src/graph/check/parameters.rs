//! Checks literal parameters against the tool's JSON Schema.

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::{Map, Value as Json, json};

use crate::definition::diagnostic::{Diagnostic, DiagnosticCode, DiagnosticList, clip_word};
use crate::definition::source::{SourceSpan, SpannedValue, YamlNode};
use crate::definition::spec;
use crate::tool::ToolContract;
use baton_expr::ParamsDialect;

/// Checks calls and caches compiled schemas.
#[derive(Default)]
pub(super) struct ParameterChecker {
    /// By tool and parameter schema; `None` if the tool's own schema is invalid.
    compiled: BTreeMap<(String, String), Option<Validator>>,
}

/// A call as it is written in the definition.
pub(super) struct ToolCallSite<'c> {
    pub tool: &'c SpannedValue<String>,
    pub facts: &'c ToolContract,
    pub tree: Option<&'c YamlNode>,
    pub dialect: ParamsDialect,
}

impl ToolCallSite<'_> {
    fn literals(&self) -> Json {
        spec::literals(self.tree, self.dialect)
    }

    pub(super) fn own_facts(&self) -> &ToolContract {
        spec::action_facts(self.facts, self.tree, self.dialect)
    }

    /// Returns the parameters' names; `None` if a template makes the whole object.
    pub(super) fn names(&self) -> Option<Vec<&str>> {
        match self.tree {
            None => Some(Vec::new()),
            Some(tree) => Some(tree.as_map()?.iter().map(|(key, _)| key.name.as_str()).collect()),
        }
    }
}

impl ParameterChecker {
    pub(super) fn check(&mut self, call: &ToolCallSite<'_>, findings: &mut DiagnosticList) {
        let literals = call.literals();
        if let Some(unknown) = unknown_action(call, &literals) {
            return findings.push(unknown);
        }
        let own = call.facts.for_arguments(&literals);
        let schema = if own.parameters.is_object() { &own.parameters } else { &call.facts.parameters };
        let (Some(schema), Some(names)) = (schema.as_object(), call.names()) else { return };
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Json::as_object).unwrap_or(&empty);
        required(call, schema, properties, &names, findings);
        for (key, node) in call.tree.and_then(YamlNode::as_map).into_iter().flat_map(|map| map.iter()) {
            match (properties.get(&key.name), literals.get(&key.name)) {
                (Some(property), Some(literal)) => {
                    self.value(call, &key.name, (node, literal), schema, property, findings)
                }
                (Some(_), None) => {}
                (None, _) => unknown(call, &key.name, key.span, schema, properties, findings),
            }
        }
    }

    fn value(
        &mut self,
        call: &ToolCallSite<'_>,
        name: &str,
        (node, literal): (&YamlNode, &Json),
        schema: &Map<String, Json>,
        property: &Json,
        findings: &mut DiagnosticList,
    ) {
        // Dates are resolved before they are checked: `tomorrow` is a valid date.
        if property.get("format").is_some() {
            return;
        }
        let place = (call.tool.value.clone(), property.to_string());
        let validator = self.compiled.entry(place).or_insert_with(|| compile(schema, property));
        let Some(error) = validator.as_ref().and_then(|validator| validator.validate(literal).err()) else { return };
        let path = error.instance_path().to_string();
        let at = node.deepest_at(path.split('/').skip(1)).span;
        let message = format!("`{name}` does not fit `{}`: {}", call.tool.value, clip_word(&error.to_string()));
        findings.push(at.error(DiagnosticCode::Parameters, message));
    }
}

/// Returns the error in a literal action, if any.
fn unknown_action(call: &ToolCallSite<'_>, literals: &Json) -> Option<Diagnostic> {
    let facts = call.facts;
    let action = literals.get(&*facts.told_by)?.as_str()?;
    if facts.actions.is_empty() || facts.actions.contains_key(action) {
        return None;
    }
    let span = call.tree?.deepest_at([&*facts.told_by]).span;
    let message = format!("`{}` has no {} `{}`", call.tool.value, facts.told_by, clip_word(action));
    Some(span.error(DiagnosticCode::Parameters, message).did_you_mean(action, facts.actions.keys().map(String::as_str)))
}

/// Compiles one parameter's schema, with the definitions of the whole schema.
fn compile(schema: &Map<String, Json>, property: &Json) -> Option<Validator> {
    let mut whole = Map::new();
    for shared in ["$schema", "$defs", "definitions"] {
        if let Some(definitions) = schema.get(shared) {
            whole.insert(shared.to_owned(), definitions.clone());
        }
    }
    whole.insert("allOf".to_owned(), json!([property]));
    jsonschema::validator_for(&Json::Object(whole)).ok()
}

fn required(
    call: &ToolCallSite<'_>,
    schema: &Map<String, Json>,
    properties: &Map<String, Json>,
    names: &[&str],
    findings: &mut DiagnosticList,
) {
    let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    for name in required {
        let has_default = properties.get(name).is_some_and(|property| property.get("default").is_some());
        if names.contains(&name) || has_default {
            continue;
        }
        let message = format!("`{}` needs the parameter `{name}`", call.tool.value);
        let missing = call.tool.span.error(DiagnosticCode::Parameters, message);
        let description = properties.get(name).and_then(|property| property.get("description")).and_then(Json::as_str);
        findings.push(match description {
            Some(words) => missing.hint(format!("{name}: {}", clip_word(words))),
            None => missing,
        });
    }
}

fn unknown(
    call: &ToolCallSite<'_>,
    name: &str,
    span: SourceSpan,
    schema: &Map<String, Json>,
    properties: &Map<String, Json>,
    findings: &mut DiagnosticList,
) {
    let is_action = name == call.facts.told_by && !call.facts.actions.is_empty();
    if is_action || properties.is_empty() || schema.contains_key("patternProperties") {
        return;
    }
    let message = format!("`{}` has no parameter `{}`", call.tool.value, clip_word(name));
    let known = properties.keys().map(String::as_str);
    if schema.get("additionalProperties") == Some(&Json::Bool(false)) {
        findings.push_with_suggestion(span.error(DiagnosticCode::Parameters, message), name, known);
    } else if let Some(near) = baton_expr::nearest(name, known) {
        let unknown = Diagnostic::warning(DiagnosticCode::Parameters, span, message);
        findings.push(unknown.hint(format!("did you mean `{near}`?")));
    }
}
