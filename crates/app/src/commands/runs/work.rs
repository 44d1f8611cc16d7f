//! `baton runs work`: moves all runs that have something to do, until none has.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use baton_core::id::RunId;
use baton_core::run::{Run, RunState};
use baton_engine::{Engine, RunFollower};
use baton_ports::journal::{JournalStore, ProcessId};
use serde_json::json;

use super::record;
use crate::cli::RunWorkArgs;
use crate::progress::{self, RunProgress, status_line};
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, print};

/// A timer nearer than this is waited for. Well under a living process's lease, so that what it owns is left to it.
const TIMER_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long nothing must have been recorded before it is asked whether all is done.
const QUIET_INTERVAL: Duration = Duration::from_millis(200);
/// Runs that do not move are named up to here.
const STUCK_SHOWN_MAX: usize = 20;
/// With work to do and nothing recorded for so long, it does not move.
const STUCK_AFTER: Duration = Duration::from_secs(45);
/// No process has this number.
const NO_PROCESS: ProcessId = ProcessId(0);

pub async fn run(project: &Project, args: &RunWorkArgs) -> anyhow::Result<CommandExit> {
    let system = record::system(project)?;
    let mut moved = BTreeMap::new();
    let left = system.run_with_engine(async |engine| move_all(&system, engine, &mut moved, args).await).await?;
    print_moved(&moved, &left, args.json);
    Ok(if left.is_empty() { CommandExit::Completed } else { CommandExit::Failed })
}

/// Until none has anything to do: those that do not move although they have.
async fn move_all(
    system: &ProjectSystem,
    engine: &Engine,
    moved: &mut BTreeMap<RunId, RunState>,
    args: &RunWorkArgs,
) -> anyhow::Result<Vec<RunId>> {
    let mut follower = progress::follower(engine, system).follow_all();
    follower.set_callback(progress::entry_printer((!args.json).then(RunProgress::for_all_runs)));
    let mut heard = Instant::now();
    loop {
        match follower.wait_for_change(QUIET_INTERVAL).await? {
            Some(run) => {
                heard = Instant::now();
                record_state(&mut follower, moved, run, !args.json);
            }
            None if engine.awake_count() > 0 => {}
            None => {
                let left = system
                    .store
                    .due(NO_PROCESS, system.clock.now() + TIMER_WAIT_MAX, system.clock.monotonic(), STUCK_SHOWN_MAX)
                    .await?;
                if left.is_empty() || heard.elapsed() > STUCK_AFTER {
                    return Ok(left);
                }
            }
        }
    }
}

/// Keeps a run's state, and the run itself no longer than it moves; where it rests, how it stands is told.
fn record_state(follower: &mut RunFollower, moved: &mut BTreeMap<RunId, RunState>, run: RunId, is_told: bool) {
    let Some(state) = follower.run(&run).map(Run::state) else { return };
    if follower.is_idle(&run) {
        let left = follower.unfollow(&run);
        if let Some(left) = left.filter(|_| is_told) {
            print::line(format_args!("  {run}: {}", status_line(&left.run)));
        }
    }
    moved.insert(run, state);
}

fn print_moved(moved: &BTreeMap<RunId, RunState>, left: &[RunId], as_json: bool) {
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
