//! `baton knowledge eval`: measures the search with judged queries. Uses a database in memory that contains nothing
//! else and leaves nothing behind.

use std::path::{Path, PathBuf};

use baton_memory::{JudgedQuery, JudgedSet, SearchMetrics};
use baton_ports::memory::{MemoryStore as _, SearchMode, SearchRequest};
use baton_store::sqlite::{self, SqliteStore};
use serde_json::{Value, json};

use super::folder;
use crate::cli::KnowledgeEvalArgs;
use crate::project::{Project, display_path, read_value};
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

/// The judged queries of a project.
const FILE: &str = "eval.yaml";
/// Number of passages to request. Several may belong to one section, and ten sections are judged.
const ASKED: usize = 30;
const MODES: [(SearchMode, &str); 3] =
    [(SearchMode::Vector, "vector"), (SearchMode::Text, "text"), (SearchMode::Hybrid, "hybrid")];

pub async fn run(project: &Project, args: &KnowledgeEvalArgs) -> anyhow::Result<CommandExit> {
    let file = args.file.clone().unwrap_or_else(|| project.root.join(FILE));
    let judged = judged(&file)?;
    let system = ProjectSystem::from_store(project, SqliteStore::in_memory(sqlite::StoreOptions::default())?)?;
    let documents = folder::add_folder(&system.memory, &system.tenant, &documents(&file, &judged)).await?;
    let mut modes = Vec::new();
    for (mode, name) in MODES {
        let mut all = Vec::new();
        for query in &judged.queries {
            all.push(measure(&system, query, mode).await?);
        }
        modes.push((name, all));
    }
    report(args, &judged, documents, &modes);
    Ok(CommandExit::Completed)
}

fn judged(file: &Path) -> anyhow::Result<JudgedSet> {
    let judged: JudgedSet = serde_json::from_value(read_value(file)?).map_err(|error| {
        UsageError::new(format!("{}: {error}", display_path(file))).hint("see docs/guides/knowledge.md")
    })?;
    if judged.queries.is_empty() {
        return Err(UsageError::new(format!("{} has no queries", display_path(file))).into());
    }
    Ok(judged)
}

fn documents(file: &Path, judged: &JudgedSet) -> PathBuf {
    file.parent().unwrap_or(Path::new(".")).join(&judged.documents)
}

async fn measure(system: &ProjectSystem, query: &JudgedQuery, mode: SearchMode) -> anyhow::Result<SearchMetrics> {
    let search = SearchRequest { mode, top: ASKED, ..SearchRequest::knowledge(&query.query) };
    let found = system.memory.search(&system.tenant, &search).await?;
    if let Some(reason) = found.degraded {
        anyhow::bail!("the search cannot be measured: {reason}");
    }
    // The last heading of a chunk names its section. Text above the first section belongs to the document itself.
    let section = |heading: &str| heading.rsplit(" > ").next().unwrap_or_default().to_owned();
    let sections: Vec<String> =
        found.passages.iter().map(|passage| format!("{}#{}", passage.document, section(&passage.heading))).collect();
    Ok(query.judge(&sections))
}

fn report(args: &KnowledgeEvalArgs, judged: &JudgedSet, documents: usize, modes: &[(&str, Vec<SearchMetrics>)]) {
    let means: Vec<(&str, SearchMetrics)> = modes.iter().map(|(name, all)| (*name, SearchMetrics::mean(all))).collect();
    if args.json {
        let mean = |(name, mean): &(&str, SearchMetrics)| json!({"mode": name, "ndcg_at_10": mean.ndcg, "recall_at_10": mean.recall, "mrr_at_10": mean.mrr});
        let modes: Vec<Value> = means.iter().map(mean).collect();
        print::pretty(&json!({"documents": documents, "queries": judged.queries.len(), "modes": modes}));
        return;
    }
    if args.each {
        for (place, query) in judged.queries.iter().enumerate() {
            let ndcg = |(_, all): &(&str, Vec<SearchMetrics>)| all.get(place).map_or(0.0, |one| one.ndcg);
            let row: String = modes.iter().map(|mode| format!("{:>8.3}", ndcg(mode))).collect();
            print::line(format_args!("{row}  {}", query.query));
        }
    }
    print::line(format_args!("{} documents, {} queries", documents, judged.queries.len()));
    print::line(format_args!("{:<8}{:>9}{:>12}{:>9}", "", "nDCG@10", "recall@10", "MRR@10"));
    for (name, mean) in means {
        print::line(format_args!("{name:<8}{:>9.3}{:>12.3}{:>9.3}", mean.ndcg, mean.recall, mean.mrr));
    }
}
