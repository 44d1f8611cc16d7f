//! The simulation reaches what it should of conversations and their desk.

use std::collections::BTreeSet;

use baton_core::conversation::{Author, Event, Line, Trigger};
use baton_core::desk::{self, Breach, Why};
use baton_sim::case::{Deck, has_talks};
use baton_sim::coverage::Coverage;
use baton_sim::hunt::play;
use baton_sim::simulation::Report;

/// Seeds with conversations among which everything must be met.
const SEEDS_MAX: usize = 800;

const MET: [&str; 27] = [
    "held for a gap",
    "heard after a gap",
    "began a run",
    "given to a run that waits",
    "came back",
    "read by people",
    "said by the AI",
    "suggested",
    "said by a person",
    "asked for a person",
    "handed over by an agent",
    "handed over for confidence",
    "handed over for errors",
    "taken over",
    "given back",
    "resolved",
    "reopened",
    "closed",
    "assigned",
    "gone offline",
    "not heard of",
    "removed",
    "passed on",
    "late answer",
    "late end",
    "nobody can",
    "answered",
];

#[test]
fn conversations_go_every_way_they_have_somewhere() {
    let (mut deck, mut coverage) = (Deck::new().expect("a deck"), Coverage::default());
    let mut missing: BTreeSet<&str> = MET.into();
    for seed in (0..).filter(|seed| has_talks(*seed)).take(SEEDS_MAX) {
        let report = play(seed, &mut deck, &mut coverage, false).expect("draws a workflow");
        assert_eq!(report.violation, None, "seed {seed}");
        missing.retain(|word| !met(&report).contains(word));
        if missing.is_empty() {
            return;
        }
    }
    assert_eq!(missing, BTreeSet::new(), "never met within {SEEDS_MAX} seeds with conversations");
}

fn met(report: &Report) -> BTreeSet<&'static str> {
    let talks = &report.witness.talks;
    talks
        .events()
        .filter_map(|event| of_talk(&event))
        .chain(talks.desk_events().filter_map(|event| of_desk(&event)))
        .collect()
}

fn of_talk(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Held { .. } => "held for a gap",
        Event::Said { line: Line { after_gap: true, .. } } => "heard after a gap",
        Event::Said { line } => match line.from {
            Author::Ai { .. } => "said by the AI",
            Author::Suggestion { .. } => "suggested",
            Author::Person { .. } => "said by a person",
            Author::Customer | Author::Note { .. } => return None,
        },
        Event::RunBegun { .. } => "began a run",
        Event::Given { .. } => "given to a run that waits",
        Event::Returned { .. } => "came back",
        Event::ToPeople { .. } => "read by people",
        Event::HandedOver { handover, .. } => match handover.trigger {
            Trigger::ExplicitRequest => "asked for a person",
            Trigger::AgentDecision => "handed over by an agent",
            Trigger::ConfidenceThreshold => "handed over for confidence",
            Trigger::ErrorThreshold => "handed over for errors",
            Trigger::Budget | Trigger::FailedCompensation | Trigger::Person => return None,
        },
        Event::TakenOver { .. } => "taken over",
        Event::GivenBack { .. } => "given back",
        Event::Resolved { .. } => "resolved",
        Event::Reopened { .. } => "reopened",
        Event::Closed { .. } => "closed",
        _ => return None,
    })
}

fn of_desk(event: &desk::Event) -> Option<&'static str> {
    Some(match event {
        desk::Event::Assigned { .. } => "assigned",
        desk::Event::Answered { .. } => "answered",
        desk::Event::Requeued { why, .. } => match why {
            Why::Offline => "gone offline",
            Why::Unheard => "not heard of",
            Why::Removed => "removed",
            Why::Transferred => "passed on",
        },
        desk::Event::Escalated { breach, .. } => match breach {
            Breach::FirstResponse => "late answer",
            Breach::Resolution => "late end",
            Breach::Nobody => "nobody can",
        },
        _ => return None,
    })
}
