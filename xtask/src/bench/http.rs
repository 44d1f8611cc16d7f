//! `cargo xtask bench http`: workflows executed over HTTP at a steady rate, through a kill, and at the maximum rate.
//!
//! Each request executes a workflow of one simple agent, whose model is a mock that takes 5 ms. Load generator, mock
//! and server share the machine. Each request is sent when it is due, whatever the state of the earlier ones, and its
//! time counts from then: a server that stalls is charged for the requests it delayed. The benchmark measures the
//! shipped build, profile `dist`.

mod execute;
mod pace;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde_json::{Value, json};

use self::execute::ExecuteClient;
use self::pace::{PaceOutcome, RequestPace};
use super::models::{self, mock::MockModel, server::BenchServer};
use crate::report;
use crate::workspace::Workspace;

/// Response time of the mock model.
const MODEL_DELAY: Duration = Duration::from_millis(5);
/// At the ceiling, the 99th percentile reaches this time.
const CEILING_P99: Duration = Duration::from_millis(250);
/// The share of due requests that must be answered in time for a rate to count as sustained, in percent.
const ON_TIME_PERCENT: f64 = 95.0;
/// Number of bisection steps for the ceiling, once one rate was sustained and one was not.
const HALVINGS: usize = 4;
/// No machine reaches this rate.
const CEILING_MAX: u32 = 1 << 17;
/// Number of keys that are requested again after the kill.
const REPLAYED_KEYS: usize = 200;

