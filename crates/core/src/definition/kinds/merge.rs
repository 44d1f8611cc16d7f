//! `merge`: waits for branches.

use std::collections::BTreeMap;

use super::super::diagnostic::DiagnosticCode;
use super::super::fields::{FieldSchema, FieldShape, MappingReader, field};
use super::super::reader::DefinitionReader;
use super::super::spec::NodeKindSpec;
use super::KindDescriptor;
use crate::graph::node::{self, MergeMode, RemainingWork};

pub(crate) const KIND: KindDescriptor = KindDescriptor {
    word: "merge",
    label: "a merge node",
    doc: "Waits for all, any, or some of the branches that lead to it.",
    fields: FIELDS,
    inferring_keys: &["undo_losers"],
    read,
};

const FIELDS: &[FieldSchema] = &[
    field("mode", FieldShape::Word(&["all", "any", "n_of_m"]), "`all` (default), `any`, or `n_of_m` with `needed`."),
    field("needed", FieldShape::Count, "With `n_of_m`: how many branches are enough."),
    field(
        "rest",
        FieldShape::Word(&["cancel", "wait"]),
        "What becomes of branches that are no longer needed; `cancel` where left out.",
    ),
    field("undo_losers", FieldShape::Bool, "Whether what cancelled branches did is undone."),
];

/// Words for what happens to work that is no longer needed.
pub(crate) const REMAINING_WORK_MODES: &[(&str, RemainingWork)] =
    &[("cancel", RemainingWork::Cancel), ("wait", RemainingWork::Wait)];

fn read<'t>(fields: &mut MappingReader<'t>, reader: &mut DefinitionReader) -> Option<NodeKindSpec<'t>> {
    let words = [("all", MergeMode::All), ("any", MergeMode::Any), ("n_of_m", MergeMode::NOfM(1))];
    let mode = fields.keyword("mode", &words, &mut reader.findings).unwrap_or(MergeMode::All);
    let written = fields.entry("needed", &mut reader.findings);
    let needed = fields.count("needed", 1, u32::MAX, &mut reader.findings);
    let mode = match (mode, written, needed) {
        (MergeMode::NOfM(_), None, _) => {
            fields.report_missing("needed", "write how many branches are enough", &mut reader.findings);
            return None;
        }
        (MergeMode::NOfM(_), Some(_), needed) => MergeMode::NOfM(needed?),
        (mode, None, _) => mode,
        (mode, Some((key, _)), _) => {
            let message = "`needed` belongs to `mode: n_of_m`";
            reader.findings.push(key.span.error(DiagnosticCode::Conflict, message));
            mode
        }
    };
    let rest = fields.keyword("rest", REMAINING_WORK_MODES, &mut reader.findings).unwrap_or(RemainingWork::Cancel);
    let undo_losers = fields.bool("undo_losers", &mut reader.findings).unwrap_or_default();
    if undo_losers && (rest == RemainingWork::Wait || mode == MergeMode::All) {
        let message = "`undo_losers` undoes branches that are cancelled, and none is";
        let hint = "it belongs to `mode: any` or `n_of_m` with `rest: cancel`";
        reader.findings.push(fields.span().error(DiagnosticCode::Conflict, message).hint(hint));
    }
    Some(NodeKindSpec::Complete(node::NodeKind::Merge(node::MergeNode {
        mode,
        rest,
        branches: BTreeMap::new(),
        undo_losers,
    })))
}
