//! `baton runs key`: gives a run the consumer's own key, and continues it in this process.

use std::time::{Duration, Instant};

use baton_core::id::RunId;
use baton_core::run::{HumanTask, WaitKind};

use super::record::{self, RecordedRun};
use crate::cli::RunKeyArgs;
use crate::commands::run::print_result;
use crate::progress::{self, RunProgress};
use crate::project::Project;
use crate::{CommandExit, UsageError, consumer_key};

/// How long a run without an owner may take to be taken over by this process.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn run(project: &Project, args: &RunKeyArgs) -> anyhow::Result<CommandExit> {
    let system = record::system(project)?;
    let record = RecordedRun::read(&system, &args.run).await?;
    let run = record.head.run.clone();
    let waiting: Vec<RunId> =
        record.open(&system).await?.into_iter().filter(|open| needs_key(&open.kind)).map(|open| open.run).collect();
    if waiting.is_empty() {
        let hint = format!("`{} runs show {run}` says what it waits for", system.command);
        return Err(UsageError::new(format!("`{run}` does not wait for a key")).hint(hint).into());
    }
    let secret = consumer_key::read()?;
    let moves = system.run_with_engine(async |engine| {
        let mut follower = progress::follower(engine, &system);
        follower.follow(&run).await?;
        follower.set_callback(progress::entry_printer((!args.json).then(|| RunProgress::resumed(&run))));
        for one in &waiting {
            engine.provide_key(&system.tenant, one, secret.clone());
        }
        // Wait until this process owns the run. A run that another process owns is left to that process.
        let began = Instant::now();
        while follower.open_waits().iter().any(|open| needs_key(&open.kind)) {
            if began.elapsed() > TAKEOVER_TIMEOUT {
                let hint = "give it the key there, or stop that process first";
                return Err(UsageError::new(format!("another process moves `{run}`")).hint(hint).into());
            }
            follower.wait_for_change(Duration::from_millis(50)).await?;
        }
        follower.wait_all_idle().await?;
        Ok(follower)
    });
    let follower = moves.await?;
    print_result(&follower, &run, &system.command, args.json)
}

fn needs_key(awaited: &WaitKind) -> bool {
    matches!(awaited, WaitKind::Ask(HumanTask::Key(_)))
}
