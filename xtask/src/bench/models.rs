//! `cargo xtask bench models`: the overhead of the gateway on a model call.
//!
//! A mock upstream answers every chat completion with the same bytes. It is called directly, and through `baton serve`
//! with routing, reservation and decision records enabled. Rounds alternate, and medians are reported. Load generator,
//! mock and server share the machine, so only the two cases of one run are comparable. The benchmark measures the
//! shipped build, profile `dist`. Its binary is smaller, so less memory is resident.

pub mod load;
pub mod mock;
pub mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use self::load::{LoadRound, WrkLoad};
use self::mock::MockModel;
use self::server::BenchServer;
use crate::build::{self, BuildSelection};
use crate::report;
use crate::workspace::Workspace;

/// Numbers of connections, one case for each.
const CONNECTIONS: [usize; 2] = [1, 64];
const ROUNDS: usize = 5;

/// Measure what the gateway adds to a call to a model, beside direct calls to the same mock upstream.
#[derive(Args)]
pub struct ModelBenchOptions {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Seconds of each round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Measure this `baton` instead of building one.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

pub fn run(options: &ModelBenchOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let binary = binary(options.binary.as_deref(), workspace)?;
    let cases = measure(&binary, Duration::from_secs(options.seconds.max(1)), ROUNDS)?;
    if options.json {
        report::line(json!({ "cases": cases }));
    } else {
        print_cases(&cases);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs every case once for a short time. Checks that every request is answered, not how fast.
pub fn smoke(binary: &Path) -> anyhow::Result<()> {
    measure(binary, Duration::from_millis(300), 1).map(drop)
}

/// The binary to measure: the given one, or the shipped build.
pub fn binary(named: Option<&Path>, workspace: &Workspace) -> anyhow::Result<PathBuf> {
    if let Some(named) = named {
        // The process starts in a different folder, so the path must be absolute.
        return Ok(std::path::absolute(named)?);
    }
    let built = build::build(workspace, "dist", &BuildSelection::Binary { package: "baton-app", name: "baton" })?;
    let binary = build::binary(&built, "baton").ok_or_else(|| anyhow::anyhow!("no binary `baton` was built"))?;
    Ok(binary.to_owned())
}

fn measure(binary: &Path, length: Duration, rounds: usize) -> anyhow::Result<Vec<Value>> {
    let mock = MockModel::start(Duration::ZERO)?;
    let server = BenchServer::start(binary, mock.port())?;
    let direct = WrkLoad { port: mock.port(), path: "/v1/chat/completions", key: "none", length };
    let through = WrkLoad { port: server.port(), path: "/v1/chat/completions", key: server.key(), length };
    let mut cases = Vec::new();
    for connections in CONNECTIONS {
        let (mut alone, mut ours) = (Vec::new(), Vec::new());
        through.warm_up(connections)?;
        for _ in 0..rounds {
            alone.push(direct.round(connections)?);
            ours.push(through.round(connections)?);
        }
        cases.push(case("direct", connections, &mut alone, mock.resident_mb()));
        cases.push(case("baton", connections, &mut ours, server.resident_mb()));
    }
    Ok(cases)
}

fn case(name: &str, connections: usize, rounds: &mut [LoadRound], resident_mb: Option<f64>) -> Value {
    let mut median = |of: fn(&LoadRound) -> f64| {
        rounds.sort_by(|a, b| of(a).total_cmp(&of(b)));
        (of(&rounds[rounds.len() / 2]) * 10.0).round() / 10.0
    };
    json!({
        "case": name,
        "connections": connections,
        "requests_per_s": median(|round| round.per_second).round(),
        "p50_us": median(|round| round.p50_us),
        "p99_us": median(|round| round.p99_us),
        "rss_mb": resident_mb,
    })
}

fn print_cases(cases: &[Value]) {
    for pair in cases.chunks(2) {
        for case in pair {
            report::line(format_args!(
                "{:<7} {:>3} connections {:>8} requests/s  p50 {:>7} µs  p99 {:>8} µs  {} MB",
                case["case"].as_str().unwrap_or("?"),
                case["connections"],
                case["requests_per_s"],
                case["p50_us"],
                case["p99_us"],
                case["rss_mb"],
            ));
        }
        if let [direct, ours] = pair
            && let (Some(direct), Some(ours)) = (direct["p50_us"].as_f64(), ours["p50_us"].as_f64())
        {
            report::line(format_args!("        added p50 {:.0} µs", ours - direct));
        }
    }
}
