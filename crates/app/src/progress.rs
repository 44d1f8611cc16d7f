//! Shows a run to people: its progress, and how to continue from where it waits.

mod next_command;
mod run_progress;

use std::sync::Arc;

use baton_engine::{Engine, EntryCallback, RunFollower};

pub use next_command::{decider_flag, describe_open, next_command};
pub use run_progress::{RunProgress, print_customer_message, print_result, status_line};

use crate::wiring::ProjectSystem;

/// A follower for runs of the project's tenant.
pub fn follower(engine: &Engine, system: &ProjectSystem) -> RunFollower {
    RunFollower::new(engine, Arc::new(system.store.clone()), system.tenant.clone())
}

/// A callback that prints each entry, if progress is shown.
pub fn entry_printer(progress: Option<RunProgress>) -> Option<EntryCallback> {
    let mut progress = progress?;
    Some(Box::new(move |run, entry| progress.print_entry(run, entry)))
}
