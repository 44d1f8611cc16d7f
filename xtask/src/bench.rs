//! `cargo xtask bench`: benchmark results, and their ratios to the limit of the same machine.

pub mod http;
pub mod models;
mod tools;

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::process;
use crate::report;
use crate::workspace::Workspace;

/// Run `baton bench` from a release build and print each figure against the limit of this machine.
///
/// Ratios travel between machines, figures do not. No figure fails this verb; only a bench that does not run does.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchOptions {
    #[command(subcommand)]
    what: Option<BenchTarget>,
    /// The document as `baton bench --json` prints it, without the table.
    #[arg(long)]
    json: bool,
    /// What else to hand to `baton bench`, behind `--`.
    #[arg(last = true)]
    rest: Vec<String>,
}

#[derive(Subcommand)]
enum BenchTarget {
    Http(http::HttpBenchOptions),
    Models(models::ModelBenchOptions),
    Tools(tools::ToolBenchOptions),
}

pub fn run(options: &BenchOptions, workspace: &Workspace) -> anyhow::Result<ExitCode> {
    match &options.what {
        Some(BenchTarget::Http(options)) => return http::run(options, workspace),
        Some(BenchTarget::Models(options)) => return models::run(options, workspace),
        Some(BenchTarget::Tools(options)) => return tools::run(options, workspace),
        None => {}
    }
    let mut command = workspace.cargo([
        "run",
        "--quiet",
        "--release",
        "--package",
        "baton-app",
        "--bin",
        "baton",
        "--",
        "bench",
        "--json",
    ]);
    command.args(&options.rest).stderr(std::process::Stdio::inherit());
    let finished = process::capture(&mut command)?;
    if !finished.status.success() {
        bail!("`{}` ended with {}", process::command_line(&command), finished.status);
    }
    if options.json {
        report::line(finished.stdout.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let document: Value =
        serde_json::from_str(&finished.stdout).context("`baton bench --json` printed no JSON document")?;
    for line in table(&document) {
        report::line(line);
    }
    Ok(ExitCode::SUCCESS)
}

/// One line per figure, and the ratios that matter. Figures that the document lacks are omitted.
fn table(document: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(sync) = document["sync"].as_str() {
        lines.push(format!("sync {sync}"));
    }
    lines.extend(document["cases"].as_array().into_iter().flatten().flat_map(case));
    if let Some(start) = document["cold_start_ms"].as_f64() {
        lines.push(format!("cold start {start:.1} ms"));
    }
    let parked = &document["parked"];
    if let (Some(runs), Some(memory), Some(disk)) =
        (parked["runs"].as_u64(), parked["rss_mb"].as_f64(), parked["disk_mb"].as_f64())
    {
        lines.push(format!("parked {runs} runs: {memory:.1} MB of memory, {disk:.1} MB of disk"));
    }
    let recover = &document["recover"];
    if let (Some(runs), Some(first), Some(all)) =
        (recover["runs"].as_u64(), recover["seconds_to_first_new"].as_f64(), recover["seconds_to_all"].as_f64())
    {
        lines.push(format!("recover {runs} runs: first new step after {first:.2} s, all after {all:.2} s"));
    }
    let programs = &document["programs"];
    if let (Some(half), Some(tail), Some(rate)) =
        (programs["pool_p50_us"].as_f64(), programs["pool_p99_us"].as_f64(), programs["programs_per_s_at_64"].as_f64())
    {
        lines.push(format!("programs from the pool: p50 {half:.0} µs, p99 {tail:.0} µs; {rate:.0}/s at 64"));
    }
    lines
}

fn case(case: &Value) -> Vec<String> {
    let name = case["case"].as_str().unwrap_or("?");
    let figure = |field: &str| case[field].as_f64();
    let title = match case["concurrency"].as_u64() {
        Some(tasks) => format!("{name} at {tasks}"),
        None => name.to_owned(),
    };
    let mut lines = Vec::new();
    if let Some(steps) = figure("steps_per_s") {
        let mut line = format!("{title:<24} {steps:>10.0} steps/s");
        if let (Some(half), Some(tail)) = (figure("p50_ms"), figure("p99_ms")) {
            line.push_str(&format!("  p50 {half:.2} ms  p99 {tail:.2} ms"));
        }
        for (field, word) in [("limit_steps_per_s", "of the limit"), ("limit_plain_steps_per_s", "of plain rows")] {
            if let Some(limit) = figure(field).filter(|limit| *limit > 0.0) {
                line.push_str(&format!("  {:.0} % {word}", 100.0 * steps / limit));
            }
        }
        lines.push(line);
    }
    if let (Some(first), Some(last)) = (figure("first_step_us"), figure("last_step_us")) {
        let ratio = if first > 0.0 { format!("  last is {:.2} × first", last / first) } else { String::new() };
        lines.push(format!("{title:<24} first step {first:.0} µs, last {last:.0} µs{ratio}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ratios_to_both_limits_are_printed() {
        let lines = table(&json!({"sync": "full", "cases": [{"case": "durable_steps", "concurrency": 64,
            "steps_per_s": 30000, "p50_ms": 1.5, "p99_ms": 4, "limit_steps_per_s": 60000, "limit_plain_steps_per_s": 120000}]}));
        assert_eq!(lines[0], "sync full");
        assert!(lines[1].starts_with("durable_steps at 64"), "{lines:?}");
        assert!(lines[1].contains("50 % of the limit") && lines[1].contains("25 % of plain rows"), "{lines:?}");
    }

    #[test]
    fn the_last_step_of_a_loop_is_told_against_the_first() {
        let lines = table(&json!({"cases": [{"case": "for_each_10000", "first_step_us": 20, "last_step_us": 30}]}));
        assert!(lines[0].contains("last is 1.50 × first"), "{lines:?}");
    }

    #[test]
    fn what_the_document_does_not_hold_is_not_made_up() {
        assert_eq!(table(&json!({})), Vec::<String>::new());
        let lines = table(&json!({"cases": [{"case": "x", "steps_per_s": 10, "limit_steps_per_s": 0}]}));
        assert!(!lines[0].contains('%'), "{lines:?}");
    }

    #[test]
    fn start_parked_and_recover_have_a_line_each() {
        let lines = table(&json!({"cold_start_ms": 31.5, "parked": {"runs": 100_000, "rss_mb": 80, "disk_mb": 900},
            "recover": {"runs": 10_000, "seconds_to_first_new": 0.5, "seconds_to_all": 4}}));
        assert_eq!(lines.len(), 3, "{lines:?}");
    }
}
