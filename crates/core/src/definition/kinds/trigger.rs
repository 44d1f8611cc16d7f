//! `trigger`: the start of a run.

use super::super::diagnostic::{Diagnostic, DiagnosticCode};
use super::super::fields::{FieldSchema, FieldShape, MappingReader, field};
use super::super::reader::DefinitionReader;
use super::super::spec::NodeKindSpec;
use super::KindDescriptor;
use crate::graph::node;
use crate::triggers::cron::CronSchedule;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "trigger",
    label: "a trigger node",
    doc: "Where a run begins; its output is the run's input.",
    fields: FIELDS,
    inferring_keys: &["trigger"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    field("trigger", FieldShape::Word(SOURCES), "What starts a run; `manual` where left out."),
    field("cron", FieldShape::Text, "For `schedule`: when, as five fields of cron, or six with seconds first."),
    field("zone", FieldShape::Text, "For `schedule`: the IANA time zone; `UTC` where left out."),
    field(
        "missed",
        FieldShape::Word(&["skip", "once", "all"]),
        "For `schedule`: what becomes of firings that were missed.",
    ),
    field("queue", FieldShape::Text, "For `queue`: its name."),
    field("path", FieldShape::Text, "For `webhook`: the last part of its address."),
];

const SOURCES: &[&str] = &["manual", "api", "webhook", "schedule", "queue"];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let words: Vec<(&'static str, &'static str)> = SOURCES.iter().map(|word| (*word, *word)).collect();
    let source = fields.keyword("trigger", &words, &mut reader.findings).unwrap_or("manual");
    for (key, owner) in
        [("cron", "schedule"), ("zone", "schedule"), ("missed", "schedule"), ("queue", "queue"), ("path", "webhook")]
    {
        if let Some((written, _)) = fields.entry(key, &mut reader.findings)
            && owner != source
        {
            let message = format!("`{key}` belongs to `trigger: {owner}`");
            reader.findings.push(written.span.error(DiagnosticCode::Conflict, message));
        }
    }
    for key in ["queue", "path"] {
        fields.text(key, &mut reader.findings);
    }
    if let Some(cron) = fields.text("cron", &mut reader.findings)
        && let Err(invalid) = cron.value.parse::<CronSchedule>()
    {
        let hint = invalid.hint.unwrap_or("write it as in `0 9 * * 1-5`, nine o'clock on weekdays");
        reader.findings.push(cron.span.error(DiagnosticCode::BadValue, invalid.message).hint(hint));
    }
    let missed = [("skip", ()), ("once", ()), ("all", ())];
    fields.keyword("missed", &missed, &mut reader.findings);
    if let Some(zone) = fields.text("zone", &mut reader.findings)
        && jiff::tz::TimeZone::get(&zone.value).is_err()
    {
        let message = format!("`{}` is no time zone", super::super::diagnostic::clip_word(&zone.value));
        reader.findings.push(
            zone.span.error(DiagnosticCode::BadValue, message).hint("write an IANA name such as `Europe/Madrid`"),
        );
    }
    if source == "schedule" && !fields.has("cron") {
        fields.report_missing("cron", "write when, as in `cron: \"0 9 * * 1-5\"`", &mut reader.findings);
    }
    if source == "queue"
        && let Some((_, written)) = fields.entry("trigger", &mut reader.findings)
    {
        let message = "this version reads no queue, so `trigger: queue` begins no run";
        let hint = "begin runs with `POST /api/v1/workflows/execute`, or with `trigger: webhook` or `schedule`";
        reader.findings.push(Diagnostic::warning(DiagnosticCode::NotActedOn, written.span, message).hint(hint));
    }
    Some(NodeKindSpec::Complete(node::NodeKind::Trigger))
}
