//! One round of each fault mode.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::FaultMode;
use super::liveness::RunEndCounts;
use super::load::{self, LoadRequest};
use super::random::SplitMix;
use super::shim::DiskFault;
use super::trial::FaultTrial;

/// Time limit for a server to end, plus the time in which a busy machine notices it.
const EXIT_MAX: Duration = Duration::from_secs(10);
const EXIT_SEEN: Duration = Duration::from_secs(2);
/// The limit after a second signal, which ends the server immediately.
const SECOND_EXIT_MAX: Duration = Duration::from_secs(3);

const SECOND_NS: i64 = 1_000_000_000;
/// Jumps of the clock, forward and back.
const STEPS_S: [i64; 9] = [1, 5, 30, 60, 600, 3_600, 86_400, 7 * 86_400, 30 * 86_400];
/// Maximum distance of the clock from the system's.
const OFFSET_S_MAX: i64 = 31 * 86_400;
/// Every timer that was set in a round is due this long after the latest clock of the round.
const TIMERS_NS: i64 = 10 * SECOND_NS;

const PAGE_BYTES: u64 = 4096;
/// How long a damaged server is observed, and the highest processor use that it may have in that time, in percent.
const WATCH_TIME: Duration = Duration::from_secs(2);
const BUSY_PERCENT_MAX: u64 = 60;
/// Kernel clock ticks per second, as in `/proc`.
const TICKS_PER_S: u64 = 100;

/// The totals over rounds.
#[derive(Default)]
pub struct ModeTally {
    ends: RunEndCounts,
    /// Disk calls that failed or waited.
    faults_met: u64,
    /// Tool calls without a response when the server was asked to end.
    hung: usize,
    exits: BTreeMap<String, usize>,
    longest_exit: Duration,
}

impl ModeTally {
    fn add(&mut self, ends: RunEndCounts) {
        for (end, count) in ends {
            *self.ends.entry(end).or_default() += count;
        }
    }
}

impl fmt::Display for ModeTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs: usize = self.ends.values().sum();
        write!(f, "{runs} acknowledged runs: {}", counted(&self.ends))?;
        if self.faults_met > 0 {
            write!(f, "; {} calls of the disk met a fault", self.faults_met)?;
        }
        if self.hung > 0 {
            write!(f, "; {} calls of tools hung", self.hung)?;
        }
        if !self.exits.is_empty() {
            write!(f, "; servers: {}", counted(&self.exits))?;
        }
        if !self.longest_exit.is_zero() {
            write!(f, ", the longest exit {:.1?}", self.longest_exit)?;
        }
        Ok(())
    }
}

fn counted(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(what, many)| format!("{many} {what}")).collect::<Vec<_>>().join(", ")
}

pub fn round(
    mode: FaultMode,
    trial: &mut FaultTrial,
    seed: u64,
    random: &mut SplitMix,
    tally: &mut ModeTally,
) -> anyhow::Result<()> {
    let plan = load::plan(seed, random);
    match mode {
        FaultMode::DiskFull => disk_full(trial, &plan, random, tally),
        FaultMode::Clock => clock(trial, seed, &plan, random, tally),
        FaultMode::Terminate => terminate(trial, &plan, random, tally),
        FaultMode::Damaged => damaged(trial, &plan, random, tally),
        FaultMode::Moved => moved(trial, seed, &plan, random, tally),
    }
}

