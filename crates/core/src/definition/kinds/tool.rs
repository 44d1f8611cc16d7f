//! `tool`: one call of one tool, or the calls that an agent's selection requested.

use super::super::diagnostic::DiagnosticCode;
use super::super::fields::{FieldSchema, FieldShape, MappingReader, field, read_text};
use super::super::reader::DefinitionReader;
use super::super::spec::{NodeKindSpec, ToolNodeSpec};
use super::KindDescriptor;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "tool",
    label: "a tool node",
    doc: "Calls a tool.",
    fields: FIELDS,
    inferring_keys: &["tool", "tool_name", "from"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    field("tool", FieldShape::Text, "The tool's name."),
    field("tool_name", FieldShape::Text, "The same as `tool`."),
    field("parameters", FieldShape::Object, "What the tool is given; strings may hold templates and references."),
    field(
        "from",
        FieldShape::Word(&["tool_requests"]),
        "Performs what a selection or an agent asked for, in place of a written call.",
    ),
    field(
        "tools",
        FieldShape::Names,
        "With `from`: the tools that may be called; every tool of the workflow's agents where left out.",
    ),
];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let named = fields.one_of(&["tool", "tool_name"], &mut reader.findings);
    let from = fields.entry("from", &mut reader.findings);
    let tree = fields.entry("parameters", &mut reader.findings);
    let tools = fields.entry("tools", &mut reader.findings);
    let refuse = |reader: &mut DefinitionReader, span: super::super::source::SourceSpan, message: &str| {
        reader.findings.push(span.error(DiagnosticCode::Conflict, message));
    };
    let part = match (named, from) {
        (Some((_, tool)), None) => {
            if let Some((key, _)) = tools {
                refuse(reader, key.span, "`tools` belongs to `from: tool_requests`; this node calls one tool");
            }
            let tool = read_text("tool", tool, &mut reader.findings);
            let parameters = match tree {
                Some((_, tree)) => reader.params(tree, &[]),
                None => reader.empty_params(),
            };
            ToolNodeSpec::Fixed { tool: tool?, parameters: parameters?, tree: tree.map(|(_, tree)| tree) }
        }
        (None, Some(_)) => {
            fields.keyword("from", &[("tool_requests", ())], &mut reader.findings)?;
            if let Some((key, _)) = tree {
                refuse(reader, key.span, "the parameters come with each request");
            }
            ToolNodeSpec::AgentRequests { tools: fields.names("tools", &mut reader.findings) }
        }
        (Some(_), Some((key, _))) => {
            refuse(reader, key.span, "a tool node has either `tool` or `from`");
            return None;
        }
        (None, None) => {
            fields.report_missing("tool", "name the tool it calls", &mut reader.findings);
            return None;
        }
    };
    Some(NodeKindSpec::Tool(Box::new(part)))
}
