//! Playing a course, and comparing what came of it with what is written.

use std::collections::BTreeMap;

use baton_core::id::RunId;
use baton_core::run::Run;
use baton_ports::journal::DeskKind;

use super::told;
use super::{Course, Scenario, What};
use crate::case::Case;
use crate::coverage::Coverage;
use crate::draw::Catalog;
use crate::services::Asked;
use crate::simulation::script::{Script, about, root};
use crate::simulation::{Report, Simulation, Storm, tenant};

/// What came of a course under one seed.
pub struct Played {
    /// A promise that was broken, or a line whose moment never came.
    pub broken: Option<String>,
    /// Everything that happened, for people.
    pub story: Vec<String>,
    report: Report,
}

/// Plays a course; the seed chooses how long everything takes.
pub fn play(course: &Course, catalog: &Catalog, seed: u64) -> Played {
    let case = Case::written(seed, course.drawing.clone(), course.input.clone());
    let mut coverage = Coverage::default();
    let simulation = Simulation::new(&case, catalog, &mut coverage, Storm::of(&case), true);
    let mut report = simulation.with_script(Script::new(course.cues.clone())).run();
    let violation =
        report.violation.take().map(|violation| format!("it breaks `{}`: {}", violation.rule, violation.what));
    let left = report.script.as_ref().and_then(|script| script.cues.first());
    let left = left.map(|cue| format!("the moment of this line never came: {}", cue.line));
    Played { broken: violation.or(left), story: std::mem::take(&mut report.story), report }
}

impl Scenario {
    /// The page as it is where this came of its courses, in their order.
    pub fn rewritten(&self, page: &str, played: &[Played]) -> String {
        let blocks = self.courses.iter().zip(played).flat_map(|(course, played)| {
            course.expected.iter().map(|expected| (expected.span.clone(), played.told(&expected.what, &expected.text)))
        });
        let mut page = page.to_owned();
        for (span, text) in blocks.collect::<Vec<_>>().into_iter().rev() {
            page.replace_range(span, &text);
        }
        page
    }
}

impl Course {
    /// What is written that did not come of it, with what did.
    pub fn differs(&self, played: &Played) -> Option<String> {
        self.expected.iter().find_map(|expected| {
            let told = played.told(&expected.what, &expected.text);
            (told != expected.text).then(|| format!("expected\n{}\nand there was\n{told}", expected.text))
        })
    }
}

impl Played {
    fn told(&self, what: &What, written: &str) -> String {
        match what {
            What::Events(run) => self.events(run),
            What::Outcome => self.outcome(written),
        }
    }

    fn events(&self, run: &RunId) -> String {
        let events = self.report.witness.chronicles.get(run).into_iter().flat_map(|chronicle| chronicle.events());
        events.map(|event| told::line(event) + "\n").collect()
    }

    /// The lines that are asked for, as they are.
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
        let asked = |is_wanted: fn(&Asked) -> bool| {
            let ledger = self.report.services.ledger.iter().filter(|asked| is_wanted(asked));
            // How often a program is run depends on whether the next process reads what the last one wrote.
            let is_service = |word: &String| !word.split(' ').next().is_some_and(|word| word.ends_with(".program"));
            or_nothing(ledger.map(|asked| self.word(asked)).filter(is_service).collect(), ", ")
        };
        let mut all = BTreeMap::from([
            ("asked".to_owned(), asked(|asked| !asked.is_look_up)),
            ("looked up".to_owned(), asked(|asked| asked.is_look_up)),
            ("acted".to_owned(), asked(|asked| asked.acted)),
            ("desk".to_owned(), self.desk()),
            ("refused".to_owned(), self.refused()),
        ]);
        for id in self.report.witness.chronicles.keys() {
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
        if let Some(chronicle) = self.report.witness.chronicles.get(id) {
            self.report.witness.versions().for_each(|(hash, workflow)| run.know(hash.clone(), workflow.clone()));
            chronicle.entries.iter().for_each(|entry| run.fold(entry));
        }
        run
    }

    fn word(&self, asked: &Asked) -> String {
        let word = self.report.script.as_ref().map_or("", |script| script.word(&asked.run, &asked.effect.call));
        if asked.run == root() { word.to_owned() } else { format!("{word} of {}", asked.run) }
    }

    fn desk(&self) -> String {
        let open = self.report.books.open_desk(&tenant(), None);
        let lines = open.iter().map(|item| {
            let kind = match item.kind {
                DeskKind::Approval => "may it",
                DeskKind::Form => "a form",
                DeskKind::Doubt => "did it act",
                DeskKind::ToolApproval => "may it act",
                DeskKind::NotUndone => "not undone",
                DeskKind::Question => "a question to the customer",
                DeskKind::Budget => "a budget is used up",
                DeskKind::OverBudget => "is there money",
                DeskKind::NeedsKey => "a key",
                DeskKind::Connection => "a connection",
                DeskKind::Late => "a conversation",
            };
            format!("{}: {kind}", about(item))
        });
        or_nothing(lines.collect(), ", ")
    }

    fn refused(&self) -> String {
        or_nothing(self.report.script.iter().flat_map(|script| script.refused.clone()).collect(), "; ")
    }
}

fn or_nothing(parts: Vec<String>, between: &str) -> String {
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(between) }
}
