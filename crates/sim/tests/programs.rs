//! The simulation reaches what it should of agents: their programs, and who thinks for them or stands in.

use baton_core::agent::{Program, Ran};
use baton_core::run::{Answer, Event, Request};
use baton_sim::case::Deck;
use baton_sim::coverage::Coverage;
use baton_sim::hunt::play;

/// Seeds among which every way of a program must be met.
const SEEDS_MAX: u64 = 2_000;

#[test]
fn programs_are_begun_resumed_replayed_and_ended_and_agents_thought_for_and_replaced_somewhere() {
    let (mut deck, mut coverage) = (Deck::new().unwrap(), Coverage::default());
    let mut missing =
        vec!["start", "resume", "replay", "calls", "finished", "failed", "stale", "thought for", "replaced"];
    for seed in 0..SEEDS_MAX {
        let report = play(seed, &mut deck, &mut coverage, false).unwrap();
        assert_eq!(report.violation, None, "seed {seed}");
        for event in report.witness.chronicles.values().flat_map(|chronicle| chronicle.events()) {
            if let Some(word) = word(event) {
                missing.retain(|known| *known != word);
            }
        }
        if missing.is_empty() {
            return;
        }
    }
    panic!("never met: {missing:?}");
}

fn word(event: &Event) -> Option<&'static str> {
    match event {
        Event::Scheduled(scheduled) => match &scheduled.request {
            Request::Code { program, .. } => Some(match **program {
                Program::Start { .. } => "start",
                Program::Resume { .. } => "resume",
                Program::Replay { .. } => "replay",
            }),
            Request::Step { .. } => Some("thought for"),
            Request::Tool { .. } | Request::Model(_) => None,
        },
        Event::Done(done) => match &done.output {
            Answer::Code(ran) => Some(match **ran {
                Ran::Calls { .. } => "calls",
                Ran::Finished { .. } => "finished",
                Ran::Failed { .. } => "failed",
                Ran::Stale => "stale",
            }),
            Answer::Tool(_) | Answer::Model(_) | Answer::Step(_) => None,
        },
        Event::AgentReplaced { .. } => Some("replaced"),
        _ => None,
    }
}
