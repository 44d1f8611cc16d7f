//! `wait`: for a time, until an instant, or for a signal.

use super::super::diagnostic::Code;
use super::super::document::Part;
use super::super::fields::{Field, Fields, Shape, field};
use super::super::policy;
use super::super::reader::Reader;
use super::Kind;
use crate::graph::node;

pub(crate) const KIND: Kind = Kind {
    word: "wait",
    what: "a wait node",
    doc: "Waits for a time, until an instant, or for a signal.",
    fields: FIELDS,
    tells: &["duration", "signal", "until"],
    read,
};

const FIELDS: &[Field] = &[
    field("duration", Shape::Duration, "How long."),
    field("until", Shape::Any, "An RFC 3339 instant or milliseconds since 1970; may be a template."),
    field("signal", Shape::Text, "The name of the signal; the output is its payload."),
    field("deadline", Shape::Duration, "With `signal`: how long is waited."),
    field("on_deadline", Shape::Of("at_deadline"), "With `deadline`: `fail` (default), or `{default: VALUE}`."),
];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    let kinds = ["duration", "until", "signal"];
    let written = kinds.iter().filter(|key| fields.has(key)).count();
    for key in kinds {
        fields.take(key, &mut reader.findings);
    }
    if written > 1 {
        let message = "a wait node has one of `duration`, `until` and `signal`";
        reader.findings.push(fields.span().error(Code::Conflict, message));
    }
    let wait = if fields.has("duration") {
        node::Wait::For(reader.duration("duration", fields)?)
    } else if let Some(until) = fields.take("until", &mut reader.findings) {
        let instant = reader.params(until, &[])?;
        if let Some(text) = instant.literal().and_then(|literal| literal.as_str())
            && let Err(error) = text.parse::<jiff::Timestamp>()
        {
            let message = format!("`until` is not an instant: {error}");
            let hint = "write `2026-01-31T09:00:00Z`, or a template that makes one";
            reader.findings.push(until.span.error(Code::BadValue, message).hint(hint));
        }
        node::Wait::Until(instant)
    } else if let Some(signal) = fields.text("signal", &mut reader.findings) {
        let deadline = policy::deadline(fields, reader, false);
        reader.name("a signal", &signal);
        return Some(Part::Whole(node::Kind::Wait(node::Wait::Signal { name: signal.value, deadline })));
    } else {
        fields.missing("duration", "write `duration: 10m`, `until: INSTANT` or `signal: NAME`", &mut reader.findings);
        return None;
    };
    Some(Part::Whole(node::Kind::Wait(wait)))
}
