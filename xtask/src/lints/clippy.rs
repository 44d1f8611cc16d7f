//! Formatting and clippy, checked by the tools themselves.

use crate::process;
use crate::workspace::{self, Workspace};

use super::LintOutcome;

pub fn format(workspace: &Workspace) -> anyhow::Result<LintOutcome> {
    if !process::is_installed(&mut workspace.cargo(["fmt", "--version"])) {
        return Ok(missing_tool("rustfmt", workspace::in_ci()));
    }
    let finished = process::capture(&mut workspace.cargo(["fmt", "--all", "--", "--check", "-l"]))?;
    if finished.status.success() {
        return Ok(LintOutcome::Passed("formatted".to_owned()));
    }
    let root = format!("{}/", workspace.root().display());
    let files = finished.stdout.lines().map(|path| path.strip_prefix(&root).unwrap_or(path));
    let mut findings: Vec<String> = files.map(|path| format!("{path}: run `cargo fmt --all`")).collect();
    if findings.is_empty() {
        findings.push(format!("`cargo fmt` ended with {}\n{}", finished.status, finished.stderr.trim_end()));
    }
    Ok(LintOutcome::Failed(findings))
}

/// Clippy generates no machine code, but runs build scripts and procedural macros. With the profile of the tests those
/// are built once for both.
pub fn clippy(workspace: &Workspace, profile: &str) -> anyhow::Result<LintOutcome> {
    if !process::is_installed(&mut workspace.cargo(["clippy", "--version"])) {
        return Ok(missing_tool("clippy", workspace::in_ci()));
    }
    let status = process::status(&mut workspace.cargo([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--profile",
        profile,
        "--",
        "-D",
        "warnings",
    ]))?;
    if status.success() {
        return Ok(LintOutcome::Passed("no warnings".to_owned()));
    }
    Ok(LintOutcome::Failed(vec!["clippy's own words are above".to_owned()]))
}

/// On a developer's machine the other lints are still useful without this one. In CI a lint must not be skipped
/// silently.
fn missing_tool(component: &str, in_ci: bool) -> LintOutcome {
    let way_out = format!("{component} is not installed here: `rustup component add {component}`");
    if in_ci { LintOutcome::Failed(vec![way_out]) } else { LintOutcome::Skipped(way_out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_breaks_the_wall_in_ci_and_is_only_said_elsewhere() {
        assert!(
            matches!(missing_tool("clippy", true), LintOutcome::Failed(found) if found[0].contains("component add clippy"))
        );
        assert!(
            matches!(missing_tool("clippy", false), LintOutcome::Skipped(why) if why.contains("component add clippy"))
        );
    }
}
