//! The outermost mapping of a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::body;
use super::diagnostic::{Code, Diagnostic, shown};
use super::document::{Body, Declared, Document, Form};
use super::fields::{Field, Fields, Shape, field, word, wrong_shape};
use super::json_schema;
use super::policy::cost;
use super::reader::Reader;
use super::source::{Key, Located, Node as Tree, Value};
use crate::conversation::Hil;
use crate::graph::{Combine, Input, Variable, input};

pub(crate) const FIELDS: &[Field] = &[
    field("name", Shape::Text, "The workflow's name: letters, digits, `_`, `-` and `.`."),
    field("version", Shape::Any, "A label for people, such as `2.0.0`."),
    field("description", Shape::Text, "For people."),
    field("workflow", Shape::Of("workflow"), "The rest may stand under this key."),
    field("hil_config", Shape::Of("hil_config"), "When a conversation is handed to a person."),
    field("composio", Shape::Of("composio"), "The Composio apps the workflow uses."),
    field("metadata", Shape::Any, "Anything you want to keep with it."),
];

/// Keys that may stand at the top or under `workflow`, beside those of a body.
pub(crate) const WORKFLOW: &[Field] = &[
    field(
        "input",
        Shape::Object,
        "The keys of a run's input, each with a JSON Schema, a type's name, or nothing. A run whose input does not fit is refused.",
    ),
    field("variables", Shape::MapOf("variable"), "Declared variables: an initial value, or `{initial, combine}`."),
    field("shared_context", Shape::MapOf("variable"), "The same as `variables`."),
    field("timeout", Shape::Duration, "The run's own deadline, counted from its start."),
    field("max_cost_usd", Shape::Number, "The most a run may cost."),
    field("on_compensated", Shape::Text, "The node that runs after a rollback; sees `error` and `undone`."),
];

pub(crate) const VARIABLE: &[Field] = &[
    field("initial", Shape::Any, "Its value when a run starts."),
    field(
        "combine",
        Shape::Word(&["last", "append", "merge", "once"]),
        "What a second write does: replace (default), append to a list, merge objects, or fail.",
    ),
    field("description", Shape::Text, "For people."),
];

pub(crate) const HIL: &[Field] = &[
    field("enabled", Shape::Bool, "Whether anything is handed over."),
    field("handover_triggers", Shape::ListOf("handover_trigger"), "When."),
];

pub(crate) const HANDOVER_TRIGGER: &[Field] = &[
    field("type", Shape::Word(HANDOVER_TRIGGERS), "What is watched."),
    field("threshold", Shape::Number, "For `confidence_threshold`: below it."),
    field("patterns", Shape::Names, "For `explicit_request`: what the customer says."),
    field("consecutive_errors", Shape::Count, "For `error_threshold`: how many."),
];

const HANDOVER_TRIGGERS: &[&str] =
    &["confidence_threshold", "explicit_request", "agent_decision", "error_threshold", "budget", "failed_compensation"];

pub(crate) const COMPOSIO: &[Field] = &[
    field("apps", Shape::ListOf("composio_app"), "The apps."),
    field("version", Shape::Text, "The pinned version of their tools."),
];

pub(crate) const COMPOSIO_APP: &[Field] = &[
    field("name", Shape::Text, "The app, as in `shopify`."),
    field("entity_id_source", Shape::Text, "Whose connection is used: `customer_id`, `agent_id`, …"),
    field("actions", Shape::Names, "The actions it is used for."),
    field("version", Shape::Text, "The pinned version of its tools."),
];

/// The most a threshold between 0 and 1 may be, and the most errors in a row anyone waits for.
const CONSECUTIVE_ERRORS_MAX: u32 = 1_000;

