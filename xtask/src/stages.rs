//! Timed stages: what ran, how long it took, what was skipped and why.

use std::time::{Duration, Instant};

use crate::report;

/// The stages of one session, in order.
#[derive(Default)]
pub struct StageClock {
    finished: Vec<TimedStage>,
}

struct TimedStage {
    name: String,
    took: Duration,
    outcome: StageOutcome,
}

enum StageOutcome {
    Passed,
    Failed,
    LeftOut(String),
}

impl StageClock {
    /// Runs one stage. An error is returned after the time is recorded, so that a failed stage is in the table too.
    pub fn run<T>(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        report::line(format_args!("\n=== {name}"));
        let started = Instant::now();
        let result = work();
        let took = started.elapsed();
        let outcome = if result.is_ok() { StageOutcome::Passed } else { StageOutcome::Failed };
        let word = if result.is_ok() { "ended" } else { "FAILED" };
        report::line(format_args!("=== {name} {word} after {}", minutes(took)));
        self.finished.push(TimedStage { name: name.to_owned(), took, outcome });
        result
    }

    /// Records a stage that does not apply to this tree, or that was not requested.
    pub fn leave_out(&mut self, name: &str, reason: &str) {
        report::line(format_args!("\n=== {name} left out: {reason}"));
        self.finished.push(TimedStage {
            name: name.to_owned(),
            took: Duration::ZERO,
            outcome: StageOutcome::LeftOut(reason.to_owned()),
        });
    }

    /// One line per stage, and the total.
    pub fn table(&self) -> String {
        let mut lines = vec!["minutes per stage".to_owned()];
        for stage in &self.finished {
            lines.push(match &stage.outcome {
                StageOutcome::Passed => format!("  {:<12} {:>8}", stage.name, minutes(stage.took)),
                StageOutcome::Failed => {
                    format!("  {:<12} {:>8}  FAILED", stage.name, minutes(stage.took))
                }
                StageOutcome::LeftOut(reason) => {
                    format!("  {:<12} {:>8}  {reason}", stage.name, "left out")
                }
            });
        }
        let sum = self.finished.iter().map(|stage| stage.took).sum();
        lines.push(format!("  {:<12} {:>8}", "together", minutes(sum)));
        lines.join("\n")
    }
}

/// Minutes with one decimal place.
pub fn minutes(took: Duration) -> String {
    format!("{:.1} min", took.as_secs_f64() / 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_what_passed_failed_and_was_left_out() {
        let mut stages = StageClock::default();
        stages.run("build", || Ok(())).unwrap();
        stages.leave_out("sim", "no such binary");
        let failed: anyhow::Result<()> = stages.run("fuzz", || anyhow::bail!("found one"));
        assert!(failed.is_err());
        let table = stages.table();
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 5, "{table}");
        assert!(rows[1].contains("build") && rows[1].ends_with("min"), "{table}");
        assert!(rows[2].contains("left out  no such binary"), "{table}");
        assert!(rows[3].ends_with("FAILED"), "{table}");
    }
}
