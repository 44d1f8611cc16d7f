//! The moment of a kill, and the kill itself.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::ledger::ServiceLedger;
use crate::project::PATIENCE;

#[derive(Clone, Debug)]
pub enum KillPoint {
    At { service: &'static str, phase: &'static str },
    After(Duration),
}

impl KillPoint {
    /// The moment of one of `kills`: the first half at a service's trigger, the second half anywhere in a run of the
    /// `usual` duration.
    pub fn of(place: usize, kills: usize, services: &[&'static str], usual: Duration) -> Self {
        if place < kills / 2 {
            let service = services[place % services.len()];
            let phase = PHASES[place / services.len() % PHASES.len()];
            return Self::At { service, phase };
        }
        // Spread evenly over the run, in an order that is independent of its steps.
        let share = (place * 7_919 % kills) as f64 / kills as f64;
        Self::After(usual.mul_f64(share * 0.95))
    }
}

const PHASES: [&str; 3] = ["received", "acted", "replied"];

pub fn kill(ledger: &ServiceLedger, mut child: Child, began: Instant, kill: &KillPoint) {
    match kill {
        KillPoint::At { service, phase } => {
            ledger.aim(service, phase, child);
            while !ledger.is_gone() {
                assert!(began.elapsed() < PATIENCE, "`{service}` never reached `{phase}`");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        KillPoint::After(instant) => {
            std::thread::sleep(instant.saturating_sub(began.elapsed()));
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }
}
