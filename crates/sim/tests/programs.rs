//! The simulation reaches what it should of agents: their programs, who thinks for them or stands in, and every way of the
//! shipped ones.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::agent::{Agent, Program, Ran, Step};
use baton_core::run::{Address, Answer, Began, Event, Request};
use baton_sim::case::Deck;
use baton_sim::coverage::Coverage;
use baton_sim::draw::{CODE, REASONING, SIMPLE, TEXT, is_shipped};
use baton_sim::hunt::play;
use baton_sim::oracle::Chronicle;
use baton_sim::services::Services;
use baton_sim::simulation::Report;

/// Seeds among which every way of a program must be met.
const SEEDS_MAX: u64 = 2_000;

#[test]
fn programs_are_begun_resumed_replayed_and_ended_and_agents_thought_for_and_replaced_somewhere() {
    let words = ["start", "resume", "replay", "calls", "finished", "failed", "stale", "thought for", "replaced"];
    meets(&words.map(str::to_owned), |report| {
        let events = report.witness.chronicles.values().flat_map(Chronicle::events);
        events.filter_map(word).map(str::to_owned).collect()
    });
}

#[test]
fn shipped_agents_go_every_way_they_have_and_are_killed_on_it_somewhere() {
    let ways = [
        (SIMPLE, "answered"),
        (SIMPLE, "REPLY_NOT_JSON"),
        (SIMPLE, "asked again"),
        (REASONING, "answered"),
        (REASONING, "together"),
        (REASONING, "asked the customer"),
        (REASONING, "handed over"),
        (REASONING, "LOOP_DETECTED"),
        (REASONING, "UNKNOWN_TOOL"),
        (REASONING, "asked again"),
        (TEXT, "answered"),
        (TEXT, "stood in for"),
        (CODE, "answered"),
        (CODE, "together"),
        (CODE, "resumed"),
        (CODE, "replayed"),
        (CODE, "asked again"),
        (CODE, "taken over with its program paused"),
    ];
    meets(&ways.map(|(agent, way)| format!("{agent}: {way}")), |report| {
        report.witness.chronicles.values().flat_map(|chronicle| ways_of(chronicle, &report.services)).collect()
    });
}

/// Plays seeds until every one of these was met.
fn meets(words: &[String], met: impl Fn(&Report) -> Vec<String>) {
    let (mut deck, mut coverage) = (Deck::new().expect("a deck"), Coverage::default());
    let mut missing: BTreeSet<String> = words.iter().cloned().collect();
    for seed in 0..SEEDS_MAX {
        let report = play(seed, &mut deck, &mut coverage, false).expect("draws a workflow");
        assert_eq!(report.violation, None, "seed {seed}");
        for word in met(&report) {
            missing.remove(&word);
        }
        if missing.is_empty() {
            return;
        }
    }
    assert_eq!(missing, BTreeSet::new(), "never met");
}

/// What shipped agents did in a run, each behind its name.
fn ways_of(chronicle: &Chronicle, services: &Services) -> Vec<String> {
    let mut agents: BTreeMap<&Address, (&Agent, bool)> = BTreeMap::new();
    let mut ways = Vec::new();
    for event in chronicle.events() {
        match event {
            Event::Began { node, wait } => {
                if let Began::Agent { task, .. } = &**wait {
                    agents.insert(node, (&task.agent, false));
                }
            }
            Event::AgentReplaced { node, task, .. } => {
                if let Some((before, _)) = agents.insert(node, (&task.agent, false)) {
                    ways.push(format!("{}: stood in for", before.name));
                }
            }
            Event::Stepped { node, step } => {
                if let Some((agent, _)) = agents.get(node)
                    && let Some(way) = way(step)
                {
                    ways.push(format!("{}: {way}", agent.name));
                }
            }
            Event::Scheduled(scheduled) => {
                let key = scheduled.effect.key(&chronicle.run);
                let asked = services.ledger.iter().filter(|asked| asked.key == key).count();
                if let Request::Model(request) = &scheduled.request
                    && asked > 1
                {
                    ways.push(format!("{}: asked again", request.agent));
                }
            }
            Event::Done(done) => {
                if let Some((_, is_paused)) = agents.get_mut(&done.effect.call.node) {
                    match &done.output {
                        Answer::Code(ran) => *is_paused = matches!(**ran, Ran::Calls { .. }),
                        Answer::Tool(_) | Answer::Model(_) | Answer::Step(_) => {}
                    }
                }
            }
            Event::Ended(ended) => {
                agents.remove(&ended.node);
            }
            Event::TakenOver { .. } => {
                let paused = agents.values().filter(|(_, is_paused)| *is_paused);
                ways.extend(paused.map(|(agent, _)| format!("{}: taken over with its program paused", agent.name)));
            }
            _ => {}
        }
    }
    ways.retain(|way| is_shipped(way.split(':').next().unwrap_or_default()));
    ways
}

fn way(step: &Step) -> Option<&str> {
    match step {
        Step::Answer { .. } => Some("answered"),
        Step::AskCustomer { .. } => Some("asked the customer"),
        Step::HandOver { .. } => Some("handed over"),
        Step::RequestTools(requests) => (requests.len() > 1).then_some("together"),
        Step::RunCode(Program::Resume { .. }) => Some("resumed"),
        Step::RunCode(Program::Replay { .. }) => Some("replayed"),
        Step::GiveUp(fault) => Some(&fault.code),
        Step::RunCode(Program::Start { .. }) | Step::AskModel(_) | Step::AskEndpoint => None,
    }
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
