//! The web page's folder: its sources beside the tree, where packages are fetched and things are built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::process;
use crate::workspace::Workspace;

/// Where the page lies, and below it what is built.
pub const PAGE_FOLDER: &str = "web";
pub const BUILT: &str = "dist";
/// What the page's types are made of; it lies outside its folder, so a copy goes along.
const API: &str = "docs/reference/openapi.json";
/// Packages that are there already are used again.
const PACKAGES_FOLDER: &str = "node_modules";
const FETCH: &[&str] = &["ci", "--no-audit", "--no-fund", "--silent"];
/// The longest any step of npm's may take; fetching packages is most of it.
const LIMIT: Duration = Duration::from_secs(600);

/// The page's sources beside the tree, with the packages they need.
pub fn prepare_page(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let beside = workspace.members()?.target_directory.join(PAGE_FOLDER);
    copy_sources(&workspace.root().join(PAGE_FOLDER), &beside)?;
    let api = workspace.root().join(API);
    let document = std::fs::read(&api).with_context(|| format!("{} cannot be read", api.display()))?;
    put(&beside.join(API), &document)?;
    npm(&beside, FETCH)?;
    Ok(beside)
}

/// A step of npm's, in a folder of the page.
pub fn npm(folder: &Path, step: &[&str]) -> anyhow::Result<()> {
    let finished = process::run_within(Command::new("npm").args(step).current_dir(folder), LIMIT)?;
    if !finished.status.success() {
        bail!("{PAGE_FOLDER}: `npm {}` failed\n{}", step.join(" "), finished.combined_output().trim_end());
    }
    Ok(())
}

/// The page's sources beside the tree, without what is built; the packages of an earlier time stay.
fn copy_sources(own: &Path, beside: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(beside).into_iter().flatten() {
        let entry = entry?;
        if entry.file_name() == PACKAGES_FOLDER {
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
pub fn files(folder: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let entries = match std::fs::read_dir(folder.join(&inner)) {
            Ok(entries) => entries,
            Err(error) => {
                ignore_missing(error)?;
                continue;
            }
        };
        for entry in entries {
            let entry = entry?;
            let name = inner.join(entry.file_name());
            if entry.path().is_dir() {
                if entry.file_name() != PACKAGES_FOLDER && name != Path::new(BUILT) {
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
pub fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

pub fn put(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
}
