//! The simulation reaches the expected states of agents: their programs, remote agents and their fallbacks, and every
//! path of the shipped ones.

use std::collections::{BTreeMap, BTreeSet};

use baton_core::agent::{AgentDefinition, AgentStep, ProgramOutcome, SandboxProgram};
use baton_core::run::{CallOutput, EffectRequest, NodeAddress, NodeWait, RunEvent};
use baton_sim::case::CaseGenerator;
use baton_sim::coverage::FaultCoverage;
use baton_sim::draw::{CODE, REASONING, SIMPLE, TEXT, is_shipped};
use baton_sim::oracle::RunHistory;
use baton_sim::seed_search::run_seed;
use baton_sim::services::SimServices;
use baton_sim::simulation::SimReport;

/// Number of seeds among which every path of a program must be met.
const SEEDS_MAX: u64 = 2_000;

#[test]
fn programs_are_begun_resumed_replayed_and_ended_and_agents_thought_for_and_replaced_somewhere() {
    let words = ["start", "resume", "replay", "calls", "finished", "failed", "stale", "thought for", "replaced"];
    meets(&words.map(str::to_owned), |report| {
        let events = report.oracle.histories.values().flat_map(RunHistory::events);
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
        report.oracle.histories.values().flat_map(|history| ways_of(history, &report.services)).collect()
    });
}

/// Plays seeds until every one of these was met.
fn meets(words: &[String], met: impl Fn(&SimReport) -> Vec<String>) {
    let (mut deck, mut coverage) = (CaseGenerator::new().expect("a deck"), FaultCoverage::default());
    let mut missing: BTreeSet<String> = words.iter().cloned().collect();
    for seed in 0..SEEDS_MAX {
        let report = run_seed(seed, &mut deck, &mut coverage, false).expect("draws a workflow");
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

/// What shipped agents did in a run, each prefixed with the agent's name.
fn ways_of(history: &RunHistory, services: &SimServices) -> Vec<String> {
    let mut agents: BTreeMap<&NodeAddress, (&AgentDefinition, bool)> = BTreeMap::new();
    let mut ways = Vec::new();
    for event in history.events() {
        match event {
            RunEvent::Began { node, wait } => {
                if let NodeWait::Agent { task, .. } = &**wait {
                    agents.insert(node, (&task.agent, false));
                }
            }
            RunEvent::AgentReplaced { node, task, .. } => {
                if let Some((before, _)) = agents.insert(node, (&task.agent, false)) {
                    ways.push(format!("{}: stood in for", before.name));
                }
            }
            RunEvent::Stepped { node, step } => {
                if let Some((agent, _)) = agents.get(node)
                    && let Some(way) = way(step)
                {
                    ways.push(format!("{}: {way}", agent.name));
                }
            }
            RunEvent::Scheduled(scheduled) => {
                let key = scheduled.effect.key(&history.run);
                let asked = services.ledger.iter().filter(|asked| asked.key == key).count();
                if let EffectRequest::Model(request) = &scheduled.request
                    && asked > 1
                {
                    ways.push(format!("{}: asked again", request.agent));
                }
            }
            RunEvent::Done(done) => {
                if let Some((_, is_paused)) = agents.get_mut(&done.effect.call.node) {
                    match &done.output {
                        CallOutput::Code(ran) => *is_paused = matches!(**ran, ProgramOutcome::Calls { .. }),
                        CallOutput::Tool(_) | CallOutput::Model(_) | CallOutput::Step(_) => {}
                    }
                }
            }
            RunEvent::Ended(ended) => {
                agents.remove(&ended.node);
            }
            RunEvent::TakenOver { .. } => {
                let paused = agents.values().filter(|(_, is_paused)| *is_paused);
                ways.extend(paused.map(|(agent, _)| format!("{}: taken over with its program paused", agent.name)));
            }
            _ => {}
        }
    }
    ways.retain(|way| is_shipped(way.split(':').next().unwrap_or_default()));
    ways
}

fn way(step: &AgentStep) -> Option<&str> {
    match step {
        AgentStep::Answer { .. } => Some("answered"),
        AgentStep::AskCustomer { .. } => Some("asked the customer"),
        AgentStep::HandOver { .. } => Some("handed over"),
        AgentStep::RequestTools(requests) => (requests.len() > 1).then_some("together"),
        AgentStep::RunCode(SandboxProgram::Resume { .. }) => Some("resumed"),
        AgentStep::RunCode(SandboxProgram::Replay { .. }) => Some("replayed"),
        AgentStep::GiveUp(fault) => Some(&fault.code),
        AgentStep::RunCode(SandboxProgram::Start { .. }) | AgentStep::AskModel(_) | AgentStep::AskEndpoint => None,
    }
}

fn word(event: &RunEvent) -> Option<&'static str> {
    match event {
        RunEvent::Scheduled(scheduled) => match &scheduled.request {
            EffectRequest::Code { program, .. } => Some(match **program {
                SandboxProgram::Start { .. } => "start",
                SandboxProgram::Resume { .. } => "resume",
                SandboxProgram::Replay { .. } => "replay",
            }),
            EffectRequest::Step { .. } => Some("thought for"),
            EffectRequest::Tool { .. } | EffectRequest::Model(_) => None,
        },
        RunEvent::Done(done) => match &done.output {
            CallOutput::Code(ran) => Some(match **ran {
                ProgramOutcome::Calls { .. } => "calls",
                ProgramOutcome::Finished { .. } => "finished",
                ProgramOutcome::Failed { .. } => "failed",
                ProgramOutcome::Stale => "stale",
            }),
            CallOutput::Tool(_) | CallOutput::Model(_) | CallOutput::Step(_) => None,
        },
        RunEvent::AgentReplaced { .. } => Some("replaced"),
        _ => None,
    }
}
