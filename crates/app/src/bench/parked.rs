//! Runs that wait for a person: the resources of a fresh process that serves them, and a check that they still
//! continue.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_core::id::RunId;
use baton_core::run::{HumanDecision, IncomingCommand, NodeAddress, RunState};
use baton_ports::read::ReadModel as _;
use serde_json::{Value, json};

use super::fixture::{self, ScratchFolder};
use super::{BenchSize, round_figure};

/// A booking that needs a person's approval before anything is booked. Its tool has no rate limit: a limit would delay
/// runs before the approval is requested, and the case would measure the limit.
const WORKFLOW: &str = r#"
name: clinic_with_leave
version: "1"
nodes:
  - id: check
    tool: calculator
    parameters: {expression: "{{ price }} * 1.21"}
  - id: leave
    type: human
    title: "May {{ customer }} have {{ treatment }} on {{ date }}?"
  - id: confirm
    tool: calculator
    parameters: {expression: "{{ price }} + 1"}
edges:
  - {from: check, to: leave}
  - {from: leave, to: confirm}
"#;
/// Number of concurrent starts.
const CONCURRENT_STARTS: usize = 256;
/// Time limit for the signalled runs.
const FINISH_WITHIN: Duration = Duration::from_secs(120);
/// How long the number of waiting runs may stay the same before the case is abandoned.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// Interval between progress messages about the number of waiting runs.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

pub fn measure(size: BenchSize) -> anyhow::Result<Value> {
    let scratch = ScratchFolder::new()?;
    let started_in = crate::commands::block_on(park_runs(scratch.path(), size.parked))?;
    let disk: u64 =
        std::fs::read_dir(scratch.path())?.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum();
    let mut server = spawn(scratch.path(), "parked-serve")?;
    std::thread::sleep(Duration::from_secs(size.watch_seconds));
    let wait = crate::commands::block_on(assert_all_parked(scratch.path(), size.parked));
    let resident = anonymous_memory(server.id());
    let is_served = server.try_wait()?.is_none();
    let began = Instant::now();
    let finished = wait.and_then(|()| {
        anyhow::ensure!(is_served, "the process that serves the parked runs has ended");
        crate::commands::block_on(signal(scratch.path(), size.parked, size.parked_signalled))
    });
    let signalled_in = began.elapsed().as_secs_f64();
    server.kill()?;
    server.wait()?;
    finished?;
    Ok(json!({
        "runs": size.parked,
        "rss_mb": resident.map(|bytes| round_figure(bytes as f64 / 1e6)),
        "disk_mb": round_figure(disk as f64 / 1e6),
        "started_in_s": round_figure(started_in),
        "signalled": size.parked_signalled,
        "signalled_in_s": round_figure(signalled_in),
    }))
}

fn spawn(folder: &Path, part: &str) -> anyhow::Result<Child> {
    let mut process = Command::new(std::env::current_exe()?);
    Ok(process.args(["part", part]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?)
}

/// Private memory of the process, without the page cache. `None` if the system does not report it.
fn anonymous_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1_024)
}

async fn park_runs(folder: &Path, runs: usize) -> anyhow::Result<f64> {
    let store = fixture::store(folder)?;
    let bundle = fixture::save(&store, WORKFLOW).await?;
    let engine = fixture::engine(&store, Arc::new(store.clone())).await?;
    let began = Instant::now();
    let mut starts = tokio::task::JoinSet::new();
    for place in 0..runs {
        if starts.len() >= CONCURRENT_STARTS
            && let Some(started) = starts.join_next().await
        {
            started??;
        }
        let (engine, bundle) = (engine.clone(), bundle.clone());
        starts.spawn(async move {
            let input = json!({
                "customer": format!("Customer {place}"), "email": format!("c{place}@example.com"),
                "treatment": "consultation", "date": "tomorrow", "price": 40,
            });
            engine.start(fixture::start(id(place), "clinic_with_leave", &bundle, input)).await
        });
    }
    while let Some(started) = starts.join_next().await {
        started??;
    }
    wait_until_parked(&store, runs as u64).await?;
    let took = began.elapsed().as_secs_f64();
    engine.stop().await?;
    Ok(took)
}

