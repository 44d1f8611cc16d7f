//! `baton demo`: shows the main use case as it happens. The kill and the recovery are real and happen to a separate
//! process.

mod project;
mod runner;

use crate::cli::DemoArgs;
use crate::{CommandExit, print};

pub fn run(args: &DemoArgs) -> anyhow::Result<CommandExit> {
    let folder = project::write_files()?;
    let told = runner::play_demo(folder.path(), args);
    match told {
        Ok(true) => {
            print::line("");
            print::line("Everything held. The folder is gone; `baton init my-project` makes one to keep.");
            Ok(CommandExit::Completed)
        }
        Ok(false) => {
            let kept = folder.keep();
            print::line(format_args!("Something did not hold. What happened is in {}.", kept.display()));
            Ok(CommandExit::Failed)
        }
        Err(error) => Err(error),
    }
}
