//! `baton demo`: the main job told as it happens. The kill and the recovery are really done, to a process of their own.

mod project;
mod story;

use crate::cli::Demo;
use crate::{Exit, print};

pub fn run(args: &Demo) -> anyhow::Result<Exit> {
    let folder = project::lay_out()?;
    let told = story::tell(folder.path(), args);
    match told {
        Ok(true) => {
            print::line("");
            print::line("Everything held. The folder is gone; `baton init my-project` makes one to keep.");
            Ok(Exit::Completed)
        }
        Ok(false) => {
            let kept = folder.keep();
            print::line(format_args!("Something did not hold. What happened is in {}.", kept.display()));
            Ok(Exit::Failed)
        }
        Err(error) => Err(error),
    }
}
