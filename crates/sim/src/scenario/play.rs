//! Plays a scenario, and compares the outcome with the expected one.

use std::collections::BTreeMap;

use baton_core::id::RunId;
use baton_core::run::Run;
use baton_ports::journal::TaskItemKind;

use super::transcript;
use super::{ExpectationKind, ScenarioCase, ScenarioPage};
use crate::case::SimCase;
use crate::coverage::FaultCoverage;
use crate::draw::SimCatalog;
use crate::services::ServiceRequest;
use crate::simulation::script::{SimScript, root, subject_of};
use crate::simulation::{FaultInjector, SimReport, Simulation, tenant};

/// The outcome of a scenario under one seed.
pub struct ScenarioResult {
    /// A promise that was broken, or a line whose moment never occurred.
    pub failure: Option<String>,
    /// Everything that happened, for people.
    pub story: Vec<String>,
    report: SimReport,
}

/// Plays a scenario; the seed chooses how long everything takes.
pub fn play(course: &ScenarioCase, catalog: &SimCatalog, seed: u64) -> ScenarioResult {
    let case = SimCase::for_scenario(seed, course.workflows.clone(), course.input.clone());
    let mut coverage = FaultCoverage::default();
    let simulation = Simulation::new(&case, catalog, &mut coverage, FaultInjector::of(&case), true);
    let mut report = simulation.with_script(SimScript::new(course.script.clone())).run();
    let violation =
        report.violation.take().map(|violation| format!("it breaks `{}`: {}", violation.rule, violation.what));
    let left = report.script.as_ref().and_then(|script| script.lines.first());
    let left = left.map(|cue| format!("the moment of this line never came: {}", cue.line));
    ScenarioResult { failure: violation.or(left), story: std::mem::take(&mut report.story), report }
}

impl ScenarioPage {
    /// The page with these outcomes of its scenarios, in their order.
    pub fn rewrite_page(&self, page: &str, played: &[ScenarioResult]) -> String {
        let blocks = self.cases.iter().zip(played).flat_map(|(course, played)| {
            course
                .expected
                .iter()
                .map(|expected| (expected.span.clone(), played.actual_text(&expected.kind, &expected.text)))
        });
        let mut page = page.to_owned();
        for (span, text) in blocks.collect::<Vec<_>>().into_iter().rev() {
            page.replace_range(span, &text);
        }
        page
    }
}

impl ScenarioCase {
    /// The difference between the expected and the actual outcome.
    pub fn difference(&self, played: &ScenarioResult) -> Option<String> {
        self.expected.iter().find_map(|expected| {
            let told = played.actual_text(&expected.kind, &expected.text);
            (told != expected.text).then(|| format!("expected\n{}\nand there was\n{told}", expected.text))
        })
    }
}

impl ScenarioResult {
    fn actual_text(&self, what: &ExpectationKind, written: &str) -> String {
        match what {
            ExpectationKind::Events(run) => self.events(run),
            ExpectationKind::Outcome => self.outcome(written),
        }
    }

    fn events(&self, run: &RunId) -> String {
        let events = self.report.oracle.histories.get(run).into_iter().flat_map(|history| history.events());
        events.map(|event| transcript::event_line(event) + "\n").collect()
    }

    /// The actual values of the requested lines.
    fn outcome(&self, written: &str) -> String {
        let all = self.outcomes();
        let line = |written: &str| {
            let key = written.split_once(':').map_or(written, |(key, _)| key);
            match all.get(key) {
                Some(value) => format!("{key}: {value}\n"),
                None => format!("{key}: there is no such thing\n"),
            }
        };
        written.lines().map(line).collect()
    }

    fn outcomes(&self) -> BTreeMap<String, String> {
        let asked = |is_wanted: fn(&ServiceRequest) -> bool| {
            let ledger = self.report.services.ledger.iter().filter(|asked| is_wanted(asked));
            // How often a program is run depends on whether the next process can read the snapshot of the last one.
            let is_service = |word: &String| !word.split(' ').next().is_some_and(|word| word.ends_with(".program"));
            join_or_nothing(ledger.map(|asked| self.word(asked)).filter(is_service).collect(), ", ")
        };
        let mut all = BTreeMap::from([
            ("asked".to_owned(), asked(|asked| !asked.is_look_up)),
            ("looked up".to_owned(), asked(|asked| asked.is_look_up)),
            ("acted".to_owned(), asked(|asked| asked.acted)),
            ("desk".to_owned(), self.desk()),
            ("refused".to_owned(), self.refused()),
        ]);
        for id in self.report.oracle.histories.keys() {
            let of = if *id == root() { String::new() } else { format!(" of {id}") };
            let run = self.folded(id);
            all.insert(format!("state{of}"), run.state().to_string());
            let output = run.finished().map_or_else(|| "none".to_owned(), |finished| finished.output.to_string());
            all.insert(format!("output{of}"), output);
        }
        all
    }

    fn folded(&self, id: &RunId) -> Run {
        let mut run = Run::new();
        if let Some(history) = self.report.oracle.histories.get(id) {
            self.report.oracle.versions().for_each(|(hash, workflow)| run.add_version(hash.clone(), workflow.clone()));
            history.entries.iter().for_each(|entry| run.fold(entry));
        }
        run
    }

    fn word(&self, asked: &ServiceRequest) -> String {
        let word = self.report.script.as_ref().map_or("", |script| script.word(&asked.run, &asked.effect.call));
        if asked.run == root() { word.to_owned() } else { format!("{word} of {}", asked.run) }
    }

    fn desk(&self) -> String {
        let open = self.report.journal.open_desk(&tenant(), None);
        let lines = open.iter().map(|item| {
            let kind = match item.kind {
                TaskItemKind::Approval => "may it",
                TaskItemKind::Form => "a form",
                TaskItemKind::Doubt => "did it act",
                TaskItemKind::ToolApproval => "may it act",
                TaskItemKind::NotUndone => "not undone",
                TaskItemKind::Question => "a question to the customer",
                TaskItemKind::Budget => "a budget is used up",
                TaskItemKind::OverBudget => "is there money",
                TaskItemKind::NeedsKey => "a key",
                TaskItemKind::Connection => "a connection",
                TaskItemKind::Late => "a conversation",
            };
            format!("{}: {kind}", subject_of(item))
        });
        join_or_nothing(lines.collect(), ", ")
    }

    fn refused(&self) -> String {
        join_or_nothing(self.report.script.iter().flat_map(|script| script.refused.clone()).collect(), "; ")
    }
}

fn join_or_nothing(parts: Vec<String>, between: &str) -> String {
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(between) }
}
