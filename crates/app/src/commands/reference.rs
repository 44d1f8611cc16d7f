//! `baton reference`: pages the binary writes about itself, committed under `docs/`.

mod cli;
mod errors;

use crate::cli::Page;
use crate::{Exit, print};

#[expect(clippy::unnecessary_wraps, reason = "one shape for all verbs")]
pub fn run(page: Page) -> anyhow::Result<Exit> {
    match page {
        Page::WorkflowSchema => print::pretty(&baton_core::definition::schema()),
        Page::Cli => print::line(cli::page().trim_end()),
        Page::Openapi => print::line(baton_server::document().trim_end()),
        Page::Errors => print::line(errors::page().trim_end()),
    }
    Ok(Exit::Completed)
}