/// Runs the load and performs an action meanwhile. Returns the requests that were not acknowledged.
fn under_load(
    trial: &FaultTrial,
    plan: &[Vec<LoadRequest>],
    meanwhile: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<LoadRequest>> {
    std::thread::scope(|scope| {
        let load = scope.spawn(|| trial.load().run(plan));
        let did = meanwhile();
        // A disk that stays stalled would block the clients.
        let over = if did.is_err() { trial.end_faults() } else { Ok(()) };
        let open = load.join().map_err(|_| anyhow::anyhow!("the load broke off"))?;
        did.and(over).and(open)
    })
}

/// After the faults: everything is acknowledged, and everything makes progress.
fn settle_round(trial: &mut FaultTrial, open: &[LoadRequest], tally: &mut ModeTally) -> anyhow::Result<()> {
    trial.load().retry_until_acknowledged(open)?;
    trial.load().open_gates()?;
    tally.add(trial.check_liveness()?);
    Ok(())
}

fn disk_full(
    trial: &mut FaultTrial,
    plan: &[Vec<LoadRequest>],
    random: &mut SplitMix,
    tally: &mut ModeTally,
) -> anyhow::Result<()> {
    let disk = match random.below(10) {
        0..6 => DiskFault::Full,
        6..8 => DiskFault::Broken,
        _ => DiskFault::Stalled,
    };
    let (before, long) = (random.millis(0, 300), random.millis(50, 1_500));
    let met = trial.control.faults_met()?;
    let open = under_load(trial, plan, || {
        std::thread::sleep(before);
        trial.control.disk(disk)?;
        std::thread::sleep(long);
        trial.control.disk(DiskFault::Healthy)
    })?;
    tally.faults_met += trial.control.faults_met()?.saturating_sub(met);
    settle_round(trial, &open, tally).with_context(|| format!("after {long:.1?} of {disk:?}"))
}

fn clock(
    trial: &mut FaultTrial,
    seed: u64,
    plan: &[Vec<LoadRequest>],
    random: &mut SplitMix,
    tally: &mut ModeTally,
) -> anyhow::Result<()> {
    let first = trial.control.offset_ns();
    let mut offsets = vec![first];
    for _ in 0..=random.below(3) {
        let step = random.choose(&STEPS_S).unwrap_or(1) * if random.percent(50) { 1 } else { -1 };
        let last = offsets.last().copied().unwrap_or(first);
        let to = last + step * SECOND_NS;
        let is_far = to.abs() > OFFSET_S_MAX * SECOND_NS;
        offsets.push(if is_far { last - step * SECOND_NS } else { to });
    }
    let steps = format!("clock steps to {:?} s", offsets.iter().map(|offset| offset / SECOND_NS).collect::<Vec<_>>());
    let reads = trial.control.clock_reads()?;
    let pauses: Vec<Duration> = offsets.iter().map(|_| random.millis(0, 300)).collect();
    let open = under_load(trial, plan, || {
        for (offset, pause) in offsets.iter().zip(&pauses).skip(1) {
            std::thread::sleep(*pause);
            trial.control.clock(*offset)?;
        }
        Ok(())
    })?;

    ensure!(trial.control.clock_reads()? > reads, "the server does not read the clock that steps");

    // Work that starts once the clock runs evenly again has no timers of another time, and must not need a further
    // jump.
    let before = trial.known();
    let later: Vec<Vec<LoadRequest>> = load::plan(seed, random)
        .into_iter()
        .take(1)
        .map(|one| one.into_iter().map(LoadRequest::with_new_key).collect())
        .collect();
    let open_later = under_load(trial, &later, || Ok(()))?;
    trial.load().retry_until_acknowledged(&open_later)?;
    let begun: BTreeSet<String> = trial.known().difference(&before).cloned().collect();
    trial.wait_until_idle(&begun).with_context(|| format!("begun after the {steps}"))?;

    // Earlier work may wait for a point in time of a clock that was ahead.
    let latest = offsets.iter().copied().max().unwrap_or(first);
    trial.control.clock(latest + TIMERS_NS)?;
    settle_round(trial, &open, tally).with_context(|| format!("{steps}, then to the latest of them"))?;
    // Do not drift further ahead with each round.
    if latest + TIMERS_NS > OFFSET_S_MAX * SECOND_NS {
        trial.control.clock(latest)?;
    }
    Ok(())
}

/// The moment in which SIGTERM arrives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SigtermMoment {
    Nothing,
    Disk(DiskFault),
    HungTool,
    ClockStep(i64),
}

const MEANWHILE: [SigtermMoment; 8] = [
    SigtermMoment::Nothing,
    SigtermMoment::Disk(DiskFault::Full),
    SigtermMoment::Disk(DiskFault::Broken),
    SigtermMoment::Disk(DiskFault::Stalled),
    SigtermMoment::Disk(DiskFault::Stalled),
    SigtermMoment::HungTool,
    SigtermMoment::ClockStep(3_600),
    SigtermMoment::ClockStep(-3_600),
];

