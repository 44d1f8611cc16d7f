//! `baton knowledge add`.

use std::collections::BTreeMap;

use anyhow::Context;
use baton_ports::index::Collection;
use baton_ports::memory::{Added, Memory as _};
use serde_json::{Map, Value, json};

use super::folder::{self, File};
use super::outside::Outside;
use crate::cli::KnowledgeAdd;
use crate::commands::json;
use crate::project::{Project, in_shell, shown};
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(project: &Project, args: &KnowledgeAdd) -> anyhow::Result<Exit> {
    let files = files(project, args)?;
    let metadata: Map<String, Value> = json::pairs(&args.sets)?.into_iter().collect();
    let system = System::open(project)?;
    system.paying(keep(project, args, &system, &files, &metadata)).await
}

async fn keep(
    project: &Project,
    args: &KnowledgeAdd,
    system: &System,
    files: &[File],
    metadata: &Map<String, Value>,
) -> anyhow::Result<Exit> {
    if args.about.is_none() {
        refuse_to_open(system, files).await?;
    }
    let outside = Outside::of(project, system)?;
    let mut told = Vec::new();
    for file in files {
        let document = folder::document(file, args.about.as_deref(), metadata)?;
        let added = system.memory.add(&system.tenant, Collection::Knowledge, document.clone()).await;
        let added = added.with_context(|| format!("{} cannot be added", shown(&file.path)))?;
        // One that is unchanged here may not have come to be there.
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
    Ok(Exit::Completed)
}

/// A document that is about somebody does not become everybody's because a word was left out.
async fn refuse_to_open(system: &System, files: &[File]) -> anyhow::Result<()> {
    let about: BTreeMap<String, String> =
        super::heads(system).await?.into_iter().filter_map(|head| Some((head.name, head.subject?))).collect();
    let Some((file, customer)) = files.iter().find_map(|file| Some((file, about.get(&file.name)?))) else {
        return Ok(());
    };
    let (name, command) = (in_shell(&file.name), &system.command);
    let message = format!("`{}` is kept about {customer}: without --about everybody would find it", file.name);
    let hint = format!(
        "say --about {}; if it is everybody's now, remove it first: {command} knowledge remove {name}",
        in_shell(customer)
    );
    Err(Misuse::new(message).hint(hint).into())
}

fn files(project: &Project, args: &KnowledgeAdd) -> anyhow::Result<Vec<File>> {
    let own = project.root.join(folder::FOLDER);
    let paths = if args.paths.is_empty() { std::slice::from_ref(&own) } else { &args.paths };
    let mut files = Vec::new();
    for path in paths {
        files.extend(folder::files(path)?);
    }
    if files.is_empty() {
        return Err(Misuse::new("there is nothing to add").hint("name files, or folders with Markdown or text").into());
    }
    Ok(files)
}

fn row(name: &str, added: Added) -> String {
    match added {
        Added { unchanged: true, .. } => format!("{name}: unchanged"),
        Added { revision: 1, pieces, .. } => format!("{name}: added, {}", print::counted(pieces, "piece")),
        Added { pieces, .. } => format!("{name}: changed, {}", print::counted(pieces, "piece")),
    }
}
