//! `baton reference`: reference pages that the binary generates about itself, committed under `docs/`.

mod cli;
mod errors;

use crate::cli::ReferencePageArg;
use crate::{CommandExit, print};

#[expect(clippy::unnecessary_wraps, reason = "one shape for all verbs")]
pub fn run(page: ReferencePageArg) -> anyhow::Result<CommandExit> {
    match page {
        ReferencePageArg::WorkflowSchema => print::pretty(&baton_core::definition::schema()),
        ReferencePageArg::Cli => print::line(cli::page().trim_end()),
        ReferencePageArg::Openapi => print::line(baton_server::document().trim_end()),
        ReferencePageArg::Errors => print::line(errors::page().trim_end()),
    }
    Ok(CommandExit::Completed)
}