fn terminate(
    trial: &mut FaultTrial,
    plan: &[Vec<LoadRequest>],
    random: &mut SplitMix,
    tally: &mut ModeTally,
) -> anyhow::Result<()> {
    let fault = random.choose(&MEANWHILE).unwrap_or(SigtermMoment::Nothing);
    let (before, until) = (random.millis(0, 300), random.millis(0, 600));
    let second = (fault != SigtermMoment::Nothing && random.percent(25)).then(|| random.millis(0, 1_000));
    let met = trial.control.faults_met()?;
    let mut asked = Instant::now();
    let offset = trial.control.offset_ns();
    let (asked_at, mut hung) = (&mut asked, 0);
    let met_tools = &mut hung;
    // The load ends with the server, because its clients can no longer connect.
    let mut ended = None;
    let ended_at = &mut ended;
    let FaultTrial { server, control, service, acknowledged, project, .. } = trial;
    let load = load::RoundLoad { client: project.client(), acknowledged };
    let open = std::thread::scope(|scope| {
        let load = scope.spawn(|| load.run(plan));
        let mut meanwhile = || {
            std::thread::sleep(before);
            match fault {
                SigtermMoment::Nothing => {}
                SigtermMoment::Disk(disk) => control.disk(disk)?,
                SigtermMoment::HungTool => service.set_hanging(true),
                SigtermMoment::ClockStep(seconds) => control.clock(offset + seconds * SECOND_NS)?,
            }
            std::thread::sleep(until);
            *met_tools = service.hanging_requests();
            *asked_at = Instant::now();
            server.terminate()?;
            if let Some(pause) = second
                && server.wait(pause)?.is_none()
            {
                *asked_at = Instant::now();
                server.terminate()?;
                *ended_at = server.wait(SECOND_EXIT_MAX)?;
                ensure!(ended_at.is_some(), "a second SIGTERM did not end it");
                return Ok(());
            }
            *ended_at = server.wait(EXIT_MAX + EXIT_SEEN)?;
            Ok(())
        };
        let did = meanwhile();
        let took = asked_at.elapsed();
        control.disk(DiskFault::Healthy)?;
        service.set_hanging(false);
        if ended_at.is_none() {
            server.kill();
        }
        let open = load.join().map_err(|_| anyhow::anyhow!("the load broke off"))?;
        did.and(open).map(|open| (open, took))
    });
    let log = trial.server.log();
    let (open, took) = open.with_context(|| format!("SIGTERM under {fault:?}; it said last\n{log}"))?;
    tally.faults_met += trial.control.faults_met()?.saturating_sub(met);
    tally.hung += hung;
    let Some(status) = ended else {
        bail!("SIGTERM under {fault:?} did not end it within {} s; it said last\n{log}", EXIT_MAX.as_secs());
    };
    tally.longest_exit = tally.longest_exit.max(took);
    let how = if second.is_some() { "with a second signal planned" } else { "after one signal" };
    *tally.exits.entry(format!("{status} {how}")).or_default() += 1;
    ensure!(status.code().is_some() || second.is_some(), "SIGTERM under {fault:?} ended it by a signal: {status}");
    ensure!(status.success() || second.is_some() || !log.is_empty(), "it ended with {status} and without a word");
    trial.restart()?;
    if let SigtermMoment::ClockStep(seconds) = fault {
        // Timers that were set with the clock ahead become due.
        trial.control.clock(offset + seconds.abs() * SECOND_NS + TIMERS_NS)?;
        if trial.control.offset_ns() > OFFSET_S_MAX * SECOND_NS {
            bail!("the clock went further ahead than this is made for: fewer rounds, please");
        }
    }
    settle_round(trial, &open, tally)
        .with_context(|| format!("SIGTERM under {fault:?}, ended with {status}, restarted"))
}

