//! One node or step, as it is written.

use super::diagnostic::{DiagnosticCode, clip_word};
use super::fields::{FieldSchema, FieldShape, MappingReader, field, read_text};
use super::kinds::{self, KindDescriptor};
use super::policy;
use super::reader::DefinitionReader;
use super::source::{SourceSpan, SpannedValue, YamlNode};
use super::spec::{DefinitionForm, NodeKindSpec, NodeSpec};
use crate::graph::{JoinRule, NODES_MAX};
use baton_expr::ParamsTemplate;

/// Keys of every node, in addition to those of [`policy`].
pub(crate) const FIELDS: &[FieldSchema] = &[
    field("id", FieldShape::Text, "How others name it: letters, digits, `_` and `-`."),
    field("name", FieldShape::Text, "For people; the id where left out."),
    field("description", FieldShape::Text, "For people."),
    field("type", FieldShape::Of("kind"), "The kind of node; may be left out where another key tells it."),
    field("kind", FieldShape::Of("kind"), "The same as `type`."),
    field("condition", FieldShape::Of("condition"), "Skips the node where it does not hold."),
    field("depends_on", FieldShape::Names, "Nodes that come before, where the file has no `edges`."),
    field(
        "join",
        FieldShape::Word(&["any_taken", "all_settled"]),
        "When the node may run: once one way to it was taken, or whatever became of them.",
    ),
    field("set", FieldShape::Object, "Variables set when the node completes; sees `output`."),
    field("output_key", FieldShape::Text, "Publishes the output under this variable, too."),
    field("config", FieldShape::Object, "Keys of the kind may stand here instead."),
    field("position", FieldShape::Any, "Where an editor draws it."),
    field("metadata", FieldShape::Any, "Anything you want to keep with it."),
];

/// Names that are reserved for the run or the expression languages.
const RESERVED: &[&str] = &[
    "input",
    "context",
    "shared_context",
    "output",
    "arguments",
    "item",
    "index",
    "last",
    "error",
    "undone",
    "now",
    "true",
    "false",
    "null",
    "none",
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
];

/// Reads one node. `place` is its position in the list, from 0.
pub(crate) fn read<'t>(
    node: &'t YamlNode,
    place: usize,
    form: DefinitionForm,
    reader: &mut DefinitionReader,
) -> Option<NodeSpec<'t>> {
    let what = if form == DefinitionForm::Steps { "a step" } else { "a node" };
    reader.nodes += 1;
    if reader.nodes == NODES_MAX + 1 {
        let message = format!("the workflow has more than {NODES_MAX} nodes");
        reader.findings.push(node.span.error(DiagnosticCode::TooLarge, message).hint("use a loop, or a subworkflow"));
    }
    if reader.nodes > NODES_MAX {
        return None;
    }
    let mut fields = MappingReader::of(node, what, &mut reader.findings)?;
    let kind = kind(&mut fields, reader);
    reader.take_references();
    let kind_name = kind.map_or("", |kind| kind.word);
    if kind_name != "sink"
        && let Some(config) = fields.map("config", &mut reader.findings)
    {
        fields.add_mapping(config);
    }
    let id = id(&mut fields, place, form, reader);
    let read = read_common_keys(&mut fields, kind_name, reader);
    let part = kind.and_then(|kind| {
        fields.set_label(kind.label);
        (kind.read)(&mut fields, reader)
    });
    let others: Vec<&[FieldSchema]> = kinds::ALL.iter().map(|kind| kind.fields).collect();
    if let Some(kind) = kind {
        fields.finish(&[FIELDS, policy::FIELDS, kind.fields], &others, &mut reader.findings);
    }
    let mentions = reader.take_references();
    Some(NodeSpec { id: id?, part: part?, references: mentions, ..read })
}

