//! `baton runs work`: moves all runs that have something to do, until none has.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use baton_core::id::RunId;
use baton_core::run::{Run, State};
use baton_engine::{Engine, Follower};
use baton_ports::journal::{Journal, ProcessId};
use serde_json::json;

use super::record;
use crate::cli::RunsWork;
use crate::project::Project;
use crate::told::{self, Progress, ending};
use crate::wire::System;
use crate::{Exit, print};

/// A timer nearer than this is waited for. Well under a living process's lease, so that what it owns is left to it.
const SOON: Duration = Duration::from_secs(30);
/// How long nothing must have been recorded before it is asked whether all is done.
const QUIET: Duration = Duration::from_millis(200);
/// Runs that do not move are named up to here.
const LEFT_MAX: usize = 20;
/// With work to do and nothing recorded for so long, it does not move.
const STUCK: Duration = Duration::from_secs(45);
/// No process has this number.
const NOBODY: ProcessId = ProcessId(0);

pub async fn run(project: &Project, args: &RunsWork) -> anyhow::Result<Exit> {
    let system = record::system(project)?;
    let mut moved = BTreeMap::new();
    let left = system.working(async |engine| all(&system, engine, &mut moved, args).await).await?;
    tell(&moved, &left, args.json);
    Ok(if left.is_empty() { Exit::Completed } else { Exit::Failed })
}

/// Until none has anything to do: those that do not move although they have.
async fn all(
    system: &System,
    engine: &Engine,
    moved: &mut BTreeMap<RunId, State>,
    args: &RunsWork,
) -> anyhow::Result<Vec<RunId>> {
    let mut follower = told::follower(engine, system).all();
    follower.tell(told::telling((!args.json).then(Progress::of_all)));
    let mut heard = Instant::now();
    loop {
        match follower.glance(QUIET).await? {
            Some(run) => {
                heard = Instant::now();
                note(&mut follower, moved, run, !args.json);
            }
            None if engine.awake() > 0 => {}
            None => {
                let left = system.store.due(NOBODY, system.clock.now() + SOON, system.clock.steady(), LEFT_MAX).await?;
                if left.is_empty() || heard.elapsed() > STUCK {
                    return Ok(left);
                }
            }
        }
    }
}

/// Keeps a run's state, and the run itself no longer than it moves; where it rests, how it stands is told.
fn note(follower: &mut Follower, moved: &mut BTreeMap<RunId, State>, run: RunId, is_told: bool) {
    let Some(state) = follower.run(&run).map(Run::state) else { return };
    if follower.rests(&run) {
        let left = follower.leave(&run);
        if let Some(left) = left.filter(|_| is_told) {
            print::line(format_args!("  {run}: {}", ending(&left.run)));
        }
    }
    moved.insert(run, state);
}

fn tell(moved: &BTreeMap<RunId, State>, left: &[RunId], as_json: bool) {
    if as_json {
        let runs = moved.iter().map(|(id, state)| json!({ "execution_id": id, "state": state }));
        print::pretty(&json!({ "moved": runs.collect::<Vec<_>>(), "left": left }));
        return;
    }
    match moved.len() {
        0 => print::line("nothing to do"),
        1 => print::line("1 run moved"),
        many => print::line(format_args!("{many} runs moved")),
    }
    for run in left {
        print::note(format_args!("`{run}` has something to do and does not move; BATON_LOG=warn says why"));
    }
}
