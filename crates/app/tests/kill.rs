//! 200 × `kill -9` of `baton run` over a clinic's booking whose services are other processes than the one killed.
//!
//! Half the kills come at an instant a service chooses (on receipt, after acting, after replying), half at uniform
//! instants of the run. What counts is what the services saw: the ledger of every request received.

#[path = "kill/clinic.rs"]
mod clinic;
#[path = "kill/ledger.rs"]
mod ledger;
#[path = "kill/trial.rs"]
mod trial;

use std::time::Duration;

use clinic::Clinic;
use trial::{Kill, Report};

/// Kills in all.
const KILLS: usize = 200;
/// Clinics side by side, each with its own database.
const WORKERS: usize = 4;
const SERVICES: [&str; 6] = ["availability", "booking", "payment", "whatsapp", "email", "confirmation"];
const PHASES: [&str; 3] = ["received", "acted", "replied"];

#[test]
fn nothing_recorded_is_asked_again_whenever_the_process_is_killed() {
    let workers: Vec<_> = (0..WORKERS).map(|worker| std::thread::spawn(move || work(worker))).collect();
    let reports: Vec<Report> = workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends")).collect();
    let live = reports.iter().filter(|report| report.hit_live).count();
    let waiting = reports.iter().filter(|report| report.once_in_flight).count();
    println!("{} kills, {live} of them live, {waiting} with a `once` in flight", reports.len());
    assert_eq!(reports.len(), KILLS);
    assert!(live * 100 >= reports.len() * 90, "only {live} of {} kills hit a live run", reports.len());
    assert!(waiting > 0, "no kill found a `once` call in flight, so what waits for a person was not tried");
}

fn work(worker: usize) -> Vec<Report> {
    let clinic = Clinic::open(worker);
    let undisturbed: Vec<Duration> =
        (0..3).map(|place| clinic.undisturbed(&format!("whole-{worker}-{place}"))).collect();
    let usual = *undisturbed.iter().min().expect("three runs");
    let kills = (worker..KILLS).step_by(WORKERS).map(|place| (place, kill(place, usual)));
    kills.map(|(place, kill)| clinic.killed(&format!("kill-{place}"), kill)).collect()
}

/// The instant of one kill: the first half at a service's trigger, the second half anywhere in the run.
fn kill(place: usize, usual: Duration) -> Kill {
    if place < KILLS / 2 {
        let service = SERVICES[place % SERVICES.len()];
        let phase = PHASES[place / SERVICES.len() % PHASES.len()];
        return Kill::At { service, phase };
    }
    // Spread evenly over the run, in an order that owes nothing to the order of its steps.
    let share = (place * 7_919 % KILLS) as f64 / KILLS as f64;
    Kill::After(usual.mul_f64(share * 0.95))
}
