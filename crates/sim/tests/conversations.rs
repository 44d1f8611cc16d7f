//! The simulation reaches the expected states of conversations and their routing queue.

use std::collections::BTreeSet;

use baton_core::conversation::{ConversationEvent, ConversationLine, HandoverTrigger, LineAuthor};
use baton_core::routing::{self, RequeueReason, SlaBreach};
use baton_sim::case::{CaseGenerator, has_conversations};
use baton_sim::coverage::FaultCoverage;
use baton_sim::seed_search::run_seed;
use baton_sim::simulation::SimReport;

/// Number of seeds with conversations among which everything must be met.
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
    let (mut deck, mut coverage) = (CaseGenerator::new().expect("a deck"), FaultCoverage::default());
    let mut missing: BTreeSet<&str> = MET.into();
    for seed in (0..).filter(|seed| has_conversations(*seed)).take(SEEDS_MAX) {
        let report = run_seed(seed, &mut deck, &mut coverage, false).expect("draws a workflow");
        assert_eq!(report.violation, None, "seed {seed}");
        missing.retain(|word| !met(&report).contains(word));
        if missing.is_empty() {
            return;
        }
    }
    assert_eq!(missing, BTreeSet::new(), "never met within {SEEDS_MAX} seeds with conversations");
}

fn met(report: &SimReport) -> BTreeSet<&'static str> {
    let talks = &report.oracle.conversations;
    talks
        .events()
        .filter_map(|event| of_talk(&event))
        .chain(talks.desk_events().filter_map(|event| of_desk(&event)))
        .collect()
}

fn of_talk(event: &ConversationEvent) -> Option<&'static str> {
    Some(match event {
        ConversationEvent::Held { .. } => "held for a gap",
        ConversationEvent::Said { line: ConversationLine { after_gap: true, .. } } => "heard after a gap",
        ConversationEvent::Said { line } => match line.from {
            LineAuthor::Ai { .. } => "said by the AI",
            LineAuthor::Suggestion { .. } => "suggested",
            LineAuthor::Person { .. } => "said by a person",
            LineAuthor::Customer | LineAuthor::Note { .. } => return None,
        },
        ConversationEvent::RunBegun { .. } => "began a run",
        ConversationEvent::Given { .. } => "given to a run that waits",
        ConversationEvent::Returned { .. } => "came back",
        ConversationEvent::ToPeople { .. } => "read by people",
        ConversationEvent::HandedOver { handover, .. } => match handover.trigger {
            HandoverTrigger::ExplicitRequest => "asked for a person",
            HandoverTrigger::AgentDecision => "handed over by an agent",
            HandoverTrigger::ConfidenceThreshold => "handed over for confidence",
            HandoverTrigger::ErrorThreshold => "handed over for errors",
            HandoverTrigger::Budget | HandoverTrigger::FailedCompensation | HandoverTrigger::Person => return None,
        },
        ConversationEvent::TakenOver { .. } => "taken over",
        ConversationEvent::GivenBack { .. } => "given back",
        ConversationEvent::Resolved { .. } => "resolved",
        ConversationEvent::Reopened { .. } => "reopened",
        ConversationEvent::Closed { .. } => "closed",
        _ => return None,
    })
}

fn of_desk(event: &routing::RoutingEvent) -> Option<&'static str> {
    Some(match event {
        routing::RoutingEvent::Assigned { .. } => "assigned",
        routing::RoutingEvent::Answered { .. } => "answered",
        routing::RoutingEvent::Requeued { why, .. } => match why {
            RequeueReason::Offline => "gone offline",
            RequeueReason::Unheard => "not heard of",
            RequeueReason::Removed => "removed",
            RequeueReason::Transferred => "passed on",
        },
        routing::RoutingEvent::Escalated { breach, .. } => match breach {
            SlaBreach::FirstResponse => "late answer",
            SlaBreach::Resolution => "late end",
            SlaBreach::Nobody => "nobody can",
        },
        _ => return None,
    })
}
