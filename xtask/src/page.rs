//! The web page's build folder: a copy of its sources outside the tree, where packages are installed and the page is
//! built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::process;
use crate::workspace::Workspace;

/// The folder of the page, and below it the folder of its build.
pub const PAGE_FOLDER: &str = "web";
pub const BUILT: &str = "dist";
/// The source of the page's types. It is outside the page's folder, so it is copied too.
const API: &str = "docs/reference/openapi.json";
/// Installed packages are used again.
const PACKAGES_FOLDER: &str = "node_modules";
const FETCH: &[&str] = &["ci", "--no-audit", "--no-fund", "--silent"];
/// Time limit of one npm step. Most of it is for fetching packages.
const LIMIT: Duration = Duration::from_secs(600);

/// Copies the page's sources out of the tree, and installs the packages they need.
pub fn prepare_page(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let beside = workspace.members()?.target_directory.join(PAGE_FOLDER);
    copy_sources(&workspace.root().join(PAGE_FOLDER), &beside)?;
    let api = workspace.root().join(API);
    let document = std::fs::read(&api).with_context(|| format!("{} cannot be read", api.display()))?;
    put(&beside.join(API), &document)?;
    npm(&beside, FETCH)?;
    Ok(beside)
}

/// Runs an npm step in a folder of the page.
pub fn npm(folder: &Path, step: &[&str]) -> anyhow::Result<()> {
    let finished = process::run_within(Command::new("npm").args(step).current_dir(folder), LIMIT)?;
    if !finished.status.success() {
        bail!("{PAGE_FOLDER}: `npm {}` failed\n{}", step.join(" "), finished.combined_output().trim_end());
    }
    Ok(())
}

/// Copies the page's sources without build results. Packages that were installed earlier stay.
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

/// Every file below a folder by its relative path, except packages and build results.
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

/// A missing file needs no reading or removing.
pub fn ignore_missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

pub fn put(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
}
