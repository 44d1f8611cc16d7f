//! `baton bench`: the performance of this machine, as ratios measured in one run.
//!
//! A *step* is one `tool` node that calls `calculator` through the whole pipeline, with its audit row in the same
//! append. Ten steps in sequence are a run. The *limit* replays the same statements and bytes through one writer from
//! as many tasks, without an engine. `limit_plain` writes one row per step with the same journal bytes. Rounds
//! alternate, and the median is reported.

mod cold;
mod fixture;
mod memory;
mod parked;
mod programs;
mod recorder;
mod recover;
mod scopes;
mod steps;
mod store_limit;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::cli::BenchArgs;
use crate::{CommandExit, UsageError, print};

pub use cold::first_run as cold_one;
pub use parked::serve as parked_serve;
pub use recover::begin as recover_begin;

const CASES: [&str; 8] =
    ["durable_steps", "pure_chain", "for_each_10000", "cold_start", "parked", "recover", "programs", "memory"];
/// Number of alternating rounds for each measured pair.
const ROUNDS: usize = 5;
/// Stack size of a case, in bytes. It equals that of the main thread.
const STACK_BYTES: usize = 8 << 20;

/// The size of the measurements.
#[derive(Clone, Copy)]
pub struct BenchSize {
    pub runs: usize,
    pub rounds: usize,
    pub items: usize,
    pub cold_starts: usize,
    pub parked: usize,
    pub parked_signalled: usize,
    pub recover: usize,
    pub programs: usize,
    /// Number of indexed chunks, and of searches.
    pub pieces: usize,
    pub searches: usize,
    /// How long the fresh process is observed, in seconds.
    pub watch_seconds: u64,
    /// Time limit of one case.
    pub case_limit: Duration,
}

impl BenchSize {
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
        case_limit: Duration::from_secs(30 * 60),
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
        case_limit: Duration::from_secs(4 * 60),
    };
}

/// A function that measures one case.
type BenchMeasure = fn(BenchSize) -> anyhow::Result<Value>;

pub fn run(args: &BenchArgs) -> anyhow::Result<CommandExit> {
    if let Some(unknown) = args.cases.iter().find(|case| !CASES.contains(&case.as_str())) {
        return Err(UsageError::new(format!("no case `{unknown}`"))
            .hint(format!("there are {}", CASES.join(", ")))
            .into());
    }
    let size = if args.smoke { BenchSize::SMOKE } else { BenchSize::FULL };
    let mut report = BenchReport::start_document(args.json);
    let done = measure_all(args, size, &mut report);
    report.finish_document(done.as_ref().err());
    done.map(|()| CommandExit::Completed)
}

fn measure_all(args: &BenchArgs, size: BenchSize, report: &mut BenchReport) -> anyhow::Result<()> {
    let wanted = |case: &str| args.cases.is_empty() || args.cases.iter().any(|wanted| wanted == case);
    let of_steps: [(&str, &str, BenchMeasure); 5] = [
        ("durable_steps", "durable steps, 1 at once", |size| steps::measure("durable_steps", 1, size)),
        ("durable_steps", "durable steps, 64 at once", |size| steps::measure("durable_steps", 64, size)),
        ("durable_steps", "durable steps, 1,024 at once", |size| steps::measure("durable_steps", 1_024, size)),
        ("pure_chain", "a chain of pure nodes", |size| steps::measure("pure_chain", 64, size)),
        ("for_each_10000", "for-each", scopes::measure),
    ];
    for (case, what, measure) in of_steps {
        if wanted(case) {
            report.record_case(run_within_limit(what, size, measure)?);
        }
    }
    report.end_cases();
    let others: [(&str, &str, &str, BenchMeasure); 5] = [
        ("cold_start", "cold_start_ms", "cold start", cold::measure),
        ("parked", "parked", "parked runs", parked::measure),
        ("recover", "recover", "recovery", recover::measure),
        ("programs", "programs", "programs of agents", programs::measure),
        ("memory", "memory", "searches of memory", memory::measure),
    ];
    for (case, name, what, measure) in others {
        if wanted(case) {
            report.record_figure(name, run_within_limit(what, size, measure)?);
        }
    }
    Ok(())
}

/// Measures one case within the time limit. Work that it leaves behind ends with this process.
fn run_within_limit(what: &str, size: BenchSize, measure: BenchMeasure) -> anyhow::Result<Value> {
    print::note(format_args!("{what} …"));
    let began = Instant::now();
    let (sender, measured) = mpsc::sync_channel(1);
    let work = move || {
        // The receiver may be gone.
        let _ = sender.send(measure(size));
    };
    std::thread::Builder::new().name("bench".into()).stack_size(STACK_BYTES).spawn(work)?;
    let limit = size.case_limit;
    let measured = match measured.recv_timeout(limit) {
        Ok(measured) => measured,
        Err(RecvTimeoutError::Timeout) => {
            fixture::remove_scratch_folders();
            Err(anyhow::anyhow!("it was not done within {} s and is given up", limit.as_secs()))
        }
        Err(RecvTimeoutError::Disconnected) => Err(anyhow::anyhow!("it broke off, which is a defect of this program")),
    };
    let value = measured.map_err(|error| error.context(format!("the case \"{what}\" measured nothing")))?;
    print::note(format_args!("{what}: done in {:.1} s", began.elapsed().as_secs_f64()));
    Ok(value)
}

/// Prints the progress of a case to standard error.
fn print_progress(text: impl std::fmt::Display) {
    print::note(format_args!("  {text}"));
}

/// The report: `cases`, then one field for each case. In JSON mode each result is printed on its own line as soon as
/// its case is done. All lines together form the document.
struct BenchReport {
    is_json: bool,
    cases: Vec<Value>,
    fields: Map<String, Value>,
    are_cases_over: bool,
}

impl BenchReport {
    fn start_document(is_json: bool) -> Self {
        if is_json {
            print::line(r#"{"sync":"full","cases":["#);
        }
        Self { is_json, cases: Vec::new(), fields: Map::new(), are_cases_over: false }
    }

    fn record_case(&mut self, value: Value) {
        if self.is_json {
            if !self.cases.is_empty() {
                print::line(",");
            }
            print::json(&value);
        }
        self.cases.push(value);
    }

    fn end_cases(&mut self) {
        if self.is_json && !self.are_cases_over {
            print::line("]");
        }
        self.are_cases_over = true;
    }

    fn record_figure(&mut self, name: &str, value: Value) {
        if self.is_json {
            print::line(format_args!(",{}:", json!(name)));
            print::json(&value);
        }
        self.fields.insert(name.to_owned(), value);
    }

    /// A report with missing cases is a complete document too, and gives the reason.
    fn finish_document(mut self, failed: Option<&anyhow::Error>) {
        self.end_cases();
        if let Some(error) = failed {
            self.record_figure("failed", json!(format!("{error:#}")));
        }
        if self.is_json {
            print::line("}");
            return;
        }
        let mut document =
            Map::from_iter([("sync".to_owned(), json!("full")), ("cases".to_owned(), json!(self.cases))]);
        document.append(&mut self.fields);
        print::pretty(&Value::Object(document));
    }
}

/// The median of the values.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The value that a `share` of all values does not exceed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = ((values.len() as f64 * share) as usize).min(values.len().saturating_sub(1));
    values.get(place).copied().unwrap_or(0.0)
}

pub fn round_figure(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
