//! Programs of agents: the time for one from the pool, in a new process and across a pause, and programs per second.

use std::collections::BTreeMap;
use std::time::Instant;

use baton_core::agent::{ProgramOutcome, SandboxProgram};
use baton_core::tool::ToolEnvelope;
use baton_ports::sandbox::Sandbox as _;
use baton_tools::sandbox::{SandboxConfig, SandboxPool};
use futures::future::join_all;
use serde_json::{Value, json};

use super::{BenchSize, median, percentile, round_figure};

/// Number of concurrent programs when throughput is measured.
const CONCURRENCY: usize = 64;

pub fn measure(size: BenchSize) -> anyhow::Result<Value> {
    crate::commands::block_on(async {
        let pool = crate::wiring::sandbox(&SandboxConfig::default())?;
        let mut started = Vec::new();
        for _ in 0..size.programs {
            started.push(micros(pool.probe().await.map_err(failed)?.took));
        }
        let mut served = Vec::new();
        for _ in 0..size.programs {
            pool.warm().await.map_err(failed)?;
            let began = Instant::now();
            finished(&pool, &program("1 + 1", &[])).await?;
            served.push(micros(began.elapsed()));
        }
        let mut over_a_pause = Vec::new();
        for _ in 0..size.programs {
            over_a_pause.push(paused(&pool).await?);
        }
        let began = Instant::now();
        for _ in 0..size.programs.div_ceil(CONCURRENCY) {
            let program = program("1 + 1", &[]);
            let all = join_all((0..CONCURRENCY).map(|_| finished(&pool, &program))).await;
            all.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        }
        let count = u32::try_from(size.programs.div_ceil(CONCURRENCY) * CONCURRENCY)?;
        Ok(json!({
            "pool_p50_us": round_figure(median(&mut served)),
            "pool_p99_us": round_figure(percentile(&mut served, 0.99)),
            "child_start_p50_us": round_figure(median(&mut started)),
            "resume_p50_us": round_figure(median(&mut over_a_pause)),
            "programs_per_s_at_64": round_figure(f64::from(count) / began.elapsed().as_secs_f64()),
        }))
    })
}

/// Microseconds from a call's result to the end of the program that waited for it.
async fn paused(pool: &SandboxPool) -> anyhow::Result<f64> {
    let ran = pool.run(&program("find(id=1) + 1", &["find"]), &pool.limits()).await;
    let ProgramOutcome::Calls { snapshot, .. } = ran.map_err(failed)? else {
        anyhow::bail!("the measured program did not wait")
    };
    pool.warm().await.map_err(failed)?;
    let result: ToolEnvelope = serde_json::from_value(json!({
        "success": true, "tool": "find", "data": 1, "duration_ms": 1, "cached": false, "cost_usd": 0.0,
    }))?;
    let began = Instant::now();
    finished(pool, &SandboxProgram::Resume { snapshot, results: vec![result] }).await?;
    Ok(micros(began.elapsed()))
}

async fn finished(pool: &SandboxPool, program: &SandboxProgram) -> anyhow::Result<()> {
    let ran = pool.run(program, &pool.limits()).await.map_err(failed)?;
    anyhow::ensure!(matches!(ran, ProgramOutcome::Finished { .. }), "a measured program came to {ran:?}");
    Ok(())
}

fn program(source: &str, tools: &[&str]) -> SandboxProgram {
    SandboxProgram::Start {
        source: source.to_owned(),
        inputs: BTreeMap::new(),
        tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
    }
}

fn failed(fault: baton_core::fault::Fault) -> anyhow::Error {
    anyhow::anyhow!("{fault}")
}

fn micros(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
