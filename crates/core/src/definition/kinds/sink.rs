//! `sink`: where a conversation leaves the workflow.

use super::super::document::Part;
use super::super::fields::{Field, Fields, Shape, field, required};
use super::super::reader::Reader;
use super::Kind;
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
    field("config", Shape::Object, "What goes along, such as `required_skills`; may hold templates."),
];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    let actions =
        [("finish_conversation", SinkAction::FinishConversation), ("handover_to_human", SinkAction::HandoverToHuman)];
    if !fields.has("action") {
        fields.missing("action", "write `finish_conversation` or `handover_to_human`", &mut reader.findings);
    }
    let action = fields.word("action", &actions, &mut reader.findings);
    let config = match fields.take("config", &mut reader.findings) {
        Some(config) => reader.params(config, &[]),
        None => reader.no_params(),
    };
    Some(Part::Whole(node::Kind::Sink(Sink { action: action?, config: config? })))
}
