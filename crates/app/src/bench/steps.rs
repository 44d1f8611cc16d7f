//! Steps per second through the whole product, against what the disk and the writer allow.

use std::sync::Arc;
use std::time::Instant;

use baton_core::bundle::Hash;
use baton_core::id::RunId;
use baton_engine::Engine;
use serde_json::{Value, json};

use super::recorder::Recorder;
use super::world::{self, Scratch};
use super::{Size, limit, median, percentile, rounded};

/// Steps of one run.
const STEPS: usize = 10;
/// Pure nodes of one run.
const CHAIN: usize = 100;

/// A workflow of ten `calculator` calls in a row, or of a hundred pure nodes.
fn workflow(case: &str) -> String {
    let (count, node): (usize, &str) = match case {
        "durable_steps" => (STEPS, "tool: calculator, parameters: {expression: \"{{ n }} + 1\"}"),
        _ => (CHAIN, "type: transform, set: {last: \"{{ n }}\"}"),
    };
    let nodes: Vec<String> = (0..count).map(|place| format!("  - {{id: n{place}, {node}}}")).collect();
    let edges: Vec<String> = (1..count).map(|place| format!("  - {{from: n{}, to: n{place}}}", place - 1)).collect();
    format!("name: {case}\nversion: \"1\"\nnodes:\n{}\nedges:\n{}\n", nodes.join("\n"), edges.join("\n"))
}

struct Round {
    steps_per_s: f64,
    step_ms: Vec<f64>,
}

pub fn measure(case: &str, concurrency: usize, size: Size) -> anyhow::Result<Value> {
    // One at a time, each step waits for the disk: a few runs say as much as thousands.
    let runs = if concurrency == 1 { size.runs / 80 } else { size.runs }.max(4);
    let per_run = if case == "durable_steps" { STEPS } else { CHAIN };
    let (mut ours, mut limits, mut plains, mut step_ms) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..size.rounds {
        let asked = recorded(case, runs.min(2_000), concurrency)?;
        let round = with_engine(case, runs, per_run, concurrency)?;
        limits.push(limit::replayed(&asked, per_run, concurrency)?);
        plains.push(limit::plain(&asked, per_run, concurrency)?);
        ours.push(round.steps_per_s);
        step_ms.extend(round.step_ms);
    }
    let (steps, limit, plain) = (median(&mut ours), median(&mut limits), median(&mut plains));
    Ok(json!({
        "case": case,
        "concurrency": concurrency,
        "steps_per_s": steps.round(),
        "p50_ms": rounded(percentile(&mut step_ms, 0.50)),
        "p99_ms": rounded(percentile(&mut step_ms, 0.99)),
        "limit_steps_per_s": limit.round(),
        "limit_plain_steps_per_s": plain.round(),
        "of_limit": rounded(steps / limit),
    }))
}

/// What a round asks of its journal; recording costs time, so it is not the round that is timed.
fn recorded(case: &str, runs: usize, concurrency: usize) -> anyhow::Result<Vec<super::recorder::Asked>> {
    let scratch = Scratch::new()?;
    crate::commands::wait(async {
        let store = world::store(scratch.path())?;
        let bundle = world::save(&store, &workflow(case)).await?;
        let recorder = Recorder::over(Arc::new(store.clone()));
        let engine = world::engine(&store, recorder.clone()).await?;
        drive(&engine, case, &bundle, runs, concurrency).await?;
        engine.stop().await?;
        Ok(recorder.take())
    })
}

fn with_engine(case: &str, runs: usize, per_run: usize, concurrency: usize) -> anyhow::Result<Round> {
    let scratch = Scratch::new()?;
    crate::commands::wait(async {
        let store = world::store(scratch.path())?;
        let bundle = world::save(&store, &workflow(case)).await?;
        let engine = world::engine(&store, Arc::new(store.clone())).await?;
        drive(&engine, case, &bundle, concurrency.min(64), concurrency).await?;
        let began = Instant::now();
        let took = drive(&engine, case, &bundle, runs, concurrency).await?;
        let elapsed = began.elapsed().as_secs_f64();
        engine.stop().await?;
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        let (steps, per_run) = ((runs * per_run) as f64, per_run as f64);
        Ok(Round { steps_per_s: steps / elapsed, step_ms: took.iter().map(|run_ms| run_ms / per_run).collect() })
    })
}

/// Runs so many runs, so many at once; milliseconds of each.
async fn drive(
    engine: &Engine,
    case: &str,
    bundle: &Hash,
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
                let end = engine.end_of(&id);
                let began = Instant::now();
                engine.start(world::start(id, &case, &bundle, json!({ "n": 41 }))).await?;
                let state = end.await?;
                anyhow::ensure!(state == baton_core::run::State::Completed, "a measured run ended {state}");
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
        let asked = recorded("durable_steps", 1, 1).expect("a run");
        let [run] = asked.as_slice() else { panic!("one run, not {}", asked.len()) };
        let commits = usize::from(run.start.is_some()) + run.appends.len();
        assert!(commits <= 12, "{commits} commits");
        assert!(commits > STEPS, "{commits} commits cannot hold {STEPS} steps that are durable one by one");
    }
}
