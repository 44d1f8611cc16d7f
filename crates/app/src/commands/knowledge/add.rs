//! `baton knowledge add`.

use anyhow::Context;
use baton_ports::index::Collection;
use baton_ports::memory::{Added, Memory as _};
use serde_json::{Map, Value, json};

use super::folder::{self, File};
use crate::cli::KnowledgeAdd;
use crate::commands::json;
use crate::project::{Project, shown};
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(project: &Project, args: &KnowledgeAdd) -> anyhow::Result<Exit> {
    let files = files(project, args)?;
    let metadata: Map<String, Value> = json::pairs(&args.sets)?.into_iter().collect();
    let system = System::open(project)?;
    let mut told = Vec::new();
    for file in &files {
        let document = folder::document(file, args.about.as_deref(), &metadata)?;
        let added = system.memory.add(&system.tenant, Collection::Knowledge, document).await;
        let added = added.with_context(|| format!("{} cannot be added", shown(&file.path)))?;
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
        Added { revision: 1, pieces, .. } => format!("{name}: added, {pieces} pieces"),
        Added { pieces, .. } => format!("{name}: changed, {pieces} pieces"),
    }
}