fn damaged(
    trial: &mut FaultTrial,
    plan: &[Vec<LoadRequest>],
    random: &mut SplitMix,
    tally: &mut ModeTally,
) -> anyhow::Result<()> {
    let open = under_load(trial, plan, || Ok(()))?;
    settle_round(trial, &open, tally)?;
    let log = end(trial)?;
    ensure!(log.0, "it did not end by itself: {}", log.1);
    let (data, backup) = (trial.project.data(), trial.project.data().with_extension("backup"));
    copy(&data, &backup)?;
    let page = damage(&data.join("baton.db"), random)?;
    let word = format!("page {page} of the database zeroed");
    match trial.restart() {
        // The server explains why it does not start, which is acceptable.
        Err(refused) => {
            let said = format!("{refused:#}");
            ensure!(said.contains("error"), "it did not start and did not say why, {word}: {said}");
            *tally.exits.entry("refused to start".to_owned()).or_default() += 1;
        }
        Ok(()) => {
            let client = trial.client();
            // Any response is acceptable.
            for request in plan.iter().flatten().take(3) {
                let body = serde_json::json!({"workflow_id": "gate", "input_data": {"item": "damaged"}});
                let path = "/api/v1/workflows/execute";
                client.post(path, &format!("damaged-{}", request.key), &body).with_context(|| word.clone())?;
            }
            let ready = client.ask("/ready").with_context(|| word.clone())?.status;
            let from = trial.server.processor_ticks();
            std::thread::sleep(WATCH_TIME);
            let spent = trial.server.processor_ticks().zip(from).map_or(0, |(to, from)| to.saturating_sub(from));
            let percent = spent * 100 / (TICKS_PER_S * WATCH_TIME.as_secs());
            ensure!(percent <= BUSY_PERCENT_MAX, "{word}: it spends {percent} % of a processor doing nothing");
            let (by_itself, log) = end(trial)?;
            ensure!(by_itself, "{word}: SIGTERM did not end it within {} s\n{log}", EXIT_MAX.as_secs());
            *tally.exits.entry(format!("ended, /ready had said {ready}")).or_default() += 1;
        }
    }
    std::fs::remove_dir_all(&data)?;
    std::fs::rename(&backup, &data)?;
    trial.restart()?;
    tally.add(trial.check_liveness()?);
    Ok(())
}

/// Asks the server to end, and kills it if it does not. Returns whether it ended by itself, and its last output.
fn end(trial: &mut FaultTrial) -> anyhow::Result<(bool, String)> {
    trial.server.terminate()?;
    let ended = trial.server.wait(EXIT_MAX + EXIT_SEEN)?.is_some();
    trial.server.kill();
    Ok((ended, trial.server.log()))
}

/// Zeroes a page other than the first. Returns its number.
fn damage(database: &Path, random: &mut SplitMix) -> anyhow::Result<u64> {
    use std::os::unix::fs::FileExt as _;

    let file = std::fs::File::options().write(true).open(database)?;
    let pages = file.metadata()?.len() / PAGE_BYTES;
    let page = 1 + random.below(pages.saturating_sub(1));
    file.write_all_at(&[0; PAGE_BYTES as usize], page * PAGE_BYTES)?;
    Ok(page + 1)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &place)?;
        } else {
            std::fs::copy(entry.path(), place)?;
        }
    }
    Ok(())
}

fn moved(
    trial: &mut FaultTrial,
    seed: u64,
    plan: &[Vec<LoadRequest>],
    random: &mut SplitMix,
    tally: &mut ModeTally,
) -> anyhow::Result<()> {
    let open = under_load(trial, plan, || Ok(()))?;
    settle_round(trial, &open, tally)?;
    let (data, away) = (trial.project.data(), trial.project.data().with_extension("away"));
    let is_folder = random.percent(50);
    if is_folder {
        std::fs::rename(&data, &away)?;
    } else {
        std::fs::remove_file(data.join("baton.db-wal")).context("there is no WAL")?;
    }
    let what = if is_folder { "the folder moved away" } else { "the WAL deleted" };
    let client = trial.client();
    let body = serde_json::json!({"workflow_id": "gate", "input_data": {"item": "moved"}});
    let mut acknowledged = Vec::new();
    for number in 0..20 {
        let answer = client.post("/api/v1/workflows/execute", &format!("moved-{seed}-{number}"), &body);
        if let Ok(answer) = answer
            && answer.is_success()
        {
            acknowledged.push(answer.body["execution_id"].as_str().context("a run without an id")?.to_owned());
        }
    }
    // As after a power cut: nothing more is written.
    trial.server.kill();
    if is_folder {
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        std::fs::rename(&away, &data)?;
    }
    *tally.exits.entry(format!("{} of 20 acknowledged with {what}", acknowledged.len())).or_default() += 1;
    trial.restart().context(what)?;
    let client = trial.client();
    let mut lost = 0;
    for run in &acknowledged {
        lost += usize::from(client.get(&format!("/api/v1/executions/{run}")).is_err());
    }
    ensure!(lost == 0, "with {what}, {lost} of {} acknowledged runs are lost", acknowledged.len());
    Ok(())
}
