//! One node or step, as it is written.

use super::diagnostic::{Code, shown};
use super::document::{Form, Node, Part};
use super::fields::{Field, Fields, Shape, field, text};
use super::kinds::{self, Kind};
use super::policy;
use super::reader::Reader;
use super::source::{Located, Node as Tree, Span};
use crate::expr::Params;
use crate::graph::{Join, NODES_MAX};

/// Keys that every node may have, beside those of [`policy`].
pub(crate) const FIELDS: &[Field] = &[
    field("id", Shape::Text, "How others name it: letters, digits, `_` and `-`."),
    field("name", Shape::Text, "For people; the id where left out."),
    field("description", Shape::Text, "For people."),
    field("type", Shape::Of("kind"), "The kind of node; may be left out where another key tells it."),
    field("kind", Shape::Of("kind"), "The same as `type`."),
    field("condition", Shape::Of("condition"), "Skips the node where it does not hold."),
    field("depends_on", Shape::Names, "Nodes that come before, where the file has no `edges`."),
    field(
        "join",
        Shape::Word(&["any_taken", "all_settled"]),
        "When the node may run: once one way to it was taken, or whatever became of them.",
    ),
    field("set", Shape::Object, "Variables set when the node completes; sees `output`."),
    field("output_key", Shape::Text, "Publishes the output under this variable, too."),
    field("config", Shape::Object, "Keys of the kind may stand here instead."),
    field("position", Shape::Any, "Where an editor draws it."),
    field("metadata", Shape::Any, "Anything you want to keep with it."),
];

/// Names that belong to the run or to the expression languages.
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

/// Reads one node. `place` counts from 0 within the list.
pub(crate) fn read<'t>(node: &'t Tree, place: usize, form: Form, reader: &mut Reader) -> Option<Node<'t>> {
    let what = if form == Form::Steps { "a step" } else { "a node" };
    reader.nodes += 1;
    if reader.nodes == NODES_MAX + 1 {
        let message = format!("the workflow has more than {NODES_MAX} nodes");
        reader.findings.push(node.span.error(Code::TooLarge, message).hint("use a loop, or a subworkflow"));
    }
    if reader.nodes > NODES_MAX {
        return None;
    }
    let mut fields = Fields::of(node, what, &mut reader.findings)?;
    let kind = kind(&mut fields, reader);
    reader.take_mentions();
    let kind_name = kind.map_or("", |kind| kind.word);
    if kind_name != "sink"
        && let Some(config) = fields.map("config", &mut reader.findings)
    {
        fields.and(config);
    }
    let id = id(&mut fields, place, form, reader);
    let read = common(&mut fields, kind_name, reader);
    let part = kind.and_then(|kind| {
        fields.rename(kind.what);
        (kind.read)(&mut fields, reader)
    });
    let others: Vec<&[Field]> = kinds::ALL.iter().map(|kind| kind.fields).collect();
    if let Some(kind) = kind {
        fields.finish(&[FIELDS, policy::FIELDS, kind.fields], &others, &mut reader.findings);
    }
    let mentions = reader.take_mentions();
    Some(Node { id: id?, part: part?, mentions, ..read })
}

/// The keys every node may have.
fn common<'t>(fields: &mut Fields<'t>, kind: &str, reader: &mut Reader) -> Node<'t> {
    let policy = policy::read(fields, reader);
    let findings = &mut reader.findings;
    let name = fields.text("name", findings).map(|name| name.value);
    fields.text("description", findings);
    let _ = (fields.take("position", findings), fields.take("metadata", findings));
    let depends_on = fields.names("depends_on", findings).unwrap_or_default();
    let joins = [("any_taken", Join::AnyTaken), ("all_settled", Join::AllSettled)];
    let join = fields.word("join", &joins, findings);
    let output_key = fields.text("output_key", findings);
    // A condition node's question is read with its kind; a transform's variables too.
    let condition = match kind {
        "condition" => None,
        _ => fields.take("condition", findings).and_then(|node| reader.condition(node, &[])),
    };
    let sets = if kind == "transform" { Vec::new() } else { sets(fields, reader, &["output"]) };
    if let Some(key) = &output_key {
        reader.name("a variable", key);
    }
    Node {
        id: Located::new(String::new(), Span::default()),
        name,
        part: Part::Parallel(Default::default()),
        condition,
        depends_on,
        join,
        policy,
        output_key,
        sets,
        mentions: Vec::new(),
    }
}

/// Variables and the values they are set to, by name: the order they are written in means nothing.
pub(crate) fn sets(fields: &mut Fields<'_>, reader: &mut Reader, local: &[&str]) -> Vec<(Located<String>, Params)> {
    let mut sets = Vec::new();
    for (key, value) in fields.map("set", &mut reader.findings).into_iter().flat_map(|map| map.iter()) {
        let name = Located::new(key.name.clone(), key.span);
        let fits = reader.name("a variable", &name);
        if let Some(params) = reader.params(value, local).filter(|_| fits) {
            sets.push((name, params));
        }
    }
    sets.sort_by(|a, b| a.0.value.cmp(&b.0.value));
    sets
}

/// The kind that is written, or that another key tells.
fn kind(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<&'static Kind> {
    if let Some((key, node)) = fields.one_of(&["type", "kind"], &mut reader.findings) {
        let word = text(&key.name, node, &mut reader.findings)?;
        let kind = kinds::named(&word.value);
        if kind.is_none() {
            let message = format!("there is no node type `{}`", shown(&word.value));
            let unknown = node.span.error(Code::UnknownKind, message);
            let known: Vec<&str> = kinds::ALL.iter().map(|kind| kind.word).collect();
            reader.findings.push(match crate::expr::nearest(&word.value, known.iter().copied()) {
                Some(near) => unknown.hint(format!("did you mean `{near}`?")),
                None => unknown.hint(format!("the types are {}", super::diagnostic::list(&known))),
            });
        }
        return kind;
    }
    let config = fields.map("config", &mut reader.findings);
    let in_config = |key: &str| config.is_some_and(|map| map.get(key).is_some());
    let kind = kinds::told_by(|key| fields.has(key) || in_config(key));
    if kind.is_none() {
        let message = "the type of this node cannot be told";
        let hint = "write `type:`, or `agent:` or `tool:` to name what it runs";
        reader.findings.push(fields.span().error(Code::UnknownKind, message).hint(hint));
    }
    kind
}

/// A link of a chain may have no id: it is then called by its `output_key`, or by its place.
fn id(fields: &mut Fields<'_>, place: usize, form: Form, reader: &mut Reader) -> Option<Located<String>> {
    let written = fields.entry("id", &mut reader.findings);
    let id = match (written, form) {
        (Some((_, node)), _) => text("id", node, &mut reader.findings)?,
        (None, Form::Nodes) => {
            fields.missing("id", "others name it by its id", &mut reader.findings);
            return None;
        }
        (None, Form::Steps) => {
            let key = fields.text("output_key", &mut reader.findings);
            key.unwrap_or_else(|| Located::new(format!("step_{place}"), fields.span()))
        }
    };
    if !reader.name("a node's id", &id) {
        return None;
    }
    if RESERVED.contains(&id.value.as_str()) {
        let message = format!("a node cannot be called `{}`: expressions use that name otherwise", id.value);
        reader.findings.push(id.span.error(Code::BadName, message).hint(format!("call it `{}_node`", id.value)));
        return None;
    }
    Some(id)
}

/// Whether a step brings no id of its own, and so follows the step before it.
pub(crate) fn is_link(node: &Tree) -> bool {
    node.as_map().is_some_and(|map| map.get("id").is_none_or(|(_, id)| id.is_null()))
}
