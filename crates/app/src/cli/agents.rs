//! Arguments of `baton agents` and `baton generate`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum AgentsCommand {
    /// The tenant's agents, the cheapest first, with how each has done.
    List(AgentsListArgs),
    /// One agent: its definition, and how it has done.
    Show {
        /// Its name.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make agents known that no file of the project defines.
    Register {
        /// A file like those in `agents/`.
        file: PathBuf,
    },
    /// Forget a registered agent. Versions that name it keep it.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct AgentsListArgs {
    /// Only those that are good for this: `tool_calling`, `structured_output`, `code`, …
    #[arg(long)]
    pub capability: Option<String>,
    /// Only those that are no dearer.
    #[arg(long, value_enum, value_name = "TIER")]
    pub cost_tier: Option<CostClassArg>,
    /// Only those that are well.
    #[arg(long)]
    pub healthy: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CostClassArg {
    Low,
    Medium,
    High,
}

#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What the workflow is to achieve, in your own words.
    pub goal: String,
    /// What it is called; the model names it where left out.
    #[arg(long)]
    pub name: Option<String>,
    /// Print it; write no file.
    #[arg(long)]
    pub print: bool,
    /// What came of it, as JSON.
    #[arg(long)]
    pub json: bool,
}