/// Reads a whole file. What cannot be read is left out and said.
pub(crate) fn read<'t>(tree: &'t Tree, reader: &mut Reader) -> Option<Document<'t>> {
    let mut fields = Fields::of(tree, "a workflow", &mut reader.findings)?;
    if let Some(inner) = fields.map("workflow", &mut reader.findings) {
        fields.and(inner);
    }
    let name = name(&mut fields, reader);
    let version = version(&mut fields, reader);
    fields.text("description", &mut reader.findings);
    fields.take("metadata", &mut reader.findings);
    let hil = fields.take("hil_config", &mut reader.findings).map(|node| hil(node, reader)).unwrap_or_default();
    let composio = fields.take("composio", &mut reader.findings);
    let entity_sources = composio.map(|node| composio_apps(node, reader)).unwrap_or_default();
    let document = Document {
        name,
        version,
        input: input(&mut fields, reader),
        variables: variables(&mut fields, reader),
        timeout: reader.positive("timeout", &mut fields),
        max_cost: cost("max_cost_usd", &mut fields, reader),
        on_compensated: fields.text("on_compensated", &mut reader.findings),
        entity_sources,
        hil,
        body: body::read(&mut fields, reader).unwrap_or(Body {
            form: Form::Nodes,
            nodes: Vec::new(),
            edges: None,
            span: tree.span,
        }),
    };
    fields.finish(&[FIELDS, WORKFLOW, body::FIELDS], &[], &mut reader.findings);
    Some(document)
}

