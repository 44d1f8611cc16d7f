//! A project folder: what a team keeps in git.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use baton_core::agent::Agent;
use baton_core::bundle::Hash;
use baton_core::definition::{self, Catalog, Checked, Diagnostic, Severity};
use serde_json::Value;

use crate::Misuse;
use crate::config::{self, Settings};

/// Files of one kind a project may have.
const FILES_MAX: usize = 5_000;
/// Bytes of one file that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

pub struct Project {
    pub root: PathBuf,
    pub settings: Settings,
    pub agents: BTreeMap<String, Agent>,
    pub tools: Vec<baton_tools::Definition>,
    pub replies: Vec<baton_models::ScriptFile>,
    pub workflows: Vec<Source>,
}

/// A workflow file, as it was read.
pub struct Source {
    pub file: PathBuf,
    pub text: Vec<u8>,
}

/// A workflow that may run, with all its subworkflows sealed.
pub struct Ready {
    pub name: String,
    pub label: String,
    pub hash: Hash,
    pub text: Vec<u8>,
}

impl Project {
    /// Reads everything but the workflows' meaning. Without a `baton.toml` the defaults hold.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let settings = config::load(root)?;
        let mut agents = baton_engine::shipped_agents();
        for file in yaml_files(&root.join("agents"))? {
            for (name, agent) in agents_of(&file)? {
                agents.insert(name, agent);
            }
        }
        let mut tools = Vec::new();
        for file in yaml_files(&root.join("tools"))? {
            tools.extend(tools_of(&file)?);
        }
        let mut replies = Vec::new();
        for file in yaml_files(&root.join("replies"))? {
            replies.push(baton_models::ScriptFile { name: shown(&file), document: read_value(&file)? });
        }
        let mut workflows = Vec::new();
        for file in yaml_files(&root.join("workflows"))? {
            workflows.push(Source { text: read(&file)?, file });
        }
        Ok(Self { root: root.to_owned(), settings, agents, tools, replies, workflows })
    }

    /// Checks every workflow, those that others run first. Each file with what was found in it.
    pub fn check(&self, catalog: &mut Catalog) -> Vec<(&Source, Checked)> {
        let texts = self.workflows.iter().map(|source| source.text.as_slice());
        self.workflows.iter().zip(definition::check_all(texts, catalog)).collect()
    }

    /// Every workflow ready to run; refuses with all findings if one is not.
    pub fn ready(&self, catalog: &mut Catalog) -> anyhow::Result<Vec<Ready>> {
        let mut ready = Vec::new();
        let mut wrong = String::new();
        for (source, checked) in self.check(catalog) {
            match checked.ready() {
                Some((workflow, bundle)) => {
                    let (text, hash) = bundle.seal()?;
                    ready.push(Ready { name: workflow.name.clone(), label: workflow.version.clone(), hash, text });
                }
                None => {
                    let stops = |found: &&Diagnostic| found.severity <= Severity::Draft;
                    for found in checked.diagnostics.iter().filter(stops) {
                        wrong.push_str(&definition::render(found, &shown(&source.file), &source.shown_text()));
                        wrong.push('\n');
                    }
                }
            }
        }
        if wrong.is_empty() {
            return Ok(ready);
        }
        Err(Misuse::new(format!("the project has definitions that cannot run\n\n{}", wrong.trim_end())).into())
    }
}

impl Source {
    pub fn shown_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }
}

/// YAML and JSON files of a folder, by name; none where there is no folder.
pub fn yaml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", folder.display())),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_ours = path.extension().is_some_and(|end| ["yaml", "yml", "json"].iter().any(|known| end == *known));
        if is_ours && path.is_file() {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            return Err(Misuse::new(format!("{} has more than {FILES_MAX} files", folder.display())).into());
        }
    }
    files.sort();
    Ok(files)
}

/// A file's bytes, within the limit. What is no file is not read: a device or a pipe may never end.
pub fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = |error: std::io::Error| Misuse::new(format!("{} cannot be read: {error}", shown(file)));
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(Misuse::new(format!("{} is no file", shown(file))).into());
    }
    let mut text = Vec::new();
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Misuse::new(format!("{} is larger than {FILE_BYTES_MAX} bytes", shown(file))).into());
    }
    Ok(text)
}

/// A YAML or JSON file as plain JSON.
pub fn read_value(file: &Path) -> anyhow::Result<Value> {
    let text = read(file)?;
    definition::source::read(&text).map(|tree| tree.to_json()).map_err(|found| {
        let source = String::from_utf8_lossy(&text);
        let all: Vec<String> = found.iter().map(|found| definition::render(found, &shown(file), &source)).collect();
        Misuse::new(all.join("\n")).into()
    })
}

/// One agent, or several under `agents:`; a file's name is its agent's where it brings none.
fn agents_of(file: &Path) -> anyhow::Result<Vec<(String, Agent)>> {
    let document = read_value(file)?;
    let many = match document.get("agents") {
        Some(Value::Array(agents)) => agents.clone(),
        Some(_) => return Err(Misuse::new(format!("{}: `agents` is a list", shown(file))).into()),
        None => vec![document],
    };
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    many.into_iter()
        .map(|mut agent| {
            if let Some(fields) = agent.as_object_mut() {
                fields.entry("name").or_insert_with(|| Value::String(stem.clone()));
            }
            let agent: Agent = serde_json::from_value(agent).map_err(|error| {
                Misuse::new(format!("{}: {error}", shown(file))).hint("see docs/concepts/agents.md")
            })?;
            Ok((agent.name.clone(), agent))
        })
        .collect()
}

fn tools_of(file: &Path) -> anyhow::Result<Vec<baton_tools::Definition>> {
    let document = read_value(file)?;
    baton_tools::Definition::parse(document).map_err(|error| Misuse::new(format!("{}: {error}", shown(file))).into())
}

/// A path as people wrote it, without the dot that stands for where they are.
pub fn shown(file: &Path) -> String {
    file.strip_prefix(".").ok().filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(file).display().to_string()
}
