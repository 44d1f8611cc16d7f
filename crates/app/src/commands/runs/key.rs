//! `baton runs key`: gives a run the consumer's own key, and goes on with it here.

use std::time::{Duration, Instant};

use baton_core::id::RunId;
use baton_core::run::{Ask, Awaited};

use super::record::{self, Record};
use crate::cli::RunsKey;
use crate::commands::run::report;
use crate::project::Project;
use crate::told::{self, Progress};
use crate::{Exit, Misuse, key};

/// How long a run that nobody moves may take to be taken over here.
const TAKE_MAX: Duration = Duration::from_secs(10);

pub async fn run(project: &Project, args: &RunsKey) -> anyhow::Result<Exit> {
    let system = record::system(project)?;
    let record = Record::read(&system, &args.run).await?;
    let run = record.head.run.clone();
    let waiting: Vec<RunId> =
        record.open(&system).await?.into_iter().filter(|open| needs_key(&open.awaited)).map(|open| open.run).collect();
    if waiting.is_empty() {
        let hint = format!("`{} runs show {run}` says what it waits for", system.command);
        return Err(Misuse::new(format!("`{run}` does not wait for a key")).hint(hint).into());
    }
    let secret = key::read()?;
    let moves = system.working(async |engine| {
        let mut follower = told::follower(engine, &system);
        follower.follow(&run).await?;
        follower.tell(told::telling((!args.json).then(|| Progress::going_on(&run))));
        for one in &waiting {
            engine.give_key(&system.tenant, one, secret.clone());
        }
        // Until it was taken here; one that another process moves is left to that.
        let began = Instant::now();
        while follower.open().iter().any(|open| needs_key(&open.awaited)) {
            if began.elapsed() > TAKE_MAX {
                let hint = "give it the key there, or stop that process first";
                return Err(Misuse::new(format!("another process moves `{run}`")).hint(hint).into());
            }
            follower.glance(Duration::from_millis(50)).await?;
        }
        follower.until_all_rest().await?;
        Ok(follower)
    });
    let follower = moves.await?;
    report(&follower, &run, &system.command, args.json)
}

fn needs_key(awaited: &Awaited) -> bool {
    matches!(awaited, Awaited::Ask(Ask::Key(_)))
}
