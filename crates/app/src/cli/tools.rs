//! `baton tools`: what may be asked of it.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Tools {
    /// The tools there are: shipped, defined in `tools/`, and out of OpenAPI documents.
    List(ToolsList),
    /// One tool: its arguments, what it may do, how it is undone.
    Show {
        /// Its name.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// What of the project's OpenAPI documents no tool can use, or not fully.
    Unsupported {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct ToolsList {
    /// Only those whose names or descriptions have all of these words.
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// Only those of a category: `calendar`, `communication`, `payment`, …
    #[arg(long)]
    pub category: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