fn name(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Located<String>> {
    let Some(name) = fields.text("name", &mut reader.findings) else {
        if !fields.has("name") {
            let message = "the workflow has no name";
            let draft = Diagnostic::draft(Code::NoName, fields.span(), message);
            reader.findings.push(draft.hint("write `name: my_workflow` at the top"));
        }
        return None;
    };
    if let Err(error) = crate::id::TenantId::parse(&name.value) {
        reader.findings.push(name.span.error(Code::BadName, format!("not a workflow's name: {error}")));
        return None;
    }
    Some(name)
}

/// A label: a number stays as it was written.
fn version(fields: &mut Fields<'_>, reader: &mut Reader) -> String {
    const VERSION_CHARS_MAX: usize = 100;
    let Some(node) = fields.take("version", &mut reader.findings) else { return String::new() };
    let label = match &node.value {
        Value::String(text) => text.text.clone(),
        Value::Number { text, .. } => text.clone(),
        _ => {
            reader.findings.push(wrong_shape("`version`", "a label such as `2.0.0`", node));
            return String::new();
        }
    };
    if label.chars().count() > VERSION_CHARS_MAX {
        let message = format!("`version` has more than {VERSION_CHARS_MAX} characters");
        reader.findings.push(node.span.error(Code::TooLarge, message));
    }
    label
}

/// The keys of the input, each with what is said of it.
fn input(fields: &mut Fields<'_>, reader: &mut Reader) -> Input {
    let Some(map) = fields.map("input", &mut reader.findings) else { return Input::default() };
    let mut keys = BTreeMap::new();
    for (key, node) in map.iter() {
        reader.name("an input key", &Located::new(key.name.clone(), key.span));
        keys.insert(key.name.clone(), input_key(key, node, reader).unwrap_or(input::Key::Any));
    }
    Input(Some(keys))
}

fn input_key(key: &Key, node: &Tree, reader: &mut Reader) -> Option<input::Key> {
    match &node.value {
        Value::Null => None,
        Value::String(_) => word(&key.name, node, &input::Type::WORDS, &mut reader.findings).map(input::Key::Typed),
        Value::Map(_) => {
            let (document, validator) = json_schema::compile(&key.name, node, reader)?;
            let schema = input::Schema { document, validator };
            if let Some(mistake) = schema.document.get("default").and_then(|value| schema.mistake(&key.name, value)) {
                let message = format!("the default of {mistake}");
                reader.findings.push(node.nearest(["default"]).span.error(Code::BadValue, message));
            }
            Some(input::Key::Schema(Arc::new(schema)))
        }
        Value::Bool(_) | Value::Number { .. } | Value::List(_) => {
            let wrong = wrong_shape("an input key", "a JSON Schema or a type's name", node);
            reader.findings.push(wrong.hint("write `order_id: string`"));
            None
        }
    }
}

fn variables(fields: &mut Fields<'_>, reader: &mut Reader) -> BTreeMap<String, Located<Declared>> {
    let mut variables = BTreeMap::new();
    for table in ["variables", "shared_context"] {
        for (key, node) in fields.map(table, &mut reader.findings).into_iter().flat_map(|map| map.iter()) {
            if !reader.name("a variable", &Located::new(key.name.clone(), key.span)) {
                continue;
            }
            if variables.contains_key(&key.name) {
                let message = format!("the variable `{}` is declared twice", key.name);
                reader.findings.push(key.span.error(Code::DuplicateName, message));
            }
            let variable = variable(key, node, reader).unwrap_or_default();
            variables.insert(key.name.clone(), Located::new(variable, key.span));
        }
    }
    variables
}

fn variable(key: &Key, node: &Tree, reader: &mut Reader) -> Option<Declared> {
    if node.as_map().is_none() {
        let initial = (!node.is_null()).then(|| node.to_json());
        return Some(Declared { variable: Variable { initial, combine: Combine::LastWins }, says_how: false });
    }
    let mut fields = Fields::of(node, "a variable", &mut reader.findings)?;
    let words =
        [("last", Combine::LastWins), ("append", Combine::Append), ("merge", Combine::Merge), ("once", Combine::Once)];
    let combine = fields.word("combine", &words, &mut reader.findings);
    let (says_how, combine) = (combine.is_some(), combine.unwrap_or_default());
    let initial = fields.json("initial", &mut reader.findings);
    fields.text("description", &mut reader.findings);
    fields.finish(&[VARIABLE], &[], &mut reader.findings);
    let fits = match (&initial, combine) {
        (Some(initial), Combine::Append) => initial.is_array(),
        (Some(initial), Combine::Merge) => initial.is_object(),
        (_, Combine::LastWins | Combine::Once) | (None, Combine::Append | Combine::Merge) => true,
    };
    if !fits {
        let wanted = if combine == Combine::Append { "a list" } else { "a mapping" };
        let message = format!("the initial value of `{}` must be {wanted} to combine that way", shown(&key.name));
        reader.findings.push(node.span.error(Code::BadValue, message));
    }
    Some(Declared { variable: Variable { initial, combine }, says_how })
}

/// When a conversation is handed to a person. No list of triggers means all of them.
fn hil(node: &Tree, reader: &mut Reader) -> Hil {
    let Some(mut fields) = Fields::of(node, "`hil_config`", &mut reader.findings) else { return Hil::default() };
    let enabled = fields.bool("enabled", &mut reader.findings);
    let listed = fields.list("handover_triggers", &mut reader.findings);
    let mut hil = if listed.is_some() { Hil::never() } else { Hil::default() };
    for item in listed.unwrap_or_default() {
        let Some(mut trigger) = Fields::of(item, "a handover trigger", &mut reader.findings) else { continue };
        let words: Vec<(&'static str, &'static str)> = HANDOVER_TRIGGERS.iter().map(|word| (*word, *word)).collect();
        let kind = trigger.word("type", &words, &mut reader.findings);
        let threshold = trigger.number("threshold", 0.0, 1.0, &mut reader.findings);
        let patterns = trigger.names("patterns", &mut reader.findings);
        let errors = trigger.count("consecutive_errors", 1, CONSECUTIVE_ERRORS_MAX, &mut reader.findings);
        if !trigger.has("type") {
            trigger.missing("type", "write what is watched", &mut reader.findings);
        }
        trigger.finish(&[HANDOVER_TRIGGER], &[], &mut reader.findings);
        if let Some(kind) = kind {
            let patterns = patterns.unwrap_or_default().into_iter().map(|pattern| pattern.value).collect();
            hil.add(kind, threshold, patterns, errors);
        }
    }
    fields.finish(&[HIL], &[], &mut reader.findings);
    if enabled == Some(false) { Hil::never() } else { hil }
}

/// Which apps of Composio are used. Answers whose account each app uses, where it says.
fn composio_apps(node: &Tree, reader: &mut Reader) -> BTreeMap<String, String> {
    let mut sources = BTreeMap::new();
    let Some(mut fields) = Fields::of(node, "`composio`", &mut reader.findings) else { return sources };
    fields.text("version", &mut reader.findings);
    for item in fields.list("apps", &mut reader.findings).unwrap_or_default() {
        let Some(mut app) = Fields::of(item, "a Composio app", &mut reader.findings) else { continue };
        let name = app.text("name", &mut reader.findings);
        let source = app.text("entity_id_source", &mut reader.findings);
        app.text("version", &mut reader.findings);
        sources.extend(name.zip(source).map(|(name, source)| (name.value, source.value)));
        app.names("actions", &mut reader.findings);
        if !app.has("name") {
            app.missing("name", "name the app", &mut reader.findings);
        }
        app.finish(&[COMPOSIO_APP], &[], &mut reader.findings);
    }
    fields.finish(&[COMPOSIO], &[], &mut reader.findings);
    sources
}
