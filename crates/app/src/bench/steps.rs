//! Steps per second through the whole product, compared with the limits of the disk and the writer.

use std::sync::Arc;
use std::time::Instant;

use baton_core::bundle::ContentHash;
use baton_core::id::RunId;
use baton_engine::Engine;
use serde_json::{Value, json};

use super::fixture::{self, ScratchFolder};
use super::recorder::JournalRecorder;
use super::{BenchSize, median, percentile, round_figure, store_limit};

/// Steps of one run.
const STEPS: usize = 10;
/// Pure nodes of one run.
const CHAIN: usize = 100;

/// A workflow of ten `calculator` calls in sequence, or of a hundred pure nodes.
fn workflow(case: &str) -> String {
    let (count, node): (usize, &str) = match case {
        "durable_steps" => (STEPS, "tool: calculator, parameters: {expression: \"{{ n }} + 1\"}"),
        _ => (CHAIN, "type: transform, set: {last: \"{{ n }}\"}"),
    };
    let nodes: Vec<String> = (0..count).map(|place| format!("  - {{id: n{place}, {node}}}")).collect();
    let edges: Vec<String> = (1..count).map(|place| format!("  - {{from: n{}, to: n{place}}}", place - 1)).collect();
    format!("name: {case}\nversion: \"1\"\nnodes:\n{}\nedges:\n{}\n", nodes.join("\n"), edges.join("\n"))
}

struct StepsRound {
    steps_per_s: f64,
    step_ms: Vec<f64>,
}

pub fn measure(case: &str, concurrency: usize, size: BenchSize) -> anyhow::Result<Value> {
    // With a concurrency of one, each step waits for the disk, so a few runs are as accurate as thousands.
    let runs = if concurrency == 1 { size.runs / 80 } else { size.runs }.max(4);
    let per_run = if case == "durable_steps" { STEPS } else { CHAIN };
    let (mut ours, mut limits, mut plains, mut step_ms) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let asked = record_calls(case, runs.min(2_000), concurrency)?;
        let round = with_engine(case, runs, per_run, concurrency)?;
        limits.push(store_limit::replay_rate(&asked, per_run, concurrency)?);
        plains.push(store_limit::plain_rows_rate(&asked, per_run, concurrency)?);
        ours.push(round.steps_per_s);
        step_ms.extend(round.step_ms);
    }
    let (steps, limit, plain) = (median(&mut ours), median(&mut limits), median(&mut plains));
    Ok(json!({
        "case": case,
        "concurrency": concurrency,
        "steps_per_s": steps.round(),
        "p50_ms": round_figure(percentile(&mut step_ms, 0.50)),
        "p99_ms": round_figure(percentile(&mut step_ms, 0.99)),
        "limit_steps_per_s": limit.round(),
        "limit_plain_steps_per_s": plain.round(),
        "of_limit": round_figure(steps / limit),
    }))
}

/// The journal calls of a round. Recording takes time, so this round is not the one that is timed.
fn record_calls(case: &str, runs: usize, concurrency: usize) -> anyhow::Result<Vec<super::recorder::JournalCalls>> {
    let scratch = ScratchFolder::new()?;
    crate::commands::block_on(async {
        let store = fixture::store(scratch.path())?;
        let bundle = fixture::save(&store, &workflow(case)).await?;
        let recorder = JournalRecorder::wrap(Arc::new(store.clone()));
        let engine = fixture::engine(&store, recorder.clone()).await?;
        run_concurrently(&engine, case, &bundle, runs, concurrency).await?;
        engine.stop().await?;
        Ok(recorder.take())
    })
}

fn with_engine(case: &str, runs: usize, per_run: usize, concurrency: usize) -> anyhow::Result<StepsRound> {
    let scratch = ScratchFolder::new()?;
    crate::commands::block_on(async {
        let store = fixture::store(scratch.path())?;
        let bundle = fixture::save(&store, &workflow(case)).await?;
        let engine = fixture::engine(&store, Arc::new(store.clone())).await?;
        run_concurrently(&engine, case, &bundle, concurrency.min(64), concurrency).await?;
        let began = Instant::now();
        let took = run_concurrently(&engine, case, &bundle, runs, concurrency).await?;
        let elapsed = began.elapsed().as_secs_f64();
        engine.stop().await?;
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let (steps, per_run) = ((runs * per_run) as f64, per_run as f64);
        Ok(StepsRound { steps_per_s: steps / elapsed, step_ms: took.iter().map(|run_ms| run_ms / per_run).collect() })
    })
}

/// Executes `runs` runs at the given concurrency. Returns the milliseconds of each.
async fn run_concurrently(
    engine: &Engine,
    case: &str,
    bundle: &ContentHash,
    runs: usize,
    concurrency: usize,
) -> anyhow::Result<Vec<f64>> {
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for _ in 0..concurrency.min(runs) {
        let (engine, bundle, next, case) = (engine.clone(), bundle.clone(), next.clone(), case.to_owned());
        tasks.push(tokio::spawn(async move {
            let mut took = Vec::new();
            while next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < runs {
                let id = RunId::new(uuid::Uuid::now_v7().to_string());
                let end = engine.watch_end(&id);
                let began = Instant::now();
                engine.start(fixture::start(id, &case, &bundle, json!({ "n": 41 }))).await?;
                let state = end.await?;
                anyhow::ensure!(state == baton_core::run::RunState::Completed, "a measured run ended {state}");
                took.push(began.elapsed().as_secs_f64() * 1_000.0);
            }
            anyhow::Ok(took)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await??);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_ten_steps_is_at_most_twelve_commits() {
        let asked = record_calls("durable_steps", 1, 1).expect("a run");
        let [run] = asked.as_slice() else { panic!("one run, not {}", asked.len()) };
        let commits = usize::from(run.start.is_some()) + run.appends.len();
        assert!(commits <= 12, "{commits} commits");
        assert!(commits > STEPS, "{commits} commits cannot hold {STEPS} steps that are durable one by one");
    }
}
