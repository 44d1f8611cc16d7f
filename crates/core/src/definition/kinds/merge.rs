//! `merge`: waits for branches.

use std::collections::BTreeMap;

use super::super::diagnostic::Code;
use super::super::document::Part;
use super::super::fields::{Field, Fields, Shape, field};
use super::super::reader::Reader;
use super::Kind;
use crate::graph::node::{self, MergeMode, Rest};

pub(crate) const KIND: Kind = Kind {
    word: "merge",
    what: "a merge node",
    doc: "Waits for all, any, or some of the branches that lead to it.",
    fields: FIELDS,
    tells: &["undo_losers"],
    read,
};

const FIELDS: &[Field] = &[
    field("mode", Shape::Word(&["all", "any", "n_of_m"]), "`all` (default), `any`, or `n_of_m` with `needed`."),
    field("needed", Shape::Count, "With `n_of_m`: how many branches are enough."),
    field(
        "rest",
        Shape::Word(&["cancel", "wait"]),
        "What becomes of branches that are no longer needed; `cancel` where left out.",
    ),
    field("undo_losers", Shape::Bool, "Whether what cancelled branches did is undone."),
];

/// The words for what becomes of work that is no longer needed.
pub(crate) const RESTS: &[(&str, Rest)] = &[("cancel", Rest::Cancel), ("wait", Rest::Wait)];

fn read<'t>(fields: &mut Fields<'t>, reader: &mut Reader) -> Option<Part<'t>> {
    let words = [("all", MergeMode::All), ("any", MergeMode::Any), ("n_of_m", MergeMode::NOfM(1))];
    let mode = fields.word("mode", &words, &mut reader.findings).unwrap_or(MergeMode::All);
    let written = fields.entry("needed", &mut reader.findings);
    let needed = fields.count("needed", 1, u32::MAX, &mut reader.findings);
    let mode = match (mode, written, needed) {
        (MergeMode::NOfM(_), None, _) => {
            fields.missing("needed", "write how many branches are enough", &mut reader.findings);
            return None;
        }
        (MergeMode::NOfM(_), Some(_), needed) => MergeMode::NOfM(needed?),
        (mode, None, _) => mode,
        (mode, Some((key, _)), _) => {
            let message = "`needed` belongs to `mode: n_of_m`";
            reader.findings.push(key.span.error(Code::Conflict, message));
            mode
        }
    };
    let rest = fields.word("rest", RESTS, &mut reader.findings).unwrap_or(Rest::Cancel);
    let undo_losers = fields.bool("undo_losers", &mut reader.findings).unwrap_or_default();
    if undo_losers && (rest == Rest::Wait || mode == MergeMode::All) {
        let message = "`undo_losers` undoes branches that are cancelled, and none is";
        let hint = "it belongs to `mode: any` or `n_of_m` with `rest: cancel`";
        reader.findings.push(fields.span().error(Code::Conflict, message).hint(hint));
    }
    Some(Part::Whole(node::Kind::Merge(node::Merge { mode, rest, branches: BTreeMap::new(), undo_losers })))
}
