//! Documents in files: Markdown and plain text, by their path.

use std::path::{Path, PathBuf};

use anyhow::Context;
use baton_core::id::TenantId;
use baton_memory::Memory;
use baton_ports::index::{Collection, Document, heading};
use baton_ports::memory::Memory as _;
use serde_json::{Map, Value};

use crate::Misuse;
use crate::project::{read, shown};

/// A project's own folder of documents.
pub const FOLDER: &str = "knowledge";
/// What is read of a folder; a file that is named is read whatever it is called.
const ENDINGS: [&str; 4] = ["md", "markdown", "txt", "text"];
/// Documents one folder may have, and folders within folders.
const FILES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 32;

/// A file, and the name its document goes by: its path within the folder that was named.
pub struct File {
    pub path: PathBuf,
    pub name: String,
}

/// The files a path means, in order.
pub fn files(path: &Path) -> anyhow::Result<Vec<File>> {
    let found =
        std::fs::metadata(path).map_err(|error| Misuse::new(format!("{} cannot be read: {error}", shown(path))))?;
    if found.is_dir() {
        let mut files = Vec::new();
        walk(path, "", 0, &mut files)?;
        files.sort_by(|one, other| one.name.cmp(&other.name));
        return Ok(files);
    }
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(vec![File { path: path.to_owned(), name }])
}

/// Links are not followed: they may lead out of the folder, or round in it.
fn walk(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<File>) -> anyhow::Result<()> {
    let unreadable = || format!("{} cannot be read", shown(folder));
    for entry in std::fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().with_context(unreadable)?);
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && depth < DEPTH_MAX && !name.starts_with('.') {
            walk(&path, &format!("{prefix}{name}/"), depth + 1, files)?;
        } else if kind.is_file() && ENDINGS.iter().any(|end| path.extension().is_some_and(|found| found == *end)) {
            files.push(File { path, name: format!("{prefix}{name}") });
        }
        if files.len() > FILES_MAX {
            return Err(Misuse::new(format!("{} has more than {FILES_MAX} documents", shown(folder))).into());
        }
    }
    Ok(())
}

/// A file's document. Its title is its first heading, else its name.
pub fn document(file: &File, about: Option<&str>, metadata: &Map<String, Value>) -> anyhow::Result<Document> {
    let text = String::from_utf8(read(&file.path)?);
    let text = text.map_err(|_| Misuse::new(format!("{} is not text (UTF-8)", shown(&file.path))))?;
    let heading = heading(&text);
    let stem = Path::new(&file.name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let title = heading.map(str::to_owned).or(stem).unwrap_or_default();
    Ok(Document {
        name: file.name.clone(),
        title,
        subject: about.map(str::to_owned),
        metadata: metadata.clone(),
        text,
        body: Value::Null,
    })
}

/// Keeps all documents of a folder; says how many.
pub async fn load(memory: &Memory, tenant: &TenantId, folder: &Path) -> anyhow::Result<usize> {
    let files = files(folder)?;
    for file in &files {
        memory.add(tenant, Collection::Knowledge, document(file, None, &Map::new())?).await?;
    }
    Ok(files.len())
}
