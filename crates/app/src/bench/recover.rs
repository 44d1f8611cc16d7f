//! Crash recovery: a process is killed with thousands of runs in flight. Measures how long a fresh process takes to
//! complete them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_core::id::RunId;
use baton_core::run::RunState;
use baton_engine::Notification;
use baton_ports::read::ReadModel as _;
use serde_json::{Value, json};

use super::fixture::{self, ScratchFolder};
use super::{BenchSize, round_figure};

/// A step, a slow step, and another step. The kill interrupts all runs at the slow one.
const WORKFLOW: &str = r#"
name: in_flight
version: "1"
nodes:
  - {id: before, tool: calculator, parameters: {expression: "{{ n }} + 1"}}
  - {id: slow, type: wait, duration: 1s}
  - {id: after, tool: calculator, parameters: {expression: "{{ n }} + 2"}}
edges:
  - {from: before, to: slow}
  - {from: slow, to: after}
"#;
/// Time limit of the whole recovery.
const RECOVERY_LIMIT: Duration = Duration::from_secs(600);

pub fn measure(size: BenchSize) -> anyhow::Result<Value> {
    let scratch = ScratchFolder::new()?;
    let mut process = Command::new(std::env::current_exe()?);
    process
        .args(["part", "recover-begin", &size.recover.to_string()])
        .current_dir(scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = process.spawn()?;
    let Some(output) = child.stdout.take() else { anyhow::bail!("the started process has no output") };
    // The process prints a line once all runs are in flight. Then it is killed.
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    child.kill()?;
    child.wait()?;
    anyhow::ensure!(line.trim() == "in flight", "the started process did not get its runs into flight");
    let in_flight = crate::commands::block_on(unfinished(scratch.path()))?;
    anyhow::ensure!(in_flight > 0, "all {} runs had ended before the process was killed", size.recover);
    super::print_progress(format_args!(
        "{in_flight} of {} runs were in flight when their process was killed",
        size.recover
    ));
    let (first, all) = crate::commands::block_on(finish(scratch.path(), size.recover))?;
    Ok(
        json!({ "runs": size.recover, "in_flight": in_flight, "seconds_to_first_new": round_figure(first), "seconds_to_all": round_figure(all) }),
    )
}

/// The number of runs that have not ended.
async fn unfinished(folder: &Path) -> anyhow::Result<u64> {
    let counts = fixture::store(folder)?.counts().await?;
    Ok(counts.into_iter().filter(|(state, _)| !state.is_end()).map(|(_, count)| count).sum())
}

/// The process that is killed.
pub async fn begin(runs: usize) -> anyhow::Result<()> {
    let store = fixture::store(Path::new("."))?;
    let bundle = fixture::save(&store, WORKFLOW).await?;
    let engine = fixture::engine(&store, Arc::new(store.clone())).await?;
    let mut starts = tokio::task::JoinSet::new();
    for place in 0..runs {
        let (engine, bundle) = (engine.clone(), bundle.clone());
        starts.spawn(async move {
            let id = RunId::new(format!("recover-{place}"));
            engine.start(fixture::start(id, "in_flight", &bundle, json!({ "n": place }))).await
        });
    }
    while let Some(started) = starts.join_next().await {
        started??;
    }
    crate::print::line("in flight");
    fixture::serve_until_closed().await
}

/// Seconds from opening the database to the first new entry, and to the end of the last run.
pub async fn finish(folder: &Path, runs: usize) -> anyhow::Result<(f64, f64)> {
    let began = Instant::now();
    let store = fixture::store(folder)?;
    let engine = fixture::engine(&store, Arc::new(store.clone())).await?;
    let mut watch = engine.subscribe();
    let mut first = None;
    while first.is_none() {
        match tokio::time::timeout(RECOVERY_LIMIT, watch.recv()).await? {
            Ok(Notification::Entry { .. }) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {
                first = Some(began.elapsed().as_secs_f64());
            }
            Ok(Notification::Refused { .. } | Notification::Consumed { .. } | Notification::Aggregate { .. }) => {}
            Err(closed) => return Err(closed.into()),
        }
    }
    drop(watch);
    let completed = || async {
        let counts = store.counts().await?;
        anyhow::Ok(counts.into_iter().find(|(state, _)| *state == RunState::Completed).map_or(0, |(_, count)| count))
    };
    while completed().await? < runs as u64 {
        anyhow::ensure!(began.elapsed() < RECOVERY_LIMIT, "the runs do not come to their end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.stop().await?;
    Ok((first.unwrap_or_default(), began.elapsed().as_secs_f64()))
}
