//! `baton runs work`: executes all runs with pending work until none has any.

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

/// Timers that are due within this time are waited for. It is well below the lease of a live process, so that runs
/// owned by others stay with them.
const TIMER_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long nothing may be recorded before the command checks whether all work is done.
const QUIET_INTERVAL: Duration = Duration::from_millis(200);
/// Maximum number of stuck runs to name.
const STUCK_SHOWN_MAX: usize = 20;
/// A run with pending work is stuck if nothing is recorded for this long.
const STUCK_AFTER: Duration = Duration::from_secs(45);
/// No process has this id.
const NO_PROCESS: ProcessId = ProcessId(0);

pub async fn run(project: &Project, args: &RunWorkArgs) -> anyhow::Result<CommandExit> {
    let system = record::system(project)?;
    let mut moved = BTreeMap::new();
    let left = system.run_with_engine(async |engine| move_all(&system, engine, &mut moved, args).await).await?;
    print_moved(&moved, &left, args.json);
    Ok(if left.is_empty() { CommandExit::Completed } else { CommandExit::Failed })
}

/// Executes runs until none has pending work. Returns the runs that are stuck.
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

/// Records a run's state. The run itself is kept only while it is active. When it becomes idle, its status is printed.
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