/// Waits until all runs wait for a person, as long as their number keeps growing.
async fn wait_until_parked(store: &baton_store::sqlite::SqliteStore, runs: u64) -> anyhow::Result<()> {
    let (mut most, mut grew, mut told) = (0, Instant::now(), Instant::now());
    loop {
        let now = count_parked(store).await?;
        if now >= runs {
            return Ok(());
        }
        if now > most {
            (most, grew) = (now, Instant::now());
        }
        if grew.elapsed() > STALLED_AFTER {
            let counts = store.counts().await?;
            let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
            let stalled = STALLED_AFTER.as_secs();
            anyhow::bail!(
                "{most} of {runs} runs have come to wait, and no more for {stalled} s: {}",
                counts.join(", ")
            );
        }
        if told.elapsed() > PROGRESS_INTERVAL {
            told = Instant::now();
            super::print_progress(format_args!("{now} of {runs} runs wait"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The case measures a process that serves exactly this number of waiting runs and no others.
async fn assert_all_parked(folder: &Path, runs: usize) -> anyhow::Result<()> {
    let store = fixture::store(folder)?;
    let waiting = count_parked(&store).await?;
    anyhow::ensure!(waiting == runs as u64, "{waiting} of {runs} runs wait where memory is read");
    Ok(())
}

async fn count_parked(store: &baton_store::sqlite::SqliteStore) -> anyhow::Result<u64> {
    let counts = store.counts().await?;
    Ok(counts.into_iter().find(|(state, _)| *state == RunState::Waiting).map_or(0, |(_, count)| count))
}

fn id(place: usize) -> RunId {
    RunId::new(format!("parked-{place}"))
}

/// The fresh process: serves the database until it is killed or its parent exits.
pub async fn serve() -> anyhow::Result<()> {
    let store = fixture::store(Path::new("."))?;
    let _engine = fixture::engine(&store, Arc::new(store.clone())).await?;
    fixture::serve_until_closed().await
}

/// Signals `count` of the parked runs, spread over all of them, and waits until they have ended.
pub async fn signal(folder: &Path, runs: usize, count: usize) -> anyhow::Result<()> {
    use baton_ports::journal::{InboxSubmission, JournalStore as _};
    let store = fixture::store(folder)?;
    let step = (runs / count).max(1);
    let chosen: Vec<RunId> = (0..runs).step_by(step).take(count).map(id).collect();
    for run in &chosen {
        let answer = IncomingCommand::Answer {
            node: NodeAddress::outer("leave"),
            by: "bench".into(),
            decision: HumanDecision::Approve { note: String::new() },
        };
        let submit = InboxSubmission {
            aggregate: run.clone(),
            tenant: fixture::tenant(),
            command_id: "leave".to_owned(),
            payload: serde_json::to_vec(&answer)?.into(),
            at: baton_ports::clock::Clock::now(&baton_ports::clock::SystemClock),
            creates: None,
        };
        store.submit(submit).await?;
    }
    let began = Instant::now();
    for run in &chosen {
        while store.run(&fixture::tenant(), run).await?.is_none_or(|head| !head.state.is_end()) {
            anyhow::ensure!(began.elapsed() < FINISH_WITHIN, "`{run}` was answered and has not ended");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let head = store.run(&fixture::tenant(), run).await?;
        anyhow::ensure!(
            head.is_some_and(|head| head.state == RunState::Completed),
            "`{run}` was answered and not completed"
        );
    }
    let (left, waiting) = ((runs - chosen.len()) as u64, count_parked(&store).await?);
    anyhow::ensure!(waiting == left, "{waiting} runs wait, and {left} were not answered");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More calls than any shipped tool with a rate limit allows in a minute.
    #[tokio::test(flavor = "multi_thread")]
    async fn no_rate_holds_parked_runs_back() {
        let scratch = ScratchFolder::new().expect("a folder");
        park_runs(scratch.path(), 220).await.expect("all come to wait");
        assert_all_parked(scratch.path(), 220).await.expect("all wait");
        let store = fixture::store(scratch.path()).expect("opens");
        let engine = fixture::engine(&store, Arc::new(store.clone())).await.expect("begins");
        signal(scratch.path(), 220, 22).await.expect("those that were answered end, and no others");
        engine.stop().await.expect("stops");
    }
}
