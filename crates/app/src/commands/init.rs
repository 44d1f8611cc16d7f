//! `baton init`: creates a small project that works.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::InitArgs;
use crate::project::{display_path, shell_quote};
use crate::{CommandExit, UsageError, print};

macro_rules! template {
    ($($to:literal from $from:literal),+ $(,)?) => {
        &[$(($to, include_str!(concat!("../../template/", $from)))),+]
    };
}

/// Files of a new project. Existing files are never overwritten.
const FILES: &[(&str, &str)] = template![
    "README.md" from "README.md",
    ".gitignore" from "gitignore",
    "baton.toml" from "baton.toml",
    "workflows/triage.yaml" from "workflows/triage.yaml",
    "agents/reader.yaml" from "agents/reader.yaml",
    "replies/reader.yaml" from "replies/reader.yaml",
    "replies/gateway.yaml" from "replies/gateway.yaml",
    "tests/triage.yaml" from "tests/triage.yaml",
];

/// Workflow templates by name, in YAML.
pub fn workflows() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().filter_map(|(file, text)| Some((file.strip_prefix("workflows/")?.strip_suffix(".yaml")?, *text)))
}

pub fn run(args: &InitArgs) -> anyhow::Result<CommandExit> {
    let folder = &args.folder;
    for file in write_project(folder)? {
        print::line(format_args!("  {}", display_path(&file)));
    }
    let at = shell_quote(&display_path(folder));
    print::line("\nNext:");
    print::line(format_args!(
        "  baton -C {at} run triage --set message=\"The shop is down\" --set email=ana@example.com"
    ));
    print::line(format_args!("  baton -C {at} test"));
    Ok(CommandExit::Completed)
}

/// Writes a new project into a folder that is empty or does not exist. Returns the paths of its files.
pub fn write_project(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    refuse_used(folder)?;
    let mut files = Vec::with_capacity(FILES.len());
    for (name, text) in FILES {
        let file = folder.join(name);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", display_path(parent)))?;
        }
        std::fs::write(&file, text).with_context(|| format!("{} cannot be written", display_path(&file)))?;
        files.push(file);
    }
    Ok(files)
}

/// The folder in which earlier commands may have created their database.
const DATA_FOLDER: &str = ".baton";

fn refuse_used(folder: &Path) -> anyhow::Result<()> {
    match std::fs::read_dir(folder) {
        Ok(entries) => match entries.flatten().find(|entry| entry.file_name() != DATA_FOLDER) {
            None => Ok(()),
            Some(_) => Err(UsageError::new(format!("{} is not empty", display_path(folder)))
                .hint("name a folder that is new or empty")
                .into()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            Err(UsageError::new(format!("{} is a file", display_path(folder)))
                .hint("name a folder that is new or empty")
                .into())
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", display_path(folder))),
    }
}
