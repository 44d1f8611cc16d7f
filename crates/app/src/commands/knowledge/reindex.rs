//! `baton knowledge reindex`.

use baton_core::money::Usd;
use baton_memory::{EmbedderProvider, MemoryConfig};
use baton_ports::index::{DocumentIndex as _, MemoryCollection};
use baton_ports::memory::{MemoryStore as _, ReindexResult};
use serde_json::json;

use crate::cli::KnowledgeReindexArgs;
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, print};

/// Indexes everything, not only knowledge, because all of memory uses one embedder.
pub async fn run(project: &Project, args: &KnowledgeReindexArgs) -> anyhow::Result<CommandExit> {
    let system = ProjectSystem::open(project)?;
    let costs = project.settings.memory.embedder == EmbedderProvider::OpenAi;
    if costs {
        print_price(&project.settings.memory, &system).await?;
    }
    system.settle_after(build(args, &system, costs)).await
}

/// Prints the approximate cost of the new index before any request. Assumes the current number of chunks at their
/// maximum size.
async fn print_price(config: &MemoryConfig, system: &ProjectSystem) -> anyhow::Result<()> {
    let mut pieces = 0;
    for collection in MemoryCollection::ALL {
        let all = system.store.generations(&system.tenant, collection).await?;
        pieces += all.iter().find(|one| one.live).map_or(0, |live| live.pieces);
    }
    let tokens = pieces.saturating_mul(config.chunk_tokens as u64);
    let price = match system.embeddings.price(&system.tenant, &config.model, tokens) {
        Some(price) => format!("some {price}"),
        None => "at a price that nobody states".to_owned(),
    };
    let pieces = print::count_words(pieces, "piece is", "pieces are");
    print::note(format_args!("note: {pieces} embedded anew by `{}`, {price}", config.model));
    Ok(())
}

async fn build(args: &KnowledgeReindexArgs, system: &ProjectSystem, costs: bool) -> anyhow::Result<CommandExit> {
    let mut all = Vec::new();
    for collection in MemoryCollection::ALL {
        let before = system.embeddings.paid();
        let built = system.memory.reindex(&system.tenant, collection).await?;
        let cost = costs.then(|| system.embeddings.paid() - before);
        if !args.json {
            print::line(row(&built, cost));
        }
        let mut told = json!(built);
        told["cost_usd"] = json!(cost.unwrap_or_default().as_f64());
        all.push(told);
    }
    if args.json {
        print::pretty(&json!(all));
    }
    Ok(CommandExit::Completed)
}

fn row(built: &ReindexResult, cost: Option<Usd>) -> String {
    let count = |count: u64, what| print::count_noun(usize::try_from(count).unwrap_or(usize::MAX), what);
    let (documents, pieces) = (count(built.documents, "document"), count(built.pieces, "piece"));
    let cost = cost.map(|cost| format!(", for {cost}")).unwrap_or_default();
    format!("{}: {documents} in {pieces}, by {}{cost}", built.collection, built.embedder)
}
