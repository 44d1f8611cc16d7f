//! The top-level mapping of a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::body;
use super::diagnostic::{Diagnostic, DiagnosticCode, clip_word};
use super::fields::{FieldSchema, FieldShape, MappingReader, field, read_keyword, wrong_shape};
use super::json_schema;
use super::policy::cost;
use super::reader::DefinitionReader;
use super::source::{SpannedValue, YamlKey, YamlNode, YamlValue};
use super::spec::{BodySpec, DefinitionForm, VariableDeclaration, WorkflowSpec};
use crate::conversation::HandoverPolicy;
use crate::graph::{CombineMode, InputDeclaration, WorkflowVariable, input};

pub(crate) const FIELDS: &[FieldSchema] = &[
    field("name", FieldShape::Text, "The workflow's name: letters, digits, `_`, `-` and `.`."),
    field("version", FieldShape::Any, "A label for people, such as `2.0.0`."),
    field("description", FieldShape::Text, "For people."),
    field("workflow", FieldShape::Of("workflow"), "The rest may stand under this key."),
    field("hil_config", FieldShape::Of("hil_config"), "When a conversation is handed to a person."),
    field("composio", FieldShape::Of("composio"), "The Composio apps the workflow uses."),
    field("metadata", FieldShape::Any, "Anything you want to keep with it."),
];

/// Keys at the top level or under `workflow`, in addition to those of a body.
pub(crate) const WORKFLOW: &[FieldSchema] = &[
    field(
        "input",
        FieldShape::Object,
        "The keys of a run's input, each with a JSON Schema, a type's name, or nothing. A run whose input does not fit is refused.",
    ),
    field("variables", FieldShape::MapOf("variable"), "Declared variables: an initial value, or `{initial, combine}`."),
    field("shared_context", FieldShape::MapOf("variable"), "The same as `variables`."),
    field("timeout", FieldShape::Duration, "The run's own deadline, counted from its start."),
    field("max_cost_usd", FieldShape::Number, "The most a run may cost."),
    field("on_compensated", FieldShape::Text, "The node that runs after a rollback; sees `error` and `undone`."),
];

pub(crate) const VARIABLE: &[FieldSchema] = &[
    field("initial", FieldShape::Any, "Its value when a run starts."),
    field(
        "combine",
        FieldShape::Word(&["last", "append", "merge", "once"]),
        "What a second write does: replace (default), append to a list, merge objects, or fail.",
    ),
    field("description", FieldShape::Text, "For people."),
];

pub(crate) const HIL: &[FieldSchema] = &[
    field("enabled", FieldShape::Bool, "Whether anything is handed over."),
    field("handover_triggers", FieldShape::ListOf("handover_trigger"), "When."),
];

pub(crate) const HANDOVER_TRIGGER: &[FieldSchema] = &[
    field("type", FieldShape::Word(HANDOVER_TRIGGERS), "What is watched."),
    field("threshold", FieldShape::Number, "For `confidence_threshold`: below it."),
    field("patterns", FieldShape::Names, "For `explicit_request`: what the customer says."),
    field("consecutive_errors", FieldShape::Count, "For `error_threshold`: how many."),
];

const HANDOVER_TRIGGERS: &[&str] =
    &["confidence_threshold", "explicit_request", "agent_decision", "error_threshold", "budget", "failed_compensation"];

pub(crate) const COMPOSIO: &[FieldSchema] = &[
    field("apps", FieldShape::ListOf("composio_app"), "The apps."),
    field("version", FieldShape::Text, "The pinned version of their tools."),
];

pub(crate) const COMPOSIO_APP: &[FieldSchema] = &[
    field("name", FieldShape::Text, "The app, as in `shopify`."),
    field("entity_id_source", FieldShape::Text, "Whose connection is used: `customer_id`, `agent_id`, …"),
    field("actions", FieldShape::Names, "The actions it is used for."),
    field("version", FieldShape::Text, "The pinned version of its tools."),
];

/// Maximum number of consecutive errors in a handover policy.
const CONSECUTIVE_ERRORS_MAX: u32 = 1_000;

