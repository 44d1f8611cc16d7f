//! The policy of any node: time-out, retries, error handling, compensation.

use serde_json::Value as Json;

use super::diagnostic::{DiagnosticCode, clip_word};
use super::fields::{FieldSchema, FieldShape, MappingReader, describe_node, field, read_text, required};
use super::reader::DefinitionReader;
use super::source::{SpannedValue, YamlKey, YamlNode, YamlValue};
use super::spec::{CompensationSpec, OnErrorSpec, PolicySpec, RetrySpec};
use crate::money::Usd;

/// Maximum number of attempts that a definition may set.
pub const ATTEMPTS_MAX: u32 = 1_000;
/// Maximum backoff factor between two waits.
const MULTIPLIER_MAX: f64 = 100.0;
/// Maximum cost limit, in US dollars.
const COST_MAX_USD: f64 = 1_000_000.0;

pub(crate) const FIELDS: &[FieldSchema] = &[
    field("timeout", FieldShape::Duration, "How long one attempt may take; from the tool where nothing is written."),
    field("retry", FieldShape::Of("retry"), "How failed attempts are repeated; what is left out comes from the tool."),
    field("max_retries", FieldShape::Count, "Attempts in all: `max_retries: 3` means three attempts."),
    field("on_error", FieldShape::Of("on_error"), "`fail`, `continue`, `compensate`, or `goto NODE`."),
    field(
        "compensation",
        FieldShape::Of("compensation"),
        "How the effect is undone: a tool and its parameters, or `none` where it is meant to stay.",
    ),
    field("max_cost_usd", FieldShape::Number, "The most this node may cost."),
];

pub(crate) const RETRY: &[FieldSchema] = &[
    field("max_attempts", FieldShape::Count, "Attempts in all, the first included."),
    field("initial", FieldShape::Duration, "The wait before the second attempt."),
    field("multiplier", FieldShape::Number, "By how much each wait is longer than the one before."),
    field("max", FieldShape::Duration, "The longest wait."),
    field("jitter", FieldShape::Number, "The share of each wait that is spread, 0 to 1."),
    field("retry_on", FieldShape::Names, "Error codes to repeat on; without it, whatever the tool calls transient."),
];

pub(crate) const COMPENSATION: &[FieldSchema] = &[
    field("tool_name", FieldShape::Text, "The tool that undoes the effect."),
    field("tool", FieldShape::Text, "The same as `tool_name`."),
    field(
        "parameters",
        FieldShape::Object,
        "Its parameters; they see `output` and `arguments` of the effect beside all names.",
    ),
];

pub(crate) const GOTO: &[FieldSchema] = &[required("goto", FieldShape::Text, "The node the error leads to.")];

pub(crate) fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> PolicySpec<'t> {
    let mut retry = fields.take("retry", &mut reader.findings).and_then(|node| retry(node, reader));
    if let Some((key, _)) = fields.entry("max_retries", &mut reader.findings) {
        let attempts = fields.count("max_retries", 1, ATTEMPTS_MAX, &mut reader.findings);
        let retry = retry.get_or_insert_default();
        if retry.max_attempts.is_some() {
            let message = "`max_retries` and `retry.max_attempts` mean the same";
            reader.findings.push(key.span.error(DiagnosticCode::Conflict, message).hint("keep one of the two"));
        }
        retry.max_attempts = retry.max_attempts.or(attempts);
    }
    PolicySpec {
        timeout: reader.positive_duration("timeout", fields),
        retry,
        on_error: fields.entry("on_error", &mut reader.findings).and_then(|(_, node)| on_error(node, reader)),
        compensation: fields.entry("compensation", &mut reader.findings).and_then(|entry| compensation(entry, reader)),
        max_cost: cost("max_cost_usd", fields, reader),
    }
}

/// Reads an amount in US dollars.
pub(crate) fn cost(name: &'static str, fields: &mut MappingReader<'_>, reader: &mut DefinitionReader) -> Option<Usd> {
    fields.number(name, 0.0, COST_MAX_USD, &mut reader.findings).map(Usd::from_f64)
}

fn retry(node: &YamlNode, reader: &mut DefinitionReader) -> Option<RetrySpec> {
    let mut fields = MappingReader::of(node, "`retry`", &mut reader.findings)?;
    let retry = RetrySpec {
        max_attempts: fields.count("max_attempts", 1, ATTEMPTS_MAX, &mut reader.findings),
        initial: reader.duration("initial", &mut fields),
        multiplier: fields.number("multiplier", 1.0, MULTIPLIER_MAX, &mut reader.findings),
        max: reader.duration("max", &mut fields),
        jitter: fields.number("jitter", 0.0, 1.0, &mut reader.findings),
        retry_on: fields
            .names("retry_on", &mut reader.findings)
            .map(|codes| codes.into_iter().map(|code| code.value).collect()),
    };
    fields.finish(&[RETRY], &[], &mut reader.findings);
    Some(retry)
}

