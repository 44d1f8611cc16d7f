//! The web page: formatted, tested, and committed as it is built, so that cargo alone builds the binary with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::process;
use crate::workspace::{self, Workspace};

use super::Outcome;

/// Where the page lies, and below it what is built.
const PAGE: &str = "web";
const BUILT: &str = "dist";
/// Packages that are there already are used again.
const KEPT: &str = "node_modules";
const STEPS: &[&[&str]] =
    &[&["ci", "--no-audit", "--no-fund", "--silent"], &["run", "check"], &["test"], &["run", "build"]];
/// The longest any of them may take; fetching packages is most of it.
const LIMIT: Duration = Duration::from_secs(600);

/// Builds the page anew, beside the tree, and compares.
pub fn check(workspace: &Workspace, write: bool) -> anyhow::Result<Outcome> {
    if !process::answers(Command::new("npm").arg("--version")) {
        let way_out = "npm is not installed here: it comes with Node.js".to_owned();
        return Ok(if workspace::in_ci() { Outcome::Broken(vec![way_out]) } else { Outcome::Skipped(way_out) });
    }
    let own = workspace.root().join(PAGE);
    let beside = workspace.members()?.target_directory.join(PAGE);
    lay_out(&own, &beside)?;
    for step in STEPS {
        let finished = process::within(Command::new("npm").args(*step).current_dir(&beside), LIMIT)?;
        if !finished.status.success() {
            let told = finished.told();
            return Ok(Outcome::Broken(vec![format!("{PAGE}: `npm {}` failed\n{}", step.join(" "), told.trim_end())]));
        }
    }
    let (built, committed) = (files(&beside.join(BUILT))?, files(&own.join(BUILT))?);
    if write {
        let folder = own.join(BUILT);
        std::fs::remove_dir_all(&folder).or_else(is_missing)?;
        for (name, bytes) in &built {
            put(&folder.join(name), bytes)?;
        }
        return Ok(Outcome::Stands(format!("{} files written", built.len())));
    }
    let names = built.keys().chain(committed.keys().filter(|name| !built.contains_key(*name)));
    let differs = names.filter(|name| built.get(*name) != committed.get(*name));
    let findings: Vec<String> = differs
        .map(|name| {
            let file = name.display();
            format!("{PAGE}/{BUILT}/{file}: is not what is built; run `cargo xtask walls --only page --write`")
        })
        .collect();
    Ok(Outcome::of(findings, format!("{} files are as built", built.len())))
}

/// The page's sources beside the tree, without what is built; the packages of an earlier time stay.
fn lay_out(own: &Path, beside: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(beside).into_iter().flatten() {
        let entry = entry?;
        if entry.file_name() == KEPT {
            continue;
        }
        let path = entry.path();
        let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    for (name, bytes) in files(own)? {
        put(&beside.join(name), &bytes)?;
    }
    Ok(())
}

/// Every file below a folder by its path in it, packages and what is built inside it aside.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let entries = match std::fs::read_dir(folder.join(&inner)) {
            Ok(entries) => entries,
            Err(error) => {
                is_missing(error)?;
                continue;
            }
        };
        for entry in entries {
            let entry = entry?;
            let name = inner.join(entry.file_name());
            if entry.path().is_dir() {
                if entry.file_name() != KEPT && name != Path::new(BUILT) {
                    folders.push(name);
                }
            } else {
                found.insert(name, std::fs::read(entry.path())?);
            }
        }
    }
    Ok(found)
}

/// Nothing there is nothing to read or to remove.
fn is_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn put(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
}
