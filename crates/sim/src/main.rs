//! `baton-sim`: searches seeds for a run that breaks a promise, prints the transcript of one seed, or proves that
//! planted faults are found.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use baton_core::mutant::Mutant;
use baton_sim::case::CaseGenerator;
use baton_sim::coverage::{self, FaultCoverage};
use baton_sim::draw::SimCatalog;
use baton_sim::scenario::{self, ScenarioPage};
use baton_sim::seed_search::{self, MUTANT_SEEDS_MAX, SeedSearch, SeedSearchResult};
use clap::Parser;

/// Default number of seeds to search.
const SEEDS_DEFAULT: u64 = 20_000;
/// With fewer seeds than this, an empty cell is not significant.
const COVERAGE_SEEDS_MIN: u64 = 20_000;
/// Number of transcript lines shown with a violation.
const LAST_LINES: usize = 40;
/// The file of the table.
const COVERAGE_PAGE: &str = "docs/reference/sim-coverage.md";

#[derive(Parser)]
#[command(name = "baton-sim", about = "A seeded world with faults, searched for a run that breaks a promise.")]
struct SimCliOptions {
    /// How many seeds to search.
    #[arg(long, value_name = "N", conflicts_with = "seed")]
    seeds: Option<u64>,
    /// Run this one seed and tell its story.
    #[arg(long, value_name = "X")]
    seed: Option<u64>,
    /// The first seed.
    #[arg(long, value_name = "X", default_value_t = 0)]
    from: u64,
    /// Stop after so many minutes, however many seeds that is.
    #[arg(long, value_name = "M")]
    minutes: Option<u64>,
    /// Plant each mutant in turn; every one must be found.
    #[arg(long)]
    mutants: bool,
    /// Threads to search with; all cores where left out.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Tell the courses of this page of scenarios, as they go under the seed `--from`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "seed", "minutes", "mutants"])]
    scenario: Option<PathBuf>,
    /// Write the coverage table to `docs/reference/sim-coverage.md`.
    #[arg(long)]
    bless: bool,
}

fn main() -> ExitCode {
    let options = SimCliOptions::parse();
    let mut out = io::stdout().lock();
    let outcome = match (options.seed, &options.scenario) {
        (Some(seed), _) => print_seed(&mut out, seed),
        (None, Some(page)) => print_scenario(&mut out, page, options.from),
        (None, None) if options.mutants => mutants(&mut out, &options),
        (None, None) => search(&mut out, &options),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // If this fails too, there is no way to report it.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

type SimCliResult = Result<bool, Box<dyn std::error::Error>>;

fn threads(options: &SimCliOptions) -> usize {
    options.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1)
}

fn print_seed(out: &mut impl Write, seed: u64) -> SimCliResult {
    let mut deck = CaseGenerator::new()?;
    let case = deck.case(seed)?;
    for definition in &case.workflows.definitions {
        writeln!(out, "{definition:#}")?;
    }
    writeln!(out, "planned: {:#?}", case.plan)?;
    let report = seed_search::run_seed(seed, &mut deck, &mut FaultCoverage::default(), true)?;
    for line in &report.story {
        writeln!(out, "{line}")?;
    }
    match report.violation {
        Some(violation) => {
            writeln!(out, "\nseed {seed} breaks `{}`: {}", violation.rule, violation.what)?;
            Ok(false)
        }
        None => {
            writeln!(out, "\nseed {seed} keeps every promise, in {} steps", report.steps)?;
            Ok(true)
        }
    }
}

fn print_scenario(out: &mut impl Write, page: &Path, seed: u64) -> SimCliResult {
    let catalog = SimCatalog::new()?;
    let mut all = true;
    for course in ScenarioPage::read(&std::fs::read_to_string(page)?, &catalog)?.cases {
        let played = scenario::play(&course, &catalog, seed);
        writeln!(out, "\n# {}\n\n{}", course.name, played.story.join("\n"))?;
        if let Some(wrong) = played.failure.clone().or_else(|| course.difference(&played)) {
            writeln!(out, "\n{wrong}")?;
            all = false;
        }
    }
    Ok(all)
}

fn search(out: &mut impl Write, options: &SimCliOptions) -> SimCliResult {
    let unlimited = if options.minutes.is_some() { u64::MAX } else { SEEDS_DEFAULT };
    let begun = Instant::now();
    let found = seed_search::search(SeedSearch {
        from: options.from,
        seeds: options.seeds.unwrap_or(unlimited),
        limit: options.minutes.map(|minutes| Duration::from_secs(60 * minutes)),
        threads: threads(options),
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = found.seeds as f64 / seconds;
    writeln!(out, "{} seeds, {} steps, {seconds:.1} s, {rate:.0} seeds/s", found.seeds, found.steps)?;
    if let Some((seed, violation)) = &found.violation {
        writeln!(out, "\nseed {seed} breaks `{}`: {}\n", violation.rule, violation.what)?;
        let report = seed_search::run_seed(*seed, &mut CaseGenerator::new()?, &mut FaultCoverage::default(), true)?;
        for line in report.story.iter().skip(report.story.len().saturating_sub(LAST_LINES)) {
            writeln!(out, "{line}")?;
        }
        writeln!(out, "\nrepeat it with: cargo xtask sim --seed {seed}")?;
        return Ok(false);
    }
    print_coverage(out, options, &found)
}

/// Prints the table. An empty cell is an error, once enough seeds were searched for it to be significant.
fn print_coverage(out: &mut impl Write, options: &SimCliOptions, found: &SeedSearchResult) -> SimCliResult {
    let table = coverage::markdown(&found.coverage, found.seeds);
    writeln!(out, "\n{table}")?;
    if options.bless {
        std::fs::write(COVERAGE_PAGE, &table)?;
        writeln!(out, "wrote {COVERAGE_PAGE}")?;
    }
    let empty = found.coverage.empty();
    for cell in &empty {
        writeln!(out, "empty: {} × {} × {}", cell.kind, cell.column.word(), cell.instant.word())?;
    }
    if !empty.is_empty() && found.seeds < COVERAGE_SEEDS_MIN {
        writeln!(out, "{} cells are empty; that fails from {COVERAGE_SEEDS_MIN} seeds on", empty.len())?;
        return Ok(true);
    }
    Ok(empty.is_empty())
}

fn mutants(out: &mut impl Write, options: &SimCliOptions) -> SimCliResult {
    let begun = Instant::now();
    let found = seed_search::find_mutants(&Mutant::ALL, options.from, threads(options))?;
    let mut all = true;
    for (mutant, seed) in &found {
        match seed {
            Some((seed, violation)) => writeln!(out, "{mutant:?}: seed {seed} breaks `{}`", violation.rule)?,
            None => {
                all = false;
                writeln!(out, "{mutant:?}: NOT FOUND within {MUTANT_SEEDS_MAX} seeds")?;
            }
        }
    }
    writeln!(out, "{} mutants, {:.1} s", found.len(), begun.elapsed().as_secs_f64())?;
    Ok(all)
}
