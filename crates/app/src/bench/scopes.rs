//! A for-each over many items: the last step must cost as much as the first.

use std::sync::Arc;

use baton_core::id::RunId;
use serde_json::{Value, json};

use super::fixture::{self, ScratchFolder};
use super::recorder::JournalRecorder;
use super::{BenchSize, median, round_figure};

/// Number of steps at each end that are compared.
const COMPARED: usize = 200;

fn workflow(items: usize) -> String {
    format!(
        "name: for_each\nversion: \"1\"\nnodes:\n  - id: each\n    type: loop\n    for_each: \"{{{{ items }}}}\"\n    \
         max_iterations: {items}\n    concurrency: 1\n    body:\n      nodes:\n        - id: step\n          \
         tool: calculator\n          parameters: {{expression: \"{{{{ item }}}} + 1\"}}\n"
    )
}

pub fn measure(size: BenchSize) -> anyhow::Result<Value> {
    let scratch = ScratchFolder::new()?;
    crate::commands::block_on(async {
        let store = fixture::store(scratch.path())?;
        let bundle = fixture::save(&store, &workflow(size.items)).await?;
        let recorder = JournalRecorder::wrap(Arc::new(store.clone()));
        let engine = fixture::engine(&store, recorder.clone()).await?;
        let id = RunId::from("for-each");
        let end = engine.watch_end(&id);
        let items: Vec<usize> = (0..size.items).collect();
        engine.start(fixture::start(id, "for_each", &bundle, json!({ "items": items }))).await?;
        let state = end.await?;
        anyhow::ensure!(state == baton_core::run::RunState::Completed, "the measured run ended {state}");
        engine.stop().await?;
        let answered: Vec<_> = recorder.take().into_iter().flat_map(|asked| asked.answered_at).collect();
        let between: Vec<f64> = answered.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e6).collect();
        anyhow::ensure!(between.len() >= size.items, "{} commits cannot hold {} steps", between.len(), size.items);
        let compared = COMPARED.min(between.len() / 4);
        // The very first steps also warm up caches, so the comparison skips them.
        let mut first = between[compared / 4..compared + compared / 4].to_vec();
        let mut last = between[between.len() - compared..].to_vec();
        let (first, last) = (median(&mut first), median(&mut last));
        Ok(json!({
            "case": format!("for_each_{}", size.items),
            "first_step_us": round_figure(first),
            "last_step_us": round_figure(last),
            "last_of_first": round_figure(last / first),
        }))
    })
}
