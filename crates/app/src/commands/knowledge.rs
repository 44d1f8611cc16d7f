//! `baton knowledge`: what agents know.

mod add;
mod eval;
pub mod folder;
pub mod outside;
mod reindex;
mod search;

use std::path::Path;

use baton_ports::index::{Collection, Head, Index as _, PAGE_MAX, Recipe};
use baton_ports::memory::{Knowledge as _, Memory as _};
use serde_json::json;

use self::outside::Shelf;
use crate::cli::{Knowledge, KnowledgeForget, KnowledgeList, KnowledgeRemove};
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(folder: &Path, args: Knowledge) -> anyhow::Result<Exit> {
    let project = Project::open(folder)?;
    match args {
        Knowledge::Add(args) => add::run(&project, &args).await,
        Knowledge::Search(args) => search::run(&project, &args).await,
        Knowledge::List(args) => list(&project, &args).await,
        Knowledge::Remove(args) => remove(&project, &args).await,
        Knowledge::Reindex(args) => reindex::run(&project, &args).await,
        Knowledge::Forget(args) => forget(&project, &args).await,
        Knowledge::Eval(args) => eval::run(&project, &args).await,
    }
}

async fn list(project: &Project, args: &KnowledgeList) -> anyhow::Result<Exit> {
    let system = System::open(project)?;
    let heads = heads(&system).await?;
    if args.json {
        print::pretty(&json!(heads));
    } else if heads.is_empty() {
        print::line("no documents; `baton knowledge add` keeps some");
    } else {
        heads.iter().for_each(|head| print::line(row(head)));
    }
    Ok(Exit::Completed)
}

/// The documents that are kept, by name.
async fn heads(system: &System) -> anyhow::Result<Vec<Head>> {
    let mut heads: Vec<Head> = Vec::new();
    loop {
        let after = heads.last().map(|head| head.name.clone());
        let page = system.memory.documents(&system.tenant, Collection::Knowledge, after.as_deref(), PAGE_MAX).await?;
        let is_last = page.len() < PAGE_MAX;
        heads.extend(page);
        if is_last {
            return Ok(heads);
        }
    }
}

/// What of memory answers by other settings than those of now, in words; nothing where all answers by them.
pub async fn outdated(system: &System) -> anyhow::Result<Option<String>> {
    let now = system.memory.recipe();
    for collection in Collection::ALL {
        let live = system.store.generations(&system.tenant, collection).await?.into_iter().find(|one| one.live);
        if let Some(live) = live.filter(|live| live.pieces > 0 && live.recipe != now) {
            let cut = |recipe: &Recipe| format!("{} in pieces of {}", recipe.space, recipe.chunking);
            let (was, is) = (cut(&live.recipe), cut(&now));
            return Ok(Some(format!("`{collection}` answers by {was}, and the settings say {is}")));
        }
    }
    Ok(None)
}

/// How lists mark what is kept about a person.
fn about(person: &str) -> String {
    format!("  about {person}")
}

fn row(head: &Head) -> String {
    let about = head.subject.as_ref().map(|customer| about(customer)).unwrap_or_default();
    let fields = head.metadata.iter().map(|(key, value)| format!("  {key}={value}")).collect::<String>();
    format!("{}  {}{about}{fields}", head.name, head.title)
}

async fn remove(project: &Project, args: &KnowledgeRemove) -> anyhow::Result<Exit> {
    let system = System::open(project)?;
    let shelf = Shelf::of(project, &system);
    for name in &args.names {
        if !shelf.remove(&system.tenant, name).await? {
            let misuse = Misuse::new(format!("there is no document `{name}`"));
            return Err(misuse.hint("`baton knowledge list` names those there are").into());
        }
        print::line(format_args!("{name}: removed"));
    }
    Ok(Exit::Completed)
}

async fn forget(project: &Project, args: &KnowledgeForget) -> anyhow::Result<Exit> {
    let system = System::open(project)?;
    let forgotten = Shelf::of(project, &system).forget(&system.tenant, &args.customer).await?;
    if args.json {
        print::pretty(&json!(forgotten));
        return Ok(Exit::Completed);
    }
    let counted = [
        print::counted(forgotten.knowledge, "document"),
        print::counted_as(forgotten.threads, "conversation that is going on", "conversations that are going on"),
        print::counted(forgotten.messages, "message"),
        print::counted_as(forgotten.conversations, "conversation that is over", "conversations that are over"),
        print::counted(forgotten.executions, "execution"),
    ];
    print::line(format_args!("{}: removed {}", args.customer, counted.join(", ")));
    Ok(Exit::Completed)
}
