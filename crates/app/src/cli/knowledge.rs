//! Arguments of `baton knowledge`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Maximum number of passages that one search returns.
const TOP_MAX: i64 = 50;

#[derive(Debug, Subcommand)]
pub enum KnowledgeCommand {
    /// Keep documents, and make them findable: files, or all Markdown and text of folders.
    Add(KnowledgeAddArgs),
    /// Search what is kept, as agents do.
    Search(KnowledgeSearchArgs),
    /// The documents that are kept.
    List(KnowledgeListArgs),
    /// Take documents away.
    Remove(KnowledgeRemoveArgs),
    /// Build everything anew by the settings of now, while it goes on answering.
    Reindex(KnowledgeReindexArgs),
    /// Remove everything memory holds about a customer.
    Forget(KnowledgeForgetArgs),
    /// Measure the search on judged queries: by vector, by word, and by both.
    Eval(KnowledgeEvalArgs),
}

#[derive(Debug, Args)]
pub struct KnowledgeAddArgs {
    /// Files and folders; the project's `knowledge/` unless told.
    pub paths: Vec<PathBuf>,
    /// A field of the documents' metadata, for filters; may be repeated.
    #[arg(long = "set", short = 's', value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The customer they are about: only runs for that customer find them.
    #[arg(long, value_name = "CUSTOMER")]
    pub about: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct KnowledgeSearchArgs {
    pub query: String,
    /// How many passages.
    #[arg(long, short = 'k', default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=TOP_MAX))]
    pub top: u16,
    #[arg(long, value_enum, default_value_t = SearchModeArg::Hybrid)]
    pub mode: SearchModeArg,
    /// Only documents whose metadata has this; may be repeated.
    #[arg(long = "where", value_name = "KEY=VALUE")]
    pub filters: Vec<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SearchModeArg {
    /// Both, fused.
    Hybrid,
    /// By likeness alone.
    Vector,
    /// By words alone.
    Text,
}

#[derive(Debug, Args)]
pub struct KnowledgeListArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct KnowledgeRemoveArgs {
    /// Their names, as `knowledge list` prints them.
    #[arg(required = true)]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct KnowledgeReindexArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct KnowledgeForgetArgs {
    /// The customer's id, as runs carry it in `user_id`.
    pub customer: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct KnowledgeEvalArgs {
    /// The judged queries; the project's `eval.yaml` unless told.
    pub file: Option<PathBuf>,
    /// Show what each query came to.
    #[arg(long)]
    pub each: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
