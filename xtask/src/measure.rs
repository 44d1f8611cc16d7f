//! `cargo xtask measure`: measurements of the project itself. They are not lints: nothing here fails a build.

mod measurements;
mod shape;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use crate::process;
use crate::report;
use crate::workspace::Workspace;

use shape::CodeShape;

/// Print build time, binary size, crate count, file and function lengths, lines per crate.
///
/// Lengths are in lines, comments included. Test code is counted separately and is never among the longest.
#[derive(Args)]
pub struct MeasureOptions {
    /// Build the release binary into an empty folder and time it. Takes minutes; without it no build time is printed.
    #[arg(long)]
    cold: bool,
    /// Also count findings of stricter lints: pedantic, missing docs, long functions, deep nesting.
    #[arg(long)]
    measurements: bool,
    /// One JSON document instead of tables.
    #[arg(long)]
    json: bool,
}

/// All measurements. `None` is a value that was not requested or does not exist.
#[derive(Serialize)]
struct ProjectFigures {
    /// Seconds of a release build into an empty folder.
    cold_build_s: Option<f64>,
    /// Size of the release binary, in bytes.
    binary_bytes: Option<u64>,
    /// Number of packages compiled for the binary on this platform, ours included.
    crates: usize,
    shape: CodeShape,
    /// Lint names with their number of warnings, highest first.
    stricter_lints: Option<Vec<(String, usize)>>,
}

pub fn run(options: &MeasureOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let (cold_build_s, binary_bytes) =
        if options.cold { cold(workspace)? } else { (None, existing_binary_size(workspace)?) };
    let figures = ProjectFigures {
        cold_build_s,
        binary_bytes,
        crates: crates(workspace)?,
        shape: CodeShape::of(workspace)?,
        stricter_lints: options.measurements.then(|| measurements::count(workspace)).transpose()?,
    };
    if options.json {
        report::line(serde_json::to_string_pretty(&figures)?);
    } else {
        table(&figures).into_iter().for_each(report::line);
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds into a temporary folder.
fn cold(workspace: &Workspace) -> anyhow::Result<(Option<f64>, Option<u64>)> {
    let folder = tempfile::tempdir()?;
    // Fetch sources first, because that measures the network and not the compiler.
    process::run(&mut workspace.cargo(["fetch", "--quiet"]))?;
    let mut command = workspace.cargo(["build", "--release", "--package", "baton-app", "--bin", "baton"]);
    command.env("CARGO_TARGET_DIR", folder.path());
    let started = Instant::now();
    process::run(&mut command)?;
    let seconds = started.elapsed().as_secs_f64();
    Ok((Some(seconds), size(&folder.path().join("release").join("baton"))))
}

/// The size of a release binary that was built earlier, if there is one.
fn existing_binary_size(workspace: &Workspace) -> anyhow::Result<Option<u64>> {
    Ok(size(&workspace.members()?.target_directory.join("release").join("baton")))
}

fn size(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|metadata| metadata.len())
}

/// Number of distinct packages in the binary, including build dependencies but not development dependencies.
fn crates(workspace: &Workspace) -> anyhow::Result<usize> {
    let tree = process::output(&mut workspace.cargo([
        "tree",
        "--quiet",
        "--package",
        "baton-app",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    Ok(distinct(&tree))
}

/// Number of distinct `name version` pairs of a tree printed without prefixes.
fn distinct(tree: &str) -> usize {
    let named = tree.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>());
    named.filter(|words| words.len() == 2).collect::<BTreeSet<_>>().len()
}

fn table(figures: &ProjectFigures) -> Vec<String> {
    let cold = figures.cold_build_s.map_or("not measured (--cold builds it)".to_owned(), |s| format!("{s:.0} s"));
    let size = figures.binary_bytes.map_or("no release binary here (--cold builds one)".to_owned(), |bytes| {
        format!("{:.1} MB", bytes as f64 / 1e6)
    });
    let mut lines = vec![
        format!("cold release build   {cold}"),
        format!("release binary       {size}"),
        format!("crates               {}", figures.crates),
    ];
    lines.extend(figures.shape.table());
    if let Some(counts) = &figures.stricter_lints {
        lines.push(String::new());
        lines.push(format!("stricter lints ({} with findings)", counts.len()));
        lines.extend(counts.iter().map(|(lint, count)| format!("  {count:>5}  {lint}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_counted_once_and_its_versions_apart() {
        let tree = "a v1.0.0 (somewhere)\nb v1.0.0\nb v2.0.0\nb v1.0.0 (*)\n\n";
        assert_eq!(distinct(tree), 3);
    }
}
