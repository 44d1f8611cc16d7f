//! `sink`: ends the workflow's part of a conversation.

use super::super::diagnostic::DiagnosticCode;
use super::super::fields::{FieldSchema, FieldShape, MappingReader, describe_node, field, required};
use super::super::reader::DefinitionReader;
use super::super::source::YamlNode;
use super::super::spec::NodeKindSpec;
use super::KindDescriptor;
use crate::graph::node::{self, SinkAction, SinkNode};
use crate::routing::{Priority, ServiceLevel};
use baton_expr::ParamsTemplate;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "sink",
    label: "a sink",
    doc: "Where a conversation leaves the workflow: finished, or handed to a person.",
    fields: FIELDS,
    inferring_keys: &["action"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    required(
        "action",
        FieldShape::Word(&["finish_conversation", "handover_to_human"]),
        "What becomes of the conversation.",
    ),
    field(
        "config",
        FieldShape::Object,
        "What goes along, such as `required_skills`, `priority`, `first_response_ms` and `resolution_ms`; may hold templates.",
    ),
];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let actions =
        [("finish_conversation", SinkAction::FinishConversation), ("handover_to_human", SinkAction::HandoverToHuman)];
    if !fields.has("action") {
        fields.report_missing("action", "write `finish_conversation` or `handover_to_human`", &mut reader.findings);
    }
    let action = fields.keyword("action", &actions, &mut reader.findings);
    let config = match fields.take("config", &mut reader.findings) {
        Some(config) => {
            service_level(config, reader);
            reader.params(config, &[])
        }
        None => reader.empty_params(),
    };
    Some(NodeKindSpec::Complete(node::NodeKind::Sink(SinkNode { action: action?, config: config? })))
}

/// Checks the service level of the conversation, if it is written literally.
fn service_level(config: &YamlNode, reader: &mut DefinitionReader) {
    let dialect = reader.dialect;
    let literal = |name: &str| {
        let (_, node) = config.as_map()?.get(name)?;
        Some((node, ParamsTemplate::parse(&node.to_json(), dialect).ok()?.literal()?.clone()))
    };
    if let Some((node, written)) = literal("priority") {
        let words = || Priority::ALL.into_iter().map(Priority::word);
        let word = written.as_str().unwrap_or_default();
        if Priority::parse(word).is_none() {
            let message = format!("`priority` cannot be {}", describe_node(node));
            reader.findings.push_with_suggestion(node.span.error(DiagnosticCode::BadValue, message), word, words());
        }
    }
    for name in ["first_response_ms", "resolution_ms"] {
        let Some((node, written)) = literal(name) else { continue };
        let level = ServiceLevel { first_response_ms: written.as_u64(), ..ServiceLevel::default() };
        if level.first_response_ms.is_none() || level.check().is_err() {
            let message = format!("`{name}` cannot be {}", describe_node(node));
            let hint = "it is milliseconds: 1000 to 2592000000, which is 30 days";
            reader.findings.push(node.span.error(DiagnosticCode::BadValue, message).hint(hint));
        }
    }
}
