//! `baton knowledge reindex`.

use baton_ports::index::Collection;
use baton_ports::memory::{Memory as _, Reindexed};
use serde_json::json;

use crate::cli::KnowledgeReindex;
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, print};

/// Everything, not knowledge alone: one embedder answers for all of memory.
pub async fn run(project: &Project, args: &KnowledgeReindex) -> anyhow::Result<Exit> {
    let system = System::open(project)?;
    system.paying(build(args, &system)).await
}

async fn build(args: &KnowledgeReindex, system: &System) -> anyhow::Result<Exit> {
    let mut all = Vec::new();
    for collection in Collection::ALL {
        let built = system.memory.reindex(&system.tenant, collection).await?;
        if !args.json {
            print::line(row(&built));
        }
        all.push(built);
    }
    if args.json {
        print::pretty(&json!(all));
    }
    Ok(Exit::Completed)
}

fn row(built: &Reindexed) -> String {
    let count = |count: u64, what| print::counted(usize::try_from(count).unwrap_or(usize::MAX), what);
    let (documents, pieces) = (count(built.documents, "document"), count(built.pieces, "piece"));
    format!("{}: {documents} in {pieces}, by {}", built.collection, built.embedder)
}
