//! `baton knowledge add`.

use std::collections::BTreeMap;

use anyhow::Context;
use baton_ports::index::Collection;
use baton_ports::memory::{Added, Memory as _, Unkept};
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
    refuse_other_owners(system, files, args.about.as_deref()).await?;
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

/// A document does not become somebody else's, or everybody's: nothing is added where one of these would.
async fn refuse_other_owners(system: &System, files: &[File], about: Option<&str>) -> anyhow::Result<()> {
    let known: BTreeMap<String, Option<String>> =
        super::heads(system).await?.into_iter().map(|head| (head.name, head.subject)).collect();
    for file in files {
        let Some(kept) = known.get(&file.name) else { continue };
        let Err(unkept) = Unkept::other_owner(&file.name, kept.as_deref(), about) else { continue };
        let way = match kept {
            Some(customer) => format!("say --about {}; if it is not {customer}'s any more", in_shell(customer)),
            None => "leave out --about; if it is not everybody's any more".to_owned(),
        };
        let (name, command) = (in_shell(&file.name), &system.command);
        let hint = format!("{way}, remove it first: {command} knowledge remove {name}");
        return Err(Misuse::new(unkept.to_string()).hint(hint).into());
    }
    Ok(())
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