fn on_error(node: &YamlNode, reader: &mut DefinitionReader) -> Option<SpannedValue<OnErrorSpec>> {
    let span = node.span;
    if node.as_map().is_some() {
        let mut fields = MappingReader::of(node, "`on_error`", &mut reader.findings)?;
        let target = fields.text("goto", &mut reader.findings);
        if target.is_none() {
            fields.report_missing("goto", "write `on_error: goto NODE`", &mut reader.findings);
        }
        fields.finish(&[GOTO], &[], &mut reader.findings);
        return target.map(|target| target.map(OnErrorSpec::Goto));
    }
    let written = read_text("on_error", node, &mut reader.findings)?;
    let words =
        [("fail", OnErrorSpec::Fail), ("continue", OnErrorSpec::Continue), ("compensate", OnErrorSpec::Compensate)];
    if let Some(target) = written.value.strip_prefix("goto ") {
        return Some(SpannedValue::new(OnErrorSpec::Goto(target.trim().to_owned()), span));
    }
    let known = ["fail", "continue", "compensate", "goto NODE"];
    match words.into_iter().find(|(word, _)| *word == written.value) {
        Some((_, meaning)) => Some(SpannedValue::new(meaning, span)),
        None => {
            let message = format!("`on_error` cannot be `{}`", clip_word(&written.value));
            reader.findings.push(span.error(DiagnosticCode::BadValue, message).did_you_mean(&written.value, known));
            None
        }
    }
}

fn compensation<'t>(
    (_, node): (&YamlKey, &'t YamlNode),
    reader: &mut DefinitionReader,
) -> Option<SpannedValue<CompensationSpec<'t>>> {
    match &node.value {
        YamlValue::String(text) if text.text == "none" => {
            return Some(SpannedValue::new(CompensationSpec::None, node.span));
        }
        YamlValue::Map(_) => {}
        _ => {
            let message = format!("`compensation` cannot be {}", describe_node(node));
            let hint = "write `{tool: NAME, parameters: {…}}`, or `none` where the effect is meant to stay";
            reader.findings.push(node.span.error(DiagnosticCode::BadValue, message).hint(hint));
            return None;
        }
    }
    let mut fields = MappingReader::of(node, "`compensation`", &mut reader.findings)?;
    let tool = fields.one_of(&["tool_name", "tool"], &mut reader.findings);
    let tree = fields.take("parameters", &mut reader.findings);
    if tool.is_none() {
        fields.report_missing("tool_name", "name the tool that undoes the effect", &mut reader.findings);
    }
    fields.finish(&[COMPENSATION], &[], &mut reader.findings);
    let tool = tool.and_then(|(_, node)| read_text("tool_name", node, &mut reader.findings))?;
    let parameters = match tree {
        Some(tree) => reader.params(tree, &["output", "arguments"])?,
        None => reader.empty_params()?,
    };
    Some(SpannedValue::new(CompensationSpec::Undo { tool, parameters, tree }, node.span))
}

impl RetrySpec {
    /// Returns the written policy, with the tool's as the default.
    pub(crate) fn with_defaults_from(&self, base: &crate::tool::RetryPolicy) -> crate::tool::RetryPolicy {
        let initial = self.initial.unwrap_or(base.initial);
        crate::tool::RetryPolicy {
            max_attempts: self.max_attempts.unwrap_or(base.max_attempts),
            initial,
            multiplier: self.multiplier.unwrap_or(base.multiplier),
            max: self.max.unwrap_or(base.max).max(initial),
            jitter: self.jitter.unwrap_or(base.jitter),
            retry_on: self.retry_on.clone().unwrap_or_else(|| base.retry_on.clone()),
        }
    }
}

/// Reads a deadline for people, and what happens when it passes. `approval` allows `approve` and `reject`, otherwise an
/// output is given.
pub(crate) fn deadline(
    fields: &mut MappingReader<'_>,
    reader: &mut DefinitionReader,
    approval: bool,
) -> crate::graph::node::WaitDeadline {
    let after = reader.positive_duration("deadline", fields);
    let entry = fields.entry("on_deadline", &mut reader.findings);
    if let Some((key, _)) = entry
        && !fields.has("deadline")
    {
        let message = "`on_deadline` needs a `deadline`";
        reader.findings.push(key.span.error(DiagnosticCode::MissingKey, message).hint("write `deadline: 24h`"));
    }
    let then = entry.and_then(|(_, node)| at_deadline(node, reader, approval)).unwrap_or_default();
    crate::graph::node::WaitDeadline { after, on_expiry: then }
}

fn at_deadline(
    node: &YamlNode,
    reader: &mut DefinitionReader,
    approval: bool,
) -> Option<crate::graph::node::OnDeadline> {
    use crate::graph::node::OnDeadline;
    if node.as_map().is_some() {
        let mut fields = MappingReader::of(node, "`on_deadline`", &mut reader.findings)?;
        let default: Option<Json> = fields.json("default", &mut reader.findings);
        fields.finish(&[super::reader::AT_DEADLINE], &[], &mut reader.findings);
        if approval {
            let message = "an approval cannot end with a default output";
            reader
                .findings
                .push(node.span.error(DiagnosticCode::BadValue, message).hint("write `approve`, `reject` or `fail`"));
            return None;
        }
        return Some(OnDeadline::Default(default.unwrap_or_default()));
    }
    let written = read_text("on_deadline", node, &mut reader.findings)?;
    match (written.value.as_str(), approval) {
        ("fail", _) => Some(OnDeadline::Fail),
        ("approve", true) => Some(OnDeadline::Approve),
        ("reject", true) => Some(OnDeadline::Reject),
        (other, _) => {
            let message = format!("`on_deadline` cannot be `{}` here", clip_word(other));
            let words: &[&str] = if approval { &["fail", "approve", "reject"] } else { &["fail", "{default: VALUE}"] };
            reader
                .findings
                .push(node.span.error(DiagnosticCode::BadValue, message).did_you_mean(other, words.iter().copied()));
            None
        }
    }
}
