//! `baton completions SHELL`.

use clap::CommandFactory;

use crate::cli::BatonCli;
use crate::{CommandExit, print};

#[expect(clippy::unnecessary_wraps, reason = "one shape for all verbs")]
pub fn run(shell: clap_complete::Shell) -> anyhow::Result<CommandExit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut BatonCli::command(), "baton", &mut script);
    print::line(String::from_utf8_lossy(&script).trim_end());
    Ok(CommandExit::Completed)
}
