//! `wait`: waits for a duration, until an instant, or for a signal.

use super::super::diagnostic::DiagnosticCode;
use super::super::fields::{FieldSchema, FieldShape, MappingReader, field};
use super::super::policy;
use super::super::reader::DefinitionReader;
use super::super::spec::NodeKindSpec;
use super::KindDescriptor;
use crate::graph::node;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "wait",
    label: "a wait node",
    doc: "Waits for a time, until an instant, or for a signal.",
    fields: FIELDS,
    inferring_keys: &["duration", "signal", "until"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    field("duration", FieldShape::Duration, "How long."),
    field("until", FieldShape::Any, "An RFC 3339 instant or milliseconds since 1970; may be a template."),
    field("signal", FieldShape::Text, "The name of the signal; the output is its payload."),
    field("deadline", FieldShape::Duration, "With `signal`: how long is waited."),
    field("on_deadline", FieldShape::Of("at_deadline"), "With `deadline`: `fail` (default), or `{default: VALUE}`."),
];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let kinds = ["duration", "until", "signal"];
    let written = kinds.iter().filter(|key| fields.has(key)).count();
    for key in kinds {
        fields.take(key, &mut reader.findings);
    }
    if written > 1 {
        let message = "a wait node has one of `duration`, `until` and `signal`";
        reader.findings.push(fields.span().error(DiagnosticCode::Conflict, message));
    }
    let wait = if fields.has("duration") {
        node::WaitNode::For(reader.duration("duration", fields)?)
    } else if let Some(until) = fields.take("until", &mut reader.findings) {
        let instant = reader.params(until, &[])?;
        if let Some(text) = instant.literal().and_then(|literal| literal.as_str())
            && let Err(error) = text.parse::<jiff::Timestamp>()
        {
            let message = format!("`until` is not an instant: {error}");
            let hint = "write `2026-01-31T09:00:00Z`, or a template that makes one";
            reader.findings.push(until.span.error(DiagnosticCode::BadValue, message).hint(hint));
        }
        node::WaitNode::Until(instant)
    } else if let Some(signal) = fields.text("signal", &mut reader.findings) {
        let deadline = policy::deadline(fields, reader, false);
        reader.check_name("a signal", &signal);
        return Some(NodeKindSpec::Complete(node::NodeKind::Wait(node::WaitNode::Signal {
            name: signal.value,
            deadline,
        })));
    } else {
        fields.report_missing(
            "duration",
            "write `duration: 10m`, `until: INSTANT` or `signal: NAME`",
            &mut reader.findings,
        );
        return None;
    };
    Some(NodeKindSpec::Complete(node::NodeKind::Wait(wait)))
}