const WORKFLOW: &str = "\
name: say
version: 1.0.0
input: {message: string}
nodes:
  - {id: answer, agent: clerk, task: \"{{ message }}\"}
";
const AGENT: &str = "\
type: simple
description: Answers a customer
model_profile: fast
system_prompt: You answer a customer in one sentence.
";

/// Measure workflows executed over HTTP: at a steady rate, through `kill -9` and a restart, and the ceiling.
///
/// Fails where a run that was accepted is lost, or one key began two.
#[derive(Args)]
pub struct HttpBenchOptions {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Seconds of the steady rate, and of the same through a kill.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Requests a second.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
    /// Measure this `baton` instead of building one.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

pub fn run(options: &HttpBenchOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    let binary = models::binary(options.binary.as_deref(), workspace)?;
    let length = Duration::from_secs(options.seconds.max(1));
    let plan =
        HttpBenchPlan { rate: options.rate.max(1), length, step: length.div_f64(12.0).max(Duration::from_secs(1)) };
    let figures = measure(&binary, &plan)?;
    if options.json {
        report::line(figures);
    } else {
        print_figures(&figures);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs every part once for a short time. Checks that the parts work and lose nothing, not how fast they are.
pub fn smoke(binary: &Path) -> anyhow::Result<()> {
    let length = Duration::from_secs(2);
    let figures = measure(binary, &HttpBenchPlan { rate: 20, length, step: Duration::from_millis(500) })?;
    ensure!(figures["steady"]["errors"] == 0, "requests failed: {figures}");
    Ok(())
}

/// The size of the benchmark.
struct HttpBenchPlan {
    rate: u32,
    length: Duration,
    /// How long each rate is tried while the ceiling is searched.
    step: Duration,
}

fn measure(binary: &Path, plan: &HttpBenchPlan) -> anyhow::Result<Value> {
    let mock = MockModel::start(MODEL_DELAY)?;
    let files = [("workflows/say.yaml", WORKFLOW), ("agents/clerk.yaml", AGENT)];
    let mut server = BenchServer::start_with(binary, mock.port(), &files)?;
    let asking = ExecuteClient { port: server.port(), key: server.key().to_owned() };
    // Warm up connections, caches and the database file.
    let warm = RequestPace { rate: plan.rate.min(100), length: Duration::from_secs(1) }.run(&asking, "warm")?;
    let steady = RequestPace { rate: plan.rate, length: plan.length }.run(&asking, "steady")?;
    let mut accepted: BTreeSet<String> = warm.runs().chain(steady.runs()).collect();
    execute::check_journal(&asking, &accepted)?;

    let through = std::thread::scope(|scope| {
        let load = scope.spawn(|| RequestPace { rate: plan.rate, length: plan.length }.run(&asking, "kill"));
        std::thread::sleep(plan.length / 2);
        let restarted = server.kill_and_restart();
        let through = load.join().map_err(|_| anyhow::anyhow!("the load broke off"))?;
        restarted.and(through)
    })?;
    ensure!(
        through.errors() == 0,
        "{} requests got no 2xx through the kill: {}",
        through.errors(),
        through.first_error()
    );
    let before = accepted.len();
    accepted.extend(through.runs());
    ensure!(accepted.len() - before == through.answered(), "two keys were answered with one run");
    execute::check_journal(&asking, &accepted)?;
    let again = through.keys(REPLAYED_KEYS);
    execute::check_replays(&asking, &again)?;

    let ceiling = ceiling(plan, |rate| {
        let tried = RequestPace { rate, length: plan.step }.run(&asking, &format!("ceiling-{rate}"))?;
        Ok(holds(&tried, rate, plan.step))
    })?;
    Ok(json!({
        "steady": steady.figures(plan.length),
        "killed": {
            "keys": through.answered(),
            "asked_again": through.repeated(),
            "runs": through.runs().count(),
        },
        "ceiling_requests_per_s": ceiling,
        "rss_mb": server.resident_mb(),
    }))
}

/// The highest sustained rate, searched from a quarter of the plan's rate upwards. 0 if not even that is sustained.
fn ceiling(plan: &HttpBenchPlan, mut holds: impl FnMut(u32) -> anyhow::Result<bool>) -> anyhow::Result<u32> {
    let (mut held, mut rate) = (0, (plan.rate / 4).max(1));
    while rate <= CEILING_MAX && holds(rate)? {
        held = rate;
        rate *= 2;
    }
    if rate > CEILING_MAX {
        return Ok(held);
    }
    let mut broke = rate;
    for _ in 0..HALVINGS {
        let middle = held.midpoint(broke);
        if middle == held {
            break;
        }
        if holds(middle)? {
            held = middle;
        } else {
            broke = middle;
        }
    }
    Ok(held)
}

fn holds(tried: &PaceOutcome, rate: u32, length: Duration) -> bool {
    let share = tried.per_second(length) / f64::from(rate) * 100.0;
    tried.errors() == 0 && tried.percentile(99) < CEILING_P99 && share >= ON_TIME_PERCENT
}

fn print_figures(figures: &Value) {
    let (steady, killed) = (&figures["steady"], &figures["killed"]);
    report::line(format_args!(
        "steady   {} requests/s  p50 {} ms  p95 {} ms  p99 {} ms  {} errors",
        steady["requests_per_s"], steady["p50_ms"], steady["p95_ms"], steady["p99_ms"], steady["errors"]
    ));
    report::line(format_args!(
        "killed   {} keys, {} asked again, one run each, none lost",
        killed["keys"], killed["asked_again"]
    ));
    report::line(format_args!(
        "ceiling  {} requests/s at p99 < {} ms, {} MB",
        figures["ceiling_requests_per_s"],
        CEILING_P99.as_millis(),
        figures["rss_mb"]
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_the_highest_rate_that_holds() {
        let plan = HttpBenchPlan { rate: 1_000, length: Duration::ZERO, step: Duration::ZERO };
        for (limit, found) in [(0, 0), (249, 234), (1_900, 1_875), (4_000, 4_000)] {
            assert_eq!(ceiling(&plan, |rate| Ok(rate <= limit)).unwrap(), found, "{limit}");
        }
        assert_eq!(ceiling(&plan, |_| Ok(true)).unwrap(), 128_000);
    }
}
