//! Cold start: from an empty folder to the end of the first run in a new process, migrations included.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use baton_core::id::RunId;
use serde_json::{Value, json};

use super::fixture::{self, ScratchFolder};
use super::{BenchSize, median, round_figure};

const WORKFLOW: &str =
    "name: hello\nversion: \"1\"\nnodes:\n  - {id: sum, tool: calculator, parameters: {expression: \"{{ n }} + 1\"}}\n";

pub fn measure(size: BenchSize) -> anyhow::Result<Value> {
    let own = std::env::current_exe()?;
    let mut took = Vec::new();
    for _ in 0..size.cold_starts {
        let scratch = ScratchFolder::new()?;
        let began = Instant::now();
        let mut process = Command::new(&own);
        process.args(["part", "cold-start"]).current_dir(scratch.path()).stdout(Stdio::null());
        let status = process.status()?;
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
        anyhow::ensure!(status.success(), "the started process failed");
    }
    Ok(json!(round_figure(median(&mut took))))
}

/// The started process: executes its first run in the current folder.
pub async fn first_run() -> anyhow::Result<()> {
    let store = fixture::store(std::path::Path::new("."))?;
    let bundle = fixture::save(&store, WORKFLOW).await?;
    let engine = fixture::engine(&store, Arc::new(store.clone())).await?;
    let id = RunId::from("first");
    let end = engine.watch_end(&id);
    engine.start(fixture::start(id, "hello", &bundle, json!({ "n": 1 }))).await?;
    let state = end.await?;
    anyhow::ensure!(state == baton_core::run::RunState::Completed, "the first run ended {state}");
    Ok(())
}
