//! `baton knowledge eval`: the search, measured on judged queries. In a database in memory, so that nothing else is in it
//! and nothing is left.

use std::path::{Path, PathBuf};

use baton_memory::{Judged, Measured, Query};
use baton_ports::memory::{Memory as _, Mode, Search};
use baton_store::sqlite::{self, Store};
use serde_json::{Value, json};

use super::folder;
use crate::cli::KnowledgeEval;
use crate::project::{Project, read_value, shown};
use crate::wire::System;
use crate::{Exit, Misuse, print};

/// The judged queries of a project.
const FILE: &str = "eval.yaml";
/// Passages asked for: several may be of one section, and ten sections are judged.
const ASKED: usize = 30;
const MODES: [(Mode, &str); 3] = [(Mode::Vector, "vector"), (Mode::Text, "text"), (Mode::Hybrid, "hybrid")];

pub async fn run(project: &Project, args: &KnowledgeEval) -> anyhow::Result<Exit> {
    let file = args.file.clone().unwrap_or_else(|| project.root.join(FILE));
    let judged = judged(&file)?;
    let system = System::over(project, Store::in_memory(sqlite::Options::default())?)?;
    let documents = folder::load(&system.memory, &system.tenant, &documents(&file, &judged)).await?;
    let mut modes = Vec::new();
    for (mode, name) in MODES {
        let mut all = Vec::new();
        for query in &judged.queries {
            all.push(measure(&system, query, mode).await?);
        }
        modes.push((name, all));
    }
    report(args, &judged, documents, &modes);
    Ok(Exit::Completed)
}

fn judged(file: &Path) -> anyhow::Result<Judged> {
    let judged: Judged = serde_json::from_value(read_value(file)?)
        .map_err(|error| Misuse::new(format!("{}: {error}", shown(file))).hint("see docs/guides/knowledge.md"))?;
    if judged.queries.is_empty() {
        return Err(Misuse::new(format!("{} has no queries", shown(file))).into());
    }
    Ok(judged)
}

fn documents(file: &Path, judged: &Judged) -> PathBuf {
    file.parent().unwrap_or(Path::new(".")).join(&judged.documents)
}

async fn measure(system: &System, query: &Query, mode: Mode) -> anyhow::Result<Measured> {
    let search = Search { mode, top: ASKED, ..Search::knowledge(&query.query) };
    let found = system.memory.search(&system.tenant, &search).await?;
    if let Some(reason) = found.degraded {
        anyhow::bail!("the search cannot be measured: {reason}");
    }
    // A piece's last heading names its section; what stands above the first section is the document's own.
    let section = |heading: &str| heading.rsplit(" > ").next().unwrap_or_default().to_owned();
    let sections: Vec<String> =
        found.passages.iter().map(|passage| format!("{}#{}", passage.document, section(&passage.heading))).collect();
    Ok(query.judge(&sections))
}

fn report(args: &KnowledgeEval, judged: &Judged, documents: usize, modes: &[(&str, Vec<Measured>)]) {
    let means: Vec<(&str, Measured)> = modes.iter().map(|(name, all)| (*name, Measured::mean(all))).collect();
    if args.json {
        let mean = |(name, mean): &(&str, Measured)| json!({"mode": name, "ndcg_at_10": mean.ndcg, "recall_at_10": mean.recall, "mrr_at_10": mean.mrr});
        let modes: Vec<Value> = means.iter().map(mean).collect();
        print::pretty(&json!({"documents": documents, "queries": judged.queries.len(), "modes": modes}));
        return;
    }
    if args.each {
        for (place, query) in judged.queries.iter().enumerate() {
            let ndcg = |(_, all): &(&str, Vec<Measured>)| all.get(place).map_or(0.0, |one| one.ndcg);
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