/// Reads a whole file. Parts that cannot be read are left out and reported.
pub(crate) fn read<'t>(tree: &'t YamlNode, reader: &mut DefinitionReader) -> Option<WorkflowSpec<'t>> {
    let mut fields = MappingReader::of(tree, "a workflow", &mut reader.findings)?;
    if let Some(inner) = fields.map("workflow", &mut reader.findings) {
        fields.add_mapping(inner);
    }
    let name = name(&mut fields, reader);
    let version = version(&mut fields, reader);
    fields.text("description", &mut reader.findings);
    fields.take("metadata", &mut reader.findings);
    let hil = fields.take("hil_config", &mut reader.findings).map(|node| hil(node, reader)).unwrap_or_default();
    let composio = fields.take("composio", &mut reader.findings);
    let entity_sources = composio.map(|node| composio_apps(node, reader)).unwrap_or_default();
    let document = WorkflowSpec {
        name,
        version,
        input: input(&mut fields, reader),
        variables: variables(&mut fields, reader),
        timeout: reader.positive_duration("timeout", &mut fields),
        max_cost: cost("max_cost_usd", &mut fields, reader),
        on_compensated: fields.text("on_compensated", &mut reader.findings),
        entity_sources,
        hil,
        body: body::read(&mut fields, reader).unwrap_or(BodySpec {
            form: DefinitionForm::Nodes,
            nodes: Vec::new(),
            edges: None,
            span: tree.span,
        }),
    };
    fields.finish(&[FIELDS, WORKFLOW, body::FIELDS], &[], &mut reader.findings);
    Some(document)
}

fn name(fields: &mut MappingReader<'_>, reader: &mut DefinitionReader) -> Option<SpannedValue<String>> {
    let Some(name) = fields.text("name", &mut reader.findings) else {
        if !fields.has("name") {
            let message = "the workflow has no name";
            let draft = Diagnostic::draft(DiagnosticCode::NoName, fields.span(), message);
            reader.findings.push(draft.hint("write `name: my_workflow` at the top"));
        }
        return None;
    };
    if let Err(error) = crate::id::TenantId::parse(&name.value) {
        reader.findings.push(name.span.error(DiagnosticCode::BadName, format!("not a workflow's name: {error}")));
        return None;
    }
    Some(name)
}

/// Reads the version label: a number keeps its spelling.
fn version(fields: &mut MappingReader<'_>, reader: &mut DefinitionReader) -> String {
    const VERSION_CHARS_MAX: usize = 100;
    let Some(node) = fields.take("version", &mut reader.findings) else { return String::new() };
    let label = match &node.value {
        YamlValue::String(text) => text.text.clone(),
        YamlValue::Number { text, .. } => text.clone(),
        _ => {
            reader.findings.push(wrong_shape("`version`", "a label such as `2.0.0`", node));
            return String::new();
        }
    };
    if label.chars().count() > VERSION_CHARS_MAX {
        let message = format!("`version` has more than {VERSION_CHARS_MAX} characters");
        reader.findings.push(node.span.error(DiagnosticCode::TooLarge, message));
    }
    label
}

/// Reads the keys of the input, with their declarations.
fn input(fields: &mut MappingReader<'_>, reader: &mut DefinitionReader) -> InputDeclaration {
    let Some(map) = fields.map("input", &mut reader.findings) else { return InputDeclaration::default() };
    let mut keys = BTreeMap::new();
    for (key, node) in map.iter() {
        reader.check_name("an input key", &SpannedValue::new(key.name.clone(), key.span));
        keys.insert(key.name.clone(), input_key(key, node, reader).unwrap_or(input::InputKey::Any));
    }
    InputDeclaration(Some(keys))
}

fn input_key(key: &YamlKey, node: &YamlNode, reader: &mut DefinitionReader) -> Option<input::InputKey> {
    match &node.value {
        YamlValue::Null => None,
        YamlValue::String(_) => {
            read_keyword(&key.name, node, &input::InputType::WORDS, &mut reader.findings).map(input::InputKey::Typed)
        }
        YamlValue::Map(_) => {
            let (document, validator) = json_schema::compile(&key.name, node, reader)?;
            let schema = input::InputSchema { document, validator };
            if let Some(mistake) = schema.document.get("default").and_then(|value| schema.violation(&key.name, value)) {
                let message = format!("the default of {mistake}");
                reader.findings.push(node.deepest_at(["default"]).span.error(DiagnosticCode::BadValue, message));
            }
            Some(input::InputKey::Schema(Arc::new(schema)))
        }
        YamlValue::Bool(_) | YamlValue::Number { .. } | YamlValue::List(_) => {
            let wrong = wrong_shape("an input key", "a JSON Schema or a type's name", node);
            reader.findings.push(wrong.hint("write `order_id: string`"));
            None
        }
    }
}

fn variables(
    fields: &mut MappingReader<'_>,
    reader: &mut DefinitionReader,
) -> BTreeMap<String, SpannedValue<VariableDeclaration>> {
    let mut variables = BTreeMap::new();
    for table in ["variables", "shared_context"] {
        for (key, node) in fields.map(table, &mut reader.findings).into_iter().flat_map(|map| map.iter()) {
            if !reader.check_name("a variable", &SpannedValue::new(key.name.clone(), key.span)) {
                continue;
            }
            if variables.contains_key(&key.name) {
                let message = format!("the variable `{}` is declared twice", key.name);
                reader.findings.push(key.span.error(DiagnosticCode::DuplicateName, message));
            }
            let variable = variable(key, node, reader).unwrap_or_default();
            variables.insert(key.name.clone(), SpannedValue::new(variable, key.span));
        }
    }
    variables
}

