//! Documents in files: Markdown and plain text, named by their path.

use std::path::{Path, PathBuf};

use anyhow::Context;
use baton_core::id::TenantId;
use baton_memory::MemoryService;
use baton_ports::index::{MemoryCollection, SourceDocument, heading};
use baton_ports::memory::MemoryStore as _;
use serde_json::{Map, Value};

use crate::UsageError;
use crate::project::{display_path, read};

/// A project's own folder of documents.
pub const FOLDER: &str = "knowledge";
/// File extensions that are read in a folder. A file that is named explicitly is read whatever its extension.
const EXTENSIONS: [&str; 4] = ["md", "markdown", "txt", "text"];
/// Maximum number of documents in one folder, and maximum depth of nested folders.
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 32;

/// A file and the name of its document: the path relative to the given folder.
pub struct KnowledgeFile {
    pub path: PathBuf,
    pub name: String,
}

/// The files of a path, in order.
pub fn files(path: &Path) -> anyhow::Result<Vec<KnowledgeFile>> {
    let found = std::fs::metadata(path)
        .map_err(|error| UsageError::new(format!("{} cannot be read: {error}", display_path(path))))?;
    if found.is_dir() {
        let mut files = Vec::new();
        walk(path, "", 0, &mut files)?;
        files.sort_by(|one, other| one.name.cmp(&other.name));
        return Ok(files);
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(vec![KnowledgeFile { path: path.to_owned(), name }])
}

/// Symbolic links are not followed: they may point out of the folder or form a cycle.
fn walk(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<KnowledgeFile>) -> anyhow::Result<()> {
    let unreadable = || format!("{} cannot be read", display_path(folder));
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().with_context(unreadable)?);
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && depth < DEPTH_MAX && !name.starts_with('.') {
            walk(&path, &format!("{prefix}{name}/"), depth + 1, files)?;
        } else if kind.is_file() && EXTENSIONS.iter().any(|end| path.extension().is_some_and(|found| found == *end)) {
            files.push(KnowledgeFile { path, name: format!("{prefix}{name}") });
        }
        if files.len() > FILES_MAX {
            return Err(UsageError::new(format!("{} has more than {FILES_MAX} documents", display_path(folder))).into());
        }
    }
    Ok(())
}

/// Reads a file as a document. The title is its first heading, else its name.
pub fn document(
    file: &KnowledgeFile,
    about: Option<&str>,
    metadata: &Map<String, Value>,
) -> anyhow::Result<SourceDocument> {
    let text = String::from_utf8(read(&file.path)?);
    let text = text.map_err(|_| UsageError::new(format!("{} is not text (UTF-8)", display_path(&file.path))))?;
    let heading = heading(&text);
    let stem = Path::new(&file.name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let title = heading.map(str::to_owned).or(stem).unwrap_or_default();
    Ok(SourceDocument {
        name: file.name.clone(),
        title,
        subject: about.map(str::to_owned),
        metadata: metadata.clone(),
        text,
        body: Value::Null,
    })
}

/// Adds all documents of a folder. Returns their number.
pub async fn add_folder(memory: &MemoryService, tenant: &TenantId, folder: &Path) -> anyhow::Result<usize> {
    let files = files(folder)?;
    for file in &files {
        memory.add(tenant, MemoryCollection::Knowledge, document(file, None, &Map::new())?).await?;
    }
    Ok(files.len())
}
