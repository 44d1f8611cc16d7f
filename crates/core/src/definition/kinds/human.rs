//! `human`: a person approves or fills in a form.

use serde_json::Value;

use super::super::diagnostic::DiagnosticCode;
use super::super::fields::{FieldSchema, FieldShape, MappingReader, field, required};
use super::super::json_schema;
use super::super::policy;
use super::super::reader::DefinitionReader;
use super::super::spec::NodeKindSpec;
use super::KindDescriptor;
use crate::graph::node::{self, HumanNode, HumanTaskKind};
use crate::run::Assignees;

/// Maximum number of people that one approval may require.
pub const APPROVALS_MAX: u32 = 100;

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "human",
    label: "a human node",
    doc: "A person approves (branches `approved` and `rejected`) or fills in a form.",
    fields: FIELDS,
    inferring_keys: &["form", "assignees"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    required("title", FieldShape::Template, "What the person reads first."),
    field("details", FieldShape::Any, "What the person is shown; may hold templates."),
    field(
        "assignees",
        FieldShape::Any,
        "Who may answer: a name, a list of names, or `{role: …, skills: […]}`: whoever has the role and every skill.",
    ),
    field("needed", FieldShape::Count, "For an approval: how many people must approve; 1 where left out."),
    field("form", FieldShape::Object, "A JSON Schema; makes it a form whose output is what was filled in."),
    field("deadline", FieldShape::Duration, "How long is waited for an answer."),
    field(
        "on_deadline",
        FieldShape::Of("at_deadline"),
        "What happens then: `fail` (default); for an approval `approve` or `reject`; for a form `{default: VALUE}`.",
    ),
];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let title = fields.take("title", &mut reader.findings);
    if title.is_none() {
        fields.report_missing("title", "write what the person is asked", &mut reader.findings);
    }
    let title = title.and_then(|title| reader.template("title", title, &[]));
    let details = match fields.take("details", &mut reader.findings) {
        Some(details) => reader.params(details, &[]),
        None => reader.empty_params(),
    };
    let form = json_schema::read("form", fields, reader);
    let needed = fields.entry("needed", &mut reader.findings);
    let ask = match form {
        Some(schema) => {
            if let Some((key, _)) = needed {
                let message = "`needed` counts approvals; one person fills in a form";
                reader.findings.push(key.span.error(DiagnosticCode::Conflict, message));
            }
            HumanTaskKind::Form { schema }
        }
        None => {
            let needed = fields.count("needed", 1, APPROVALS_MAX, &mut reader.findings).unwrap_or(1);
            HumanTaskKind::Approval { needed }
        }
    };
    let deadline = policy::deadline(fields, reader, matches!(ask, HumanTaskKind::Approval { .. }));
    let assignees = assignees(fields, reader);
    let human = HumanNode { task: ask, title: title?, details: details?, assignees, deadline };
    Some(NodeKindSpec::Complete(node::NodeKind::Human(Box::new(human))))
}

/// Reads the assignees. A run on an older version whose assignees cannot be read continues: no person may answer there,
/// and its deadline applies.
fn assignees(fields: &mut MappingReader<'_>, reader: &mut DefinitionReader) -> Value {
    let Some(node) = fields.take("assignees", &mut reader.findings) else { return Value::Null };
    let assignees = node.to_json();
    if let (Err(reason), false) = (Assignees::read(&assignees), reader.is_pinned) {
        let finding = node.span.error(DiagnosticCode::BadValue, format!("`assignees` asks nobody: {reason}"));
        let hint =
            "write `[olga, paul]` or `{role: manager, skills: [finance]}`, or leave it out where anybody may answer";
        reader.findings.push(finding.hint(hint));
    }
    assignees
}
