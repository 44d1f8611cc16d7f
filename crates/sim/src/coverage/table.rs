//! Formats the coverage table.

use std::fmt::Write as _;

use super::{CoverageCell, CoverageColumn, FaultCoverage, KINDS};
use crate::case::FaultPoint;

/// The whole table in Markdown: a row for each kind and fault, a column for each instant.
pub fn markdown(coverage: &FaultCoverage, seeds: u64) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# What the simulation has met\n");
    let _ = writeln!(
        text,
        "Written by `cargo xtask sim --seeds {seeds} -- --bless`. How often each fault met each kind of node at each\n\
         instant of its way, over {seeds} seeds; `–` cannot occur. A cell that is empty fails the simulation. What the\n\
         words mean, and why a cell cannot occur, is told in [the guide](../guides/simulation.md).\n"
    );
    for kind in KINDS {
        let _ = writeln!(text, "## `{kind}`\n");
        let heads: Vec<&str> = FaultPoint::ALL.iter().map(|instant| instant.word()).collect();
        let _ = writeln!(text, "| fault | {} |", heads.join(" | "));
        let _ = writeln!(text, "| --- | {} |", ["---:"; FaultPoint::ALL.len()].join(" | "));
        for column in CoverageColumn::ALL {
            let cells: Vec<String> =
                FaultPoint::ALL.iter().map(|instant| shown(coverage, kind, column, *instant)).collect();
            if cells.iter().any(|cell| cell != "–") {
                let _ = writeln!(text, "| {} | {} |", column.word(), cells.join(" | "));
            }
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn shown(coverage: &FaultCoverage, kind: &'static str, column: CoverageColumn, instant: FaultPoint) -> String {
    let cell = CoverageCell { kind, column, instant };
    match (cell.impossible(), coverage.of(cell)) {
        (Some(_), _) => "–".to_owned(),
        (None, 0) => "**empty**".to_owned(),
        (None, count) => count.to_string(),
    }
}
