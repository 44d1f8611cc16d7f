//! 200 × `kill -9` of `baton run` over a clinic's booking, and 200 over agents at work. The services and the model run
//! in processes other than the one that is killed.
//!
//! Half of the kills happen at a moment that a service chooses (on receipt, after acting, after replying), half at
//! evenly spread moments of the run. The checks use what the services saw: the ledger of every request received.

#[path = "kill/aim.rs"]
mod aim;
#[path = "kill/clinic.rs"]
mod clinic;
#[path = "kill/ledger.rs"]
mod ledger;
#[path = "kill/project.rs"]
mod project;
#[path = "kill/recorded.rs"]
mod recorded;
#[path = "kill/returns.rs"]
mod returns;
#[path = "kill/thoughts.rs"]
mod thoughts;
#[path = "kill/trial.rs"]
mod trial;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aim::KillPoint;
use clinic::ClinicProject;
use project::KillProject;
use returns::ReturnsProject;

/// Kills in each test.
const KILLS: usize = 200;
/// Maximum number of attempts of a kill to hit a run that is still active.
const TRIES: u32 = 5;
/// Number of concurrent projects, each with its own database.
const WORKERS: usize = 4;
/// Tests run one after the other, because undisturbed runs determine the moments of the kills.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn nothing_recorded_is_asked_again_whenever_the_process_is_killed() {
    const SERVICES: [&str; 6] = ["availability", "booking", "payment", "whatsapp", "email", "confirmation"];
    let reports = all(|worker| {
        let clinic = ClinicProject::open();
        kills(worker, &clinic.project, &SERVICES, |run, kill| clinic.killed(run, kill), |report| report.hit_live)
    });
    let live = reports.iter().filter(|report| report.hit_live).count();
    let waiting = reports.iter().filter(|report| report.once_in_flight).count();
    println!("{} kills, {live} of them live, {waiting} with a `once` in flight", reports.len());
    assert!(live * 100 >= reports.len() * 90, "only {live} of {} kills hit a live run", reports.len());
    assert!(waiting > 0, "no kill found a `once` call in flight, so what waits for a person was not tried");
}

#[test]
fn an_agent_that_is_killed_goes_on_at_the_same_thought() {
    const SERVICES: [&str; 8] = ["model", "order", "model", "reserve", "label", "model", "refund", "mail"];
    let reports = all(|worker| {
        let returns = ReturnsProject::open();
        kills(worker, &returns.project, &SERVICES, |run, kill| returns.killed(run, kill), |report| report.hit_live)
    });
    let live = reports.iter().filter(|report| report.hit_live).count();
    let thinking = reports.iter().filter(|report| report.asked_again).count();
    let paused = reports.iter().filter(|report| report.program_paused).count();
    println!("{} kills, {live} live, {thinking} in the middle of a model call, {paused} of a program", reports.len());
    assert!(live * 100 >= reports.len() * 90, "only {live} of {} kills hit a live run", reports.len());
    assert!(thinking > 0, "no kill found a model call in flight");
    assert!(paused > 0, "no kill found a program that waited for its call");
}

/// The reports of all workers.
fn all<R: Send>(work: impl Fn(usize) -> Vec<R> + Sync) -> Vec<R> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let work = &work;
    let reports: Vec<R> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect()
    });
    assert_eq!(reports.len(), KILLS);
    reports
}

/// One worker's share of the kills. A kill that came too late is retried a little earlier, because the machine may be
/// faster now than during the undisturbed runs.
fn kills<R>(
    worker: usize,
    project: &KillProject,
    services: &[&'static str],
    mut killed: impl FnMut(&str, KillPoint) -> R,
    is_live: impl Fn(&R) -> bool,
) -> Vec<R> {
    let undisturbed = (0..3).map(|place| project.run_undisturbed(&format!("whole-{worker}-{place}")));
    let mut usual: Duration = undisturbed.min().expect("three runs");
    let mut one = |place: usize| {
        let mut tries = 0..TRIES;
        loop {
            let run = format!("kill-{place}-{}", tries.start);
            let report = killed(&run, KillPoint::of(place, KILLS, services, usual));
            tries.next();
            if is_live(&report) || tries.is_empty() {
                return report;
            }
            usual = usual.mul_f64(0.8);
        }
    };
    (worker..KILLS).step_by(WORKERS).map(&mut one).collect()
}
