//! `baton bench`: what this machine does, as ratios taken in one run.
//!
//! A *step* is one `tool` node that calls `calculator` through the whole pipeline, with its audit row in the same
//! append; ten in a row are a run. The *limit* replays the same statements and bytes through one writer from as many
//! tasks, with no engine; `limit_plain` is one row per step of the same journal bytes. Rounds alternate, and the median
//! is quoted.

mod cold;
mod limit;
mod memory;
mod parked;
mod programs;
mod recorder;
mod recover;
mod scopes;
mod steps;
mod world;

use serde_json::{Map, Value, json};

use crate::cli::Bench;
use crate::{Exit, Misuse, print};

pub use cold::one as cold_one;
pub use parked::serve as parked_serve;
pub use recover::begin as recover_begin;

const CASES: [&str; 8] =
    ["durable_steps", "pure_chain", "for_each_10000", "cold_start", "parked", "recover", "programs", "memory"];
/// Alternating rounds of each measured pair.
const ROUNDS: usize = 5;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Size {
    pub runs: usize,
    pub rounds: usize,
    pub items: usize,
    pub cold_starts: usize,
    pub parked: usize,
    pub parked_signalled: usize,
    pub recover: usize,
    pub programs: usize,
    /// Pieces that are searched, and searches.
    pub pieces: usize,
    pub searches: usize,
    /// Seconds the fresh process is watched.
    pub watch_seconds: u64,
}

impl Size {
    const FULL: Self = Self {
        runs: 4_000,
        rounds: ROUNDS,
        items: 10_000,
        cold_starts: 20,
        parked: 100_000,
        parked_signalled: 1_000,
        recover: 10_000,
        programs: 512,
        pieces: 100_000,
        searches: 200,
        watch_seconds: 10,
    };
    const SMOKE: Self = Self {
        runs: 20,
        rounds: 1,
        items: 200,
        cold_starts: 2,
        parked: 200,
        parked_signalled: 20,
        recover: 100,
        programs: 8,
        pieces: 200,
        searches: 4,
        watch_seconds: 1,
    };
}

pub fn run(args: &Bench) -> anyhow::Result<Exit> {
    if let Some(unknown) = args.cases.iter().find(|case| !CASES.contains(&case.as_str())) {
        return Err(Misuse::new(format!("no case `{unknown}`")).hint(format!("there are {}", CASES.join(", "))).into());
    }
    let size = if args.smoke { Size::SMOKE } else { Size::FULL };
    let wanted = |case: &str| args.cases.is_empty() || args.cases.iter().any(|wanted| wanted == case);
    let mut cases = Vec::new();
    let mut report = Map::new();
    report.insert("sync".to_owned(), json!("full"));
    if wanted("durable_steps") {
        for concurrency in [1, 64, 1_024] {
            tell(args, &format!("durable steps, {concurrency} at once"));
            cases.push(steps::measure("durable_steps", concurrency, size)?);
        }
    }
    if wanted("pure_chain") {
        tell(args, "a chain of pure nodes");
        cases.push(steps::measure("pure_chain", 64, size)?);
    }
    if wanted("for_each_10000") {
        tell(args, "for-each");
        cases.push(scopes::measure(size)?);
    }
    report.insert("cases".to_owned(), Value::Array(cases));
    if wanted("cold_start") {
        tell(args, "cold start");
        report.insert("cold_start_ms".to_owned(), cold::measure(size)?);
    }
    if wanted("parked") {
        tell(args, "parked runs");
        report.insert("parked".to_owned(), parked::measure(size)?);
    }
    if wanted("recover") {
        tell(args, "recovery");
        report.insert("recover".to_owned(), recover::measure(size)?);
    }
    if wanted("programs") {
        tell(args, "programs of agents");
        report.insert("programs".to_owned(), programs::measure(size)?);
    }
    if wanted("memory") {
        tell(args, "searches of memory");
        report.insert("memory".to_owned(), memory::measure(size)?);
    }
    if args.json {
        print::json(&Value::Object(report))
    } else {
        print::pretty(&Value::Object(report))
    }
    Ok(Exit::Completed)
}

fn tell(args: &Bench, what: &str) {
    if !args.json {
        print::note(what);
    }
}

/// The middle of what was measured.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The value that `share` of all are at or below.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(place).copied().unwrap_or(0.0)
}

pub fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
