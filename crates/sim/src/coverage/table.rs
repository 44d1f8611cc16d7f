//! The table as people read it.

use std::fmt::Write as _;

use super::{Cell, Column, Coverage, KINDS};
use crate::case::Instant;

/// The whole table in Markdown: a row for each kind and fault, a column for each instant.
pub fn markdown(coverage: &Coverage, seeds: u64) -> String {
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
        let heads: Vec<&str> = Instant::ALL.iter().map(|instant| instant.word()).collect();
        let _ = writeln!(text, "| fault | {} |", heads.join(" | "));
        let _ = writeln!(text, "| --- | {} |", ["---:"; Instant::ALL.len()].join(" | "));
        for column in Column::ALL {
            let cells: Vec<String> =
                Instant::ALL.iter().map(|instant| shown(coverage, kind, column, *instant)).collect();
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

fn shown(coverage: &Coverage, kind: &'static str, column: Column, instant: Instant) -> String {
    let cell = Cell { kind, column, instant };
    match (cell.impossible(), coverage.of(cell)) {
        (Some(_), _) => "–".to_owned(),
        (None, 0) => "**empty**".to_owned(),
        (None, count) => count.to_string(),
    }
}