fn variable(key: &YamlKey, node: &YamlNode, reader: &mut DefinitionReader) -> Option<VariableDeclaration> {
    if node.as_map().is_none() {
        let initial = (!node.is_null()).then(|| node.to_json());
        return Some(VariableDeclaration {
            variable: WorkflowVariable { initial, combine: CombineMode::LastWins },
            has_combine: false,
        });
    }
    let mut fields = MappingReader::of(node, "a variable", &mut reader.findings)?;
    let words = [
        ("last", CombineMode::LastWins),
        ("append", CombineMode::Append),
        ("merge", CombineMode::Merge),
        ("once", CombineMode::Once),
    ];
    let combine = fields.keyword("combine", &words, &mut reader.findings);
    let (says_how, combine) = (combine.is_some(), combine.unwrap_or_default());
    let initial = fields.json("initial", &mut reader.findings);
    fields.text("description", &mut reader.findings);
    fields.finish(&[VARIABLE], &[], &mut reader.findings);
    let fits = match (&initial, combine) {
        (Some(initial), CombineMode::Append) => initial.is_array(),
        (Some(initial), CombineMode::Merge) => initial.is_object(),
        (_, CombineMode::LastWins | CombineMode::Once) | (None, CombineMode::Append | CombineMode::Merge) => true,
    };
    if !fits {
        let wanted = if combine == CombineMode::Append { "a list" } else { "a mapping" };
        let message = format!("the initial value of `{}` must be {wanted} to combine that way", clip_word(&key.name));
        reader.findings.push(node.span.error(DiagnosticCode::BadValue, message));
    }
    Some(VariableDeclaration { variable: WorkflowVariable { initial, combine }, has_combine: says_how })
}

/// Reads when a conversation is handed to a person. Without a list of triggers, all are on.
fn hil(node: &YamlNode, reader: &mut DefinitionReader) -> HandoverPolicy {
    let Some(mut fields) = MappingReader::of(node, "`hil_config`", &mut reader.findings) else {
        return HandoverPolicy::default();
    };
    let enabled = fields.bool("enabled", &mut reader.findings);
    let listed = fields.list("handover_triggers", &mut reader.findings);
    let mut hil = if listed.is_some() { HandoverPolicy::never() } else { HandoverPolicy::default() };
    for item in listed.unwrap_or_default() {
        let Some(mut trigger) = MappingReader::of(item, "a handover trigger", &mut reader.findings) else { continue };
        let words: Vec<(&'static str, &'static str)> = HANDOVER_TRIGGERS.iter().map(|word| (*word, *word)).collect();
        let kind = trigger.keyword("type", &words, &mut reader.findings);
        let threshold = trigger.number("threshold", 0.0, 1.0, &mut reader.findings);
        let patterns = trigger.names("patterns", &mut reader.findings);
        let errors = trigger.count("consecutive_errors", 1, CONSECUTIVE_ERRORS_MAX, &mut reader.findings);
        if !trigger.has("type") {
            trigger.report_missing("type", "write what is watched", &mut reader.findings);
        }
        trigger.finish(&[HANDOVER_TRIGGER], &[], &mut reader.findings);
        if let Some(kind) = kind {
            let patterns = patterns.unwrap_or_default().into_iter().map(|pattern| pattern.value).collect();
            hil.add(kind, threshold, patterns, errors);
        }
    }
    fields.finish(&[HIL], &[], &mut reader.findings);
    if enabled == Some(false) { HandoverPolicy::never() } else { hil }
}

/// Reads the Composio apps in use. Returns whose account each app uses, where that is written.
fn composio_apps(node: &YamlNode, reader: &mut DefinitionReader) -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    let Some(mut fields) = MappingReader::of(node, "`composio`", &mut reader.findings) else { return sources };
    fields.text("version", &mut reader.findings);
    for item in fields.list("apps", &mut reader.findings).unwrap_or_default() {
        let Some(mut app) = MappingReader::of(item, "a Composio app", &mut reader.findings) else { continue };
        let name = app.text("name", &mut reader.findings);
        let source = app.text("entity_id_source", &mut reader.findings);
        app.text("version", &mut reader.findings);
        sources.extend(name.zip(source).map(|(name, source)| (name.value, source.value)));
        app.names("actions", &mut reader.findings);
        if !app.has("name") {
            app.report_missing("name", "name the app", &mut reader.findings);
        }
        app.finish(&[COMPOSIO_APP], &[], &mut reader.findings);
    }
    fields.finish(&[COMPOSIO], &[], &mut reader.findings);
    sources
}
