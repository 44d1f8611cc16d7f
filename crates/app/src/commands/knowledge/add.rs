//! `baton knowledge add`.

use std::collections::BTreeMap;

use anyhow::Context;
use baton_ports::index::MemoryCollection;
use baton_ports::memory::{AddResult, KnowledgeError, MemoryStore as _};
use serde_json::{Map, Value, json};

use super::external_index::KnowledgeIndex;
use super::folder::{self, KnowledgeFile};
use crate::cli::KnowledgeAddArgs;
use crate::commands::json;
use crate::project::{Project, display_path, shell_quote};
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(project: &Project, args: &KnowledgeAddArgs) -> anyhow::Result<CommandExit> {
    let files = files(project, args)?;
    let metadata: Map<String, Value> = json::pairs(&args.sets)?.into_iter().collect();
    let system = ProjectSystem::open(project)?;
    system.settle_after(add_files(project, args, &system, &files, &metadata)).await
}

async fn add_files(
    project: &Project,
    args: &KnowledgeAddArgs,
    system: &ProjectSystem,
    files: &[KnowledgeFile],
    metadata: &Map<String, Value>,
) -> anyhow::Result<CommandExit> {
    check_subjects(system, files, args.about.as_deref()).await?;
    let outside = KnowledgeIndex::of(project, system)?;
    let mut told = Vec::new();
    for file in files {
        let document = folder::document(file, args.about.as_deref(), metadata)?;
        let added = system.memory.add(&system.tenant, MemoryCollection::Knowledge, document.clone()).await;
        let added = added.with_context(|| format!("{} cannot be added", display_path(&file.path)))?;
        // A document that is unchanged here may be missing in the external index.
        outside.keep(&document).await?;
        if args.json {
            told.push(json!({
                "document": file.name, "revision": added.revision, "pieces": added.pieces, "unchanged": added.unchanged,
            }));
        } else {
            print::line(row(&file.name, added));
        }
    }
    if args.json {
        print::pretty(&Value::Array(told));
    }
    Ok(CommandExit::Completed)
}

/// Checks that no document changes its subject, to another person or to everybody. If one would, nothing is added.
async fn check_subjects(system: &ProjectSystem, files: &[KnowledgeFile], about: Option<&str>) -> anyhow::Result<()> {
    let known: BTreeMap<String, Option<String>> =
        super::document_heads(system).await?.into_iter().map(|head| (head.name, head.subject)).collect();
    for file in files {
        let Some(kept) = known.get(&file.name) else { continue };
        let Err(unkept) = KnowledgeError::check_subject(&file.name, kept.as_deref(), about) else { continue };
        let way = match kept {
            Some(customer) => format!("say --about {}; if it is not {customer}'s any more", shell_quote(customer)),
            None => "leave out --about; if it is not everybody's any more".to_owned(),
        };
        let (name, command) = (shell_quote(&file.name), &system.command);
        let hint = format!("{way}, remove it first: {command} knowledge remove {name}");
        return Err(UsageError::new(unkept.to_string()).hint(hint).into());
    }
    Ok(())
}

fn files(project: &Project, args: &KnowledgeAddArgs) -> anyhow::Result<Vec<KnowledgeFile>> {
    let own = project.root.join(folder::FOLDER);
    let paths = if args.paths.is_empty() { std::slice::from_ref(&own) } else { &args.paths };
    let mut files = Vec::new();
    for path in paths {
        files.extend(folder::files(path)?);
    }
    if files.is_empty() {
        return Err(UsageError::new("there is nothing to add")
            .hint("name files, or folders with Markdown or text")
            .into());
    }
    Ok(files)
}

fn row(name: &str, added: AddResult) -> String {
    match added {
        AddResult { unchanged: true, .. } => format!("{name}: unchanged"),
        AddResult { revision: 1, pieces, .. } => format!("{name}: added, {}", print::count_noun(pieces, "piece")),
        AddResult { pieces, .. } => format!("{name}: changed, {}", print::count_noun(pieces, "piece")),
    }
}
