//! Reads files with a size limit. Errors name the file.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use baton_core::definition;
use serde_json::Value;

use crate::UsageError;

/// Maximum number of files of one kind in a project.
const FILES_MAX: usize = 5_000;
/// Maximum size of a file or of standard input, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// The argument that means standard input in place of a file.
const STDIN: &str = "-";

/// YAML and JSON files of a folder, ordered by name. Empty if the folder does not exist.
pub fn yaml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    files(folder, &["yaml", "yml", "json"])
}

/// Files of a folder with one of these name endings, ordered by name. Empty if the folder does not exist.
pub(super) fn files(folder: &Path, ends: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", folder.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_ours = path.extension().is_some_and(|end| ends.iter().any(|known| end == *known));
        if is_ours && path.is_file() {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(UsageError::new(format!("{} has more than {FILES_MAX} files", folder.display())).into());
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a file within the size limit. Reads only regular files, because a device or a pipe may never end.
pub fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| UsageError::new(format!("{} cannot be read: {error}", display_path(file)));
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(UsageError::new(format!("{} is no file", display_path(file))).into());
    }
    bounded(std::fs::File::open(file).map_err(unreadable)?, &display_path(file))
}

fn bounded(from: impl Read, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = from.take(FILE_BYTES_MAX + 1).read_to_end(&mut text);
    read.map_err(|error| UsageError::new(format!("{name} cannot be read: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(UsageError::new(format!("{name} is larger than {FILE_BYTES_MAX} bytes")).into());
    }
    Ok(text)
}

/// Reads a YAML or JSON file as plain JSON.
pub fn read_value(file: &Path) -> anyhow::Result<Value> {
    parse_value(&read(file)?, &display_path(file))
}

/// Reads the value of `@FILE` on a command line. `@-` is standard input.
pub fn read_argument(file: &str) -> anyhow::Result<Value> {
    let (text, name) = match file {
        STDIN => (bounded(std::io::stdin().lock(), "standard input")?, "standard input".to_owned()),
        file => (read(Path::new(file))?, display_path(Path::new(file))),
    };
    // Files that programs write are JSON, and may be larger than those that people write.
    serde_json::from_slice(&text).or_else(|_| parse_value(&text, &name))
}

/// Parses YAML or JSON as plain JSON. `name` identifies the source in errors.
pub fn parse_value(text: &[u8], name: &str) -> anyhow::Result<Value> {
    definition::source::read(text).map(|tree| tree.to_json()).map_err(|found| {
        let source = String::from_utf8_lossy(text);
        match found.first() {
            Some(first) => UsageError::from_diagnostic(first, name, &source).into(),
            None => UsageError::new(format!("{name} cannot be read")).into(),
        }
    })
}

/// Caches a response of an external source. If the write fails, the source is asked again next time.
pub(super) fn write_cache(path: &Path, text: &[u8]) {
    let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
        // Another process may read the file at the same time. It sees the old or the new version, never a partial one.
        let beside = path.with_extension(format!("{}.part", std::process::id()));
        std::fs::write(&beside, text)?;
        std::fs::rename(&beside, path)
    });
    if let Err(error) = written {
        tracing::debug!(%error, path = display_path(path), "what was asked could not be kept");
    }
}

/// A path as the user wrote it, without a leading `./`.
pub fn display_path(file: &Path) -> String {
    file.strip_prefix(".").ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(file).display().to_string()
}
