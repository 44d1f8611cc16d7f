//! `tool`: one call of one tool, or the calls a selection asked for.

use super::super::diagnostic::Code;
use super::super::document::{Part, Tool};
use super::super::fields::{Field, Fields, Shape, field, text};
use super::super::reader::Reader;
use super::Kind;

pub(crate) const KIND: Kind = Kind {
    word: "tool",
    what: "a tool node",
    doc: "Calls a tool.",
    fields: FIELDS,
    tells: &["tool", "tool_name", "from"],
    read,
};

const FIELDS: &[Field] = &[
    field("tool", Shape::Text, "The tool's name."),
    field("tool_name", Shape::Text, "The same as `tool`."),
    field("parameters", Shape::Object, "What the tool is given; strings may hold templates and references."),
    field(
        "from",
        Shape::Word(&["tool_requests"]),
        "Performs what a selection or an agent asked for, in place of a written call.",
    ),
    field(
        "tools",
        Shape::Names,
        "With `from`: the tools that may be called; every tool of the workflow's agents where left out.",
    ),
];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    let named = fields.one_of(&["tool", "tool_name"], &mut reader.findings);
    let from = fields.entry("from", &mut reader.findings);
    let tree = fields.entry("parameters", &mut reader.findings);
    let tools = fields.entry("tools", &mut reader.findings);
    let refuse = |reader: &mut Reader, span: super::super::source::Span, message: &str| {
        reader.findings.push(span.error(Code::Conflict, message));
    };
    let part = match (named, from) {
        (Some((_, tool)), None) => {
            if let Some((key, _)) = tools {
                refuse(reader, key.span, "`tools` belongs to `from: tool_requests`; this node calls one tool");
            }
            let tool = text("tool", tool, &mut reader.findings);
            let parameters = match tree {
                Some((_, tree)) => reader.params(tree, &[]),
                None => reader.no_params(),
            };
            Tool::Written { tool: tool?, parameters: parameters?, tree: tree.map(|(_, tree)| tree) }
        }
        (None, Some(_)) => {
            fields.word("from", &[("tool_requests", ())], &mut reader.findings)?;
            if let Some((key, _)) = tree {
                refuse(reader, key.span, "the parameters come with each request");
            }
            Tool::Requests { tools: fields.names("tools", &mut reader.findings) }
        }
        (Some(_), Some((key, _))) => {
            refuse(reader, key.span, "a tool node has either `tool` or `from`");
            return None;
        }
        (None, None) => {
            fields.missing("tool", "name the tool it calls", &mut reader.findings);
            return None;
        }
    };
    Some(Part::Tool(Box::new(part)))
}
