//! `baton knowledge`: the documents that agents can search.

mod add;
mod eval;
pub mod external_index;
pub mod folder;
mod reindex;
mod search;

use std::path::Path;

use baton_ports::index::{DocumentHeader, DocumentIndex as _, IndexRecipe, MemoryCollection, PAGE_MAX};
use baton_ports::memory::{KnowledgeStore as _, MemoryStore as _};
use serde_json::json;

use self::external_index::KnowledgeStores;
use crate::cli::{KnowledgeCommand, KnowledgeForgetArgs, KnowledgeListArgs, KnowledgeRemoveArgs};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(folder: &Path, args: KnowledgeCommand) -> anyhow::Result<CommandExit> {
    let project = Project::open(folder)?;
    match args {
        KnowledgeCommand::Add(args) => add::run(&project, &args).await,
        KnowledgeCommand::Search(args) => search::run(&project, &args).await,
        KnowledgeCommand::List(args) => list(&project, &args).await,
        KnowledgeCommand::Remove(args) => remove(&project, &args).await,
        KnowledgeCommand::Reindex(args) => reindex::run(&project, &args).await,
        KnowledgeCommand::Forget(args) => forget(&project, &args).await,
        KnowledgeCommand::Eval(args) => eval::run(&project, &args).await,
    }
}

async fn list(project: &Project, args: &KnowledgeListArgs) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let heads = document_heads(&system).await?;
    if args.json {
        print::pretty(&json!(heads));
    } else if heads.is_empty() {
        print::line("no documents; `baton knowledge add` keeps some");
    } else {
        heads.iter().for_each(|head| print::line(row(head)));
    }
    Ok(CommandExit::Completed)
}

/// The stored documents, by name.
async fn document_heads(system: &ProjectSystem) -> anyhow::Result<Vec<DocumentHeader>> {
    let mut heads: Vec<DocumentHeader> = Vec::new();
    loop {
        let after = heads.last().map(|head| head.name.clone());
        let page =
            system.memory.documents(&system.tenant, MemoryCollection::Knowledge, after.as_deref(), PAGE_MAX).await?;
        let is_last = page.len() < PAGE_MAX;
        heads.extend(page);
        if is_last {
            return Ok(heads);
        }
    }
}

/// Describes which part of memory is indexed with outdated settings. `None` if everything is current.
pub async fn outdated(system: &ProjectSystem) -> anyhow::Result<Option<String>> {
    let now = system.memory.recipe();
    for collection in MemoryCollection::ALL {
        let live = system.store.generations(&system.tenant, collection).await?.into_iter().find(|one| one.live);
        if let Some(live) = live.filter(|live| live.pieces > 0 && live.recipe != now) {
            let cut = |recipe: &IndexRecipe| format!("{} in pieces of {}", recipe.space, recipe.chunking);
            let (was, is) = (cut(&live.recipe), cut(&now));
            return Ok(Some(format!("`{collection}` answers by {was}, and the settings say {is}")));
        }
    }
    Ok(None)
}

/// The mark in lists for a document about a person.
fn subject_label(person: &str) -> String {
    format!("  about {person}")
}

fn row(head: &DocumentHeader) -> String {
    let about = head.subject.as_ref().map(|customer| subject_label(customer)).unwrap_or_default();
    let fields = head.metadata.iter().map(|(key, value)| format!("  {key}={value}")).collect::<String>();
    format!("{}  {}{about}{fields}", head.name, head.title)
}

async fn remove(project: &Project, args: &KnowledgeRemoveArgs) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let shelf = KnowledgeStores::of(project, &system);
    for name in &args.names {
        if !shelf.remove(&system.tenant, name).await? {
            let misuse = UsageError::new(format!("there is no document `{name}`"));
            return Err(misuse.hint("`baton knowledge list` names those there are").into());
        }
        print::line(format_args!("{name}: removed"));
    }
    Ok(CommandExit::Completed)
}

async fn forget(project: &Project, args: &KnowledgeForgetArgs) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let forgotten = KnowledgeStores::of(project, &system).forget(&system.tenant, &args.customer).await?;
    if args.json {
        print::pretty(&json!(forgotten));
        return Ok(CommandExit::Completed);
    }
    let counted = [
        print::count_noun(forgotten.knowledge, "document"),
        print::count_words(forgotten.threads, "conversation that is going on", "conversations that are going on"),
        print::count_noun(forgotten.messages, "message"),
        print::count_words(forgotten.conversations, "conversation that is over", "conversations that are over"),
        print::count_noun(forgotten.executions, "execution"),
    ];
    print::line(format_args!("{}: removed {}", args.customer, counted.join(", ")));
    Ok(CommandExit::Completed)
}
