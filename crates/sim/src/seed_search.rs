//! Searches many seeds on all cores, for a broken promise or for a planted fault that is not detected.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use baton_core::mutant::{Mutant, plant};

use crate::case::CaseGenerator;
use crate::coverage::FaultCoverage;
use crate::oracle::PromiseViolation;
use crate::simulation::{FaultInjector, SimReport, Simulation};

/// Number of seeds that one thread takes at a time.
const CHUNK: u64 = 64;
/// Number of seeds among which each planted fault must be found.
pub const MUTANT_SEEDS_MAX: u64 = 5_000;

/// The range of seeds, and the time limit.
#[derive(Clone, Copy, Debug)]
pub struct SeedSearch {
    pub from: u64,
    pub seeds: u64,
    pub limit: Option<Duration>,
    pub threads: usize,
}

/// The result of a search.
#[derive(Debug, Default)]
pub struct SeedSearchResult {
    pub seeds: u64,
    pub steps: u64,
    pub coverage: FaultCoverage,
    /// The lowest seed that broke a promise, and how.
    pub violation: SeedViolation,
}

/// Searches until a promise is broken, the seeds are used up or the time is over.
pub fn search(search: SeedSearch) -> Result<SeedSearchResult, String> {
    let next = AtomicU64::new(search.from);
    let stop = AtomicBool::new(false);
    let found = Mutex::new(SeedSearchResult::default());
    let begun = Instant::now();
    let one = || -> Result<(), String> {
        let mut deck = CaseGenerator::new().map_err(|error| error.to_string())?;
        let mut own = SeedSearchResult::default();
        while !stop.load(Ordering::Relaxed) && search.limit.is_none_or(|limit| begun.elapsed() < limit) {
            let first = next.fetch_add(CHUNK, Ordering::Relaxed);
            let last = (first + CHUNK).min(search.from.saturating_add(search.seeds));
            if first >= last {
                break;
            }
            for seed in first..last {
                let report = run_seed(seed, &mut deck, &mut own.coverage, false)?;
                own.seeds += 1;
                own.steps += report.steps;
                if let Some(violation) = report.violation {
                    stop.store(true, Ordering::Relaxed);
                    own.violation = Some((seed, violation));
                    break;
                }
            }
        }
        found.lock().unwrap_or_else(PoisonError::into_inner).add(own);
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..search.threads.max(1)).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

impl SeedSearchResult {
    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.coverage.add(&other.coverage);
        let is_first = match (&self.violation, &other.violation) {
            (None, _) => true,
            (Some((ours, _)), Some((theirs, _))) => theirs < ours,
            (Some(_), None) => false,
        };
        if is_first {
            self.violation = other.violation;
        }
    }
}

/// Plays one seed.
pub fn run_seed(
    seed: u64,
    deck: &mut CaseGenerator,
    coverage: &mut FaultCoverage,
    story: bool,
) -> Result<SimReport, String> {
    let case = deck.case(seed).map_err(|error| format!("seed {seed} draws no workflow: {error}"))?;
    Ok(Simulation::new(&case, &deck.catalog, coverage, FaultInjector::of(&case), story).run())
}

/// The seed that broke a promise, and how.
pub type SeedViolation = Option<(u64, PromiseViolation)>;

/// The first seed that finds each of these planted faults, and the promise that it broke; `None` if no seed does.
pub fn find_mutants(mutants: &[Mutant], from: u64, threads: usize) -> Result<Vec<(Mutant, SeedViolation)>, String> {
    let next = AtomicU64::new(0);
    let found = Mutex::new(Vec::new());
    let one = || -> Result<(), String> {
        let mut deck = CaseGenerator::new().map_err(|error| error.to_string())?;
        while let Some(mutant) =
            usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().and_then(|at| mutants.get(at))
        {
            let seed = find_mutant(*mutant, from, &mut deck)?;
            found.lock().unwrap_or_else(PoisonError::into_inner).push((*mutant, seed));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(one)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(mutant, _)| *mutant);
    Ok(found)
}

fn find_mutant(mutant: Mutant, from: u64, deck: &mut CaseGenerator) -> Result<SeedViolation, String> {
    let mut coverage = FaultCoverage::default();
    plant(Some(mutant));
    let found = (from..from + MUTANT_SEEDS_MAX).find_map(|seed| match run_seed(seed, deck, &mut coverage, false) {
        Ok(report) => report.violation.map(|violation| Ok((seed, violation))),
        Err(error) => Some(Err(error)),
    });
    plant(None);
    found.transpose()
}
