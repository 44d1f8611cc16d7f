//! The web page: formatted, tested, and committed in built form, so that cargo alone builds the binary with it.

use std::path::Path;
use std::process::Command;

use crate::page::{BUILT, PAGE_FOLDER, files, ignore_missing, npm, prepare_page, put};
use crate::process;
use crate::workspace::{self, Workspace};

use super::LintOutcome;

const PACKED: &[&str] = &["br", "gz"];
const STEPS: &[&[&str]] = &[&["run", "check"], &["test"], &["run", "build"]];

/// Builds the page outside the tree, and compares.
pub fn check(workspace: &Workspace, write: bool) -> anyhow::Result<LintOutcome> {
    if !process::is_installed(Command::new("npm").arg("--version")) {
        let way_out = "npm is not installed here: it comes with Node.js".to_owned();
        return Ok(if workspace::in_ci() { LintOutcome::Failed(vec![way_out]) } else { LintOutcome::Skipped(way_out) });
    }
    let own = workspace.root().join(PAGE_FOLDER);
    let beside = match prepare_page(workspace) {
        Ok(beside) => beside,
        Err(error) => return Ok(LintOutcome::Failed(vec![format!("{error:#}")])),
    };
    for step in STEPS {
        if let Err(error) = npm(&beside, step) {
            return Ok(LintOutcome::Failed(vec![format!("{error:#}")]));
        }
    }
    let (built, committed) = (files(&beside.join(BUILT))?, files(&own.join(BUILT))?);
    if write {
        let folder = own.join(BUILT);
        std::fs::remove_dir_all(&folder).or_else(ignore_missing)?;
        for (name, bytes) in &built {
            put(&folder.join(name), bytes)?;
        }
        return Ok(LintOutcome::Passed(format!("{} files written", built.len())));
    }
    let names = built.keys().chain(committed.keys().filter(|name| !built.contains_key(*name)));
    let differs = names.filter(|name| {
        let (built, committed) = (built.get(*name), committed.get(*name));
        if is_packed(name) { built.is_some() != committed.is_some() } else { built != committed }
    });
    let findings: Vec<String> = differs
        .map(|name| {
            let file = name.display();
            format!("{PAGE_FOLDER}/{BUILT}/{file}: is not what is built; run `cargo xtask lint --only page --write`")
        })
        .collect();
    Ok(LintOutcome::from_findings(findings, format!("{} files are as built", built.len())))
}

/// Whether the file is the compressed copy for browsers that accept one. Another version of the compressor, or another
/// processor, compresses the same text differently. The name contains the hash of the text, and the build unpacks the
/// file to verify it.
fn is_packed(name: &Path) -> bool {
    name.extension().is_some_and(|kind| PACKED.iter().any(|packed| kind == *packed))
}