/// Reads the keys that every node may have.
fn read_common_keys<'t>(fields: &mut MappingReader<'t>, kind: &str, reader: &mut DefinitionReader) -> NodeSpec<'t> {
    let policy = policy::read(fields, reader);
    let findings = &mut reader.findings;
    let name = fields.text("name", findings).map(|name| name.value);
    fields.text("description", findings);
    let _ = (fields.take("position", findings), fields.take("metadata", findings));
    let depends_on = fields.names("depends_on", findings).unwrap_or_default();
    let joins = [("any_taken", JoinRule::AnyTaken), ("all_settled", JoinRule::AllSettled)];
    let join = fields.keyword("join", &joins, findings);
    let output_key = fields.text("output_key", findings);
    // The condition of a condition node is read with its kind; so are a transform's variables.
    let condition = match kind {
        "condition" => None,
        _ => fields.take("condition", findings).and_then(|node| reader.condition(node, &[])),
    };
    let sets = if kind == "transform" { Vec::new() } else { sets(fields, reader, &["output"]) };
    if let Some(key) = &output_key {
        reader.check_name("a variable", key);
    }
    NodeSpec {
        id: SpannedValue::new(String::new(), SourceSpan::default()),
        name,
        part: NodeKindSpec::Parallel(Default::default()),
        condition,
        depends_on,
        join,
        policy,
        output_key,
        sets,
        references: Vec::new(),
    }
}

/// Variables and their new values, by name: the written order has no meaning.
pub(crate) fn sets(
    fields: &mut MappingReader<'_>,
    reader: &mut DefinitionReader,
    local: &[&str],
) -> Vec<(SpannedValue<String>, ParamsTemplate)> {
    let mut sets = Vec::new();
    for (key, value) in fields.map("set", &mut reader.findings).into_iter().flat_map(|map| map.iter()) {
        let name = SpannedValue::new(key.name.clone(), key.span);
        let fits = reader.check_name("a variable", &name);
        if let Some(params) = reader.params(value, local).filter(|_| fits) {
            sets.push((name, params));
        }
    }
    sets.sort_by(|a, b| a.0.value.cmp(&b.0.value));
    sets
}

/// Reads the kind that is written, or infers it from another key.
fn kind(fields: &mut MappingReader<'_>, reader: &mut DefinitionReader) -> Option<&'static KindDescriptor> {
    if let Some((key, node)) = fields.one_of(&["type", "kind"], &mut reader.findings) {
        let word = read_text(&key.name, node, &mut reader.findings)?;
        let kind = kinds::find(&word.value);
        if kind.is_none() {
            let message = format!("there is no node type `{}`", clip_word(&word.value));
            let unknown = node.span.error(DiagnosticCode::UnknownKind, message);
            let known: Vec<&str> = kinds::ALL.iter().map(|kind| kind.word).collect();
            reader.findings.push(match baton_expr::nearest(&word.value, known.iter().copied()) {
                Some(near) => unknown.hint(format!("did you mean `{near}`?")),
                None => unknown.hint(format!("the types are {}", super::diagnostic::join_names(&known))),
            });
        }
        return kind;
    }
    let config = fields.map("config", &mut reader.findings);
    let in_config = |key: &str| config.is_some_and(|map| map.get(key).is_some());
    let kind = kinds::infer(|key| fields.has(key) || in_config(key));
    if kind.is_none() {
        let message = "the type of this node cannot be told";
        let hint = "write `type:`, or `agent:` or `tool:` to name what it runs";
        reader.findings.push(fields.span().error(DiagnosticCode::UnknownKind, message).hint(hint));
    }
    kind
}

/// Reads the id. A chained step may have none: its name is then its `output_key`, or its position.
fn id(
    fields: &mut MappingReader<'_>,
    place: usize,
    form: DefinitionForm,
    reader: &mut DefinitionReader,
) -> Option<SpannedValue<String>> {
    let written = fields.entry("id", &mut reader.findings);
    let id = match (written, form) {
        (Some((_, node)), _) => read_text("id", node, &mut reader.findings)?,
        (None, DefinitionForm::Nodes) => {
            fields.report_missing("id", "others name it by its id", &mut reader.findings);
            return None;
        }
        (None, DefinitionForm::Steps) => {
            let key = fields.text("output_key", &mut reader.findings);
            key.unwrap_or_else(|| SpannedValue::new(format!("step_{place}"), fields.span()))
        }
    };
    if !reader.check_name("a node's id", &id) {
        return None;
    }
    if RESERVED.contains(&id.value.as_str()) {
        let message = format!("a node cannot be called `{}`: expressions use that name otherwise", id.value);
        reader
            .findings
            .push(id.span.error(DiagnosticCode::BadName, message).hint(format!("call it `{}_node`", id.value)));
        return None;
    }
    Some(id)
}

/// Returns whether a step has no id of its own, and so follows the step before it.
pub(crate) fn is_chained_step(node: &YamlNode) -> bool {
    node.as_map().is_some_and(|map| map.get("id").is_none_or(|(_, id)| id.is_null()))
}
