//! `sink`: where a conversation leaves the workflow.

use super::super::diagnostic::Code;
use super::super::document::Part;
use super::super::fields::{Field, Fields, Shape, field, found, required};
use super::super::reader::Reader;
use super::super::source::Node;
use super::Kind;
use crate::desk::{Priority, ServiceLevel};
use crate::expr::Params;
use crate::graph::node::{self, Sink, SinkAction};

pub(crate) const KIND: Kind = Kind {
    word: "sink",
    what: "a sink",
    doc: "Where a conversation leaves the workflow: finished, or handed to a person.",
    fields: FIELDS,
    tells: &["action"],
    read,
};

const FIELDS: &[Field] = &[
    required("action", Shape::Word(&["finish_conversation", "handover_to_human"]), "What becomes of the conversation."),
    field(
        "config",
        Shape::Object,
        "What goes along, such as `required_skills`, `priority`, `first_response_ms` and `resolution_ms`; may hold templates.",
    ),
];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    let actions =
        [("finish_conversation", SinkAction::FinishConversation), ("handover_to_human", SinkAction::HandoverToHuman)];
    if !fields.has("action") {
        fields.missing("action", "write `finish_conversation` or `handover_to_human`", &mut reader.findings);
    }
    let action = fields.word("action", &actions, &mut reader.findings);
    let config = match fields.take("config", &mut reader.findings) {
        Some(config) => {
            service_level(config, reader);
            reader.params(config, &[])
        }
        None => reader.no_params(),
    };
    Some(Part::Whole(node::Kind::Sink(Sink { action: action?, config: config? })))
}

/// What is promised of the conversation, where it is written plainly.
fn service_level(config: &Node, reader: &mut Reader) {
    let dialect = reader.dialect;
    let literal = |name: &str| {
        let (_, node) = config.as_map()?.get(name)?;
        Some((node, Params::parse(&node.to_json(), dialect).ok()?.literal()?.clone()))
    };
    if let Some((node, written)) = literal("priority") {
        let words = || Priority::ALL.into_iter().map(Priority::word);
        let word = written.as_str().unwrap_or_default();
        if Priority::parse(word).is_none() {
            let message = format!("`priority` cannot be {}", found(node));
            reader.findings.push_near(node.span.error(Code::BadValue, message), word, words());
        }
    }
    for name in ["first_response_ms", "resolution_ms"] {
        let Some((node, written)) = literal(name) else { continue };
        let level = ServiceLevel { first_response_ms: written.as_u64(), ..ServiceLevel::default() };
        if level.first_response_ms.is_none() || level.check().is_err() {
            let message = format!("`{name}` cannot be {}", found(node));
            let hint = "it is milliseconds: 1000 to 2592000000, which is 30 days";
            reader.findings.push(node.span.error(Code::BadValue, message).hint(hint));
        }
    }
}
