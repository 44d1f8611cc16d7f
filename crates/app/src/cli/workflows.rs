//! Arguments of `baton workflows`, `baton export` and `baton import`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum WorkflowsCommand {
    /// The versions of a workflow, newest first.
    Versions {
        /// The workflow's name.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The workflow's name.
    pub name: String,
    /// The revision; the newest unless told. 0 is what the project's file says now.
    #[arg(long)]
    pub revision: Option<u32>,
    /// YAML or JSON; by the file's name where that tells, else YAML.
    #[arg(long)]
    pub format: Option<WorkflowFormatArg>,
    /// The file to write, which must not be there yet; standard output unless told.
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct WorkflowImportArgs {
    /// The file, or - for standard input.
    pub file: String,
    /// The name to take it in under, in place of its own.
    #[arg(long)]
    pub name: Option<String>,
    /// Take the place of the project's file of that name; its earlier versions stay.
    #[arg(long)]
    pub replace: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WorkflowFormatArg {
    Yaml,
    Json,
}
