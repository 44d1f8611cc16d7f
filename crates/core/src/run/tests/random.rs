//! Random small workflows in a random environment: in every case, a run ends and undoes what it must, once and in
//! order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::fixture::{FixtureReply, RunFixture, asks, blocked, done, fails, flaky, not_found, stopped, unknown};
use super::flow::{
    FlowBuilder, NodeBuilder, agent, approval, child, condition, each, end, flow, merge, only, parallel, repeat_while,
    secs, signal, tool, transform, wait_for,
};
use crate::agent::AgentStep;
use crate::fault::Fault;
use crate::graph::node::{MergeMode, OnDeadline, RemainingWork};
use crate::run::{
    Approval, BlockReason, CallRole, DoubtResolution, HumanDecision, HumanTask, OnExpiry, RunCommand, RunEvent,
    RunReopened, RunState, UndoAction,
};

/// Number of random steps; after them everything is answered.
const FATES_MAX: usize = 60;

/// One node: its kind, and how it fails.
#[derive(Clone, Debug)]
struct RandomNode {
    kind: u8,
    twist: u8,
    /// Bits: which of the previous nodes lead here.
    from: u8,
    label: u8,
    on_error: u8,
}

fn plan() -> impl Strategy<Value = RandomNode> {
    (0..22_u8, any::<u8>(), any::<u8>(), 0..6_u8, 0..9_u8).prop_map(|(kind, twist, from, label, on_error)| RandomNode {
        kind,
        twist,
        from,
        label,
        on_error,
    })
}

/// A node of this plan. `depth` is the remaining nesting depth of its body.
fn node(id: &str, plan: &RandomNode, depth: u8) -> NodeBuilder {
    let body = |n: u8| -> FlowBuilder {
        let inner = RandomNode { kind: plan.twist.wrapping_add(n) % 22, twist: plan.twist / 3, ..plan.clone() };
        match depth {
            0 => only(tool("leaf").undo("unleaf")),
            _ => flow([node("first", &inner, depth - 1), tool("last").undo("unlast")], "first>last"),
        }
    };
    match plan.kind {
        0..=2 => tool(id).undo(&format!("un_{id}")),
        3 => tool(id).once().undo(&format!("un_{id}")),
        4 => tool(id).verify().undo(&format!("un_{id}")),
        5 => tool(id).read(),
        6 => tool(id).once(),
        7 => condition(id, if plan.twist.is_multiple_of(2) { "`true`" } else { "`false`" }),
        8 => merge(id, if plan.twist.is_multiple_of(2) { MergeMode::Any } else { MergeMode::NOfM(2) }).undo_losers(),
        9 => merge(id, MergeMode::Any).rest(RemainingWork::Wait),
        10 => approval(id, 1).deadline(secs(30), OnDeadline::Approve),
        11 => wait_for(id, secs(u64::from(plan.twist % 20))),
        12 => signal(id, "go").deadline(secs(40), OnDeadline::Default(json!(null))),
        13 => each(id, json!([1, 2, 3]), u32::from(plan.twist % 3) + 1, body(0)),
        14 => parallel(id, vec![("left", body(0)), ("right", body(1))]),
        15 => repeat_while(id, "index < `2`", body(2)),
        16 => agent(id, &["find", "book"]).undo("unbook"),
        17 | 18 => child(id),
        19 | 20 => merge(id, if plan.twist.is_multiple_of(3) { MergeMode::All } else { MergeMode::Any }).undo_losers(),
        _ if plan.twist.is_multiple_of(3) => {
            end(id).rest(if plan.twist % 2 == 1 { RemainingWork::Wait } else { RemainingWork::Cancel })
        }
        _ => transform(id, &[("log", json!(id))]),
    }
}

fn workflow(plans: &[RandomNode], bounds: u8) -> FlowBuilder {
    let ids: Vec<String> = (0..plans.len()).map(|n| format!("n{n}")).collect();
    let mut edges = Vec::new();
    for (place, plan) in plans.iter().enumerate() {
        for before in (0..place).filter(|before| plan.from >> (before % 8) & 1 == 1) {
            let label = match (plans[before].kind, plan.label) {
                (7, 0 | 1) => ":true",
                (7, 2) => ":false",
                (10, 0) => ":rejected",
                _ => "",
            };
            edges.push(format!("n{before}{label}>n{place}"));
        }
        if plan.on_error == 0 && place + 1 < plans.len() {
            edges.push(format!("n{place}!>n{}", plans.len() - 1));
        }
    }
    let nodes = ids.iter().zip(plans).map(|(id, plan)| {
        let node = node(id, plan, 1);
        match plan.on_error {
            1 => node.continues(),
            2 => node.fails(),
            3 => node.compensates(),
            _ => node,
        }
    });
    let mut flow = flow(nodes, &edges.join(" ")).variable("log", crate::graph::CombineMode::Append, json!([]));
    if bounds & 1 == 1 {
        flow = flow.timeout(secs(90));
    }
    if bounds & 2 == 2 && plans.len() > 1 {
        flow = flow.on_compensated(&ids[plans.len() - 1]);
    }
    flow
}

impl RunFixture {
    /// Applies a random outcome to the next calls in flight.
    fn scripted(&mut self, fate: u8) {
        let reply = match fate % 16 {
            0 => fails("NO"),
            1 | 2 => flaky("BUSY"),
            3 | 4 => unknown(),
            5 if fate < 64 => FixtureReply::OverBudget(secs(20)),
            5 if fate < 128 => blocked(BlockReason::Key),
            5 => blocked(BlockReason::Approval(Box::new(Approval {
                need: 1 + u32::from(fate % 2),
                until: (fate > 160).then(|| self.now + secs(u64::from(fate) / 8)),
                then: if fate > 200 { OnExpiry::Approve } else { OnExpiry::Reject },
                ..Approval::of("h")
            }))),
            6 if fate < 96 => asks("which?", (fate > 48).then(|| secs(u64::from(fate) / 8))),
            6 if fate > 192 => stopped("TOOL_NOT_ALLOWED"),
            6 => FixtureReply::HeldBack(secs(3)),
            7..=9 => FixtureReply::StaysOut,
            _ => done(json!({"id": fate})),
        };
        self.fate = Some(reply);
        self.finds([match fate % 3 {
            0 => not_found(),
            1 => unknown(),
            _ => done(json!({"id": fate})),
        }]);
    }

    fn apply_random_action(&mut self, fate: u8, script: u8) {
        self.scripted(script);
        match fate % 24 {
            0 => drop(self.pauses()),
            1 | 2 => drop(self.resumes()),
            3 if script.is_multiple_of(5) => drop(self.cancels(script.is_multiple_of(2))),
            3 | 14 if script.is_multiple_of(7) => drop(self.forks(script.is_multiple_of(2), json!({}))),
            4 => drop(self.crashes()),
            5 | 6 => drop(self.signals("go", json!(fate))),
            7 => drop(self.signals("message", json!("hi"))),
            8 => drop(self.signals_numbered(u64::from(script % 5))),
            9 => drop(self.retries()),
            10 => drop(self.rolls_back()),
            11 => drop(self.advance_time(secs(1))),
            12 => drop(self.advance_time(secs(20))),
            13 => self.children_end(script),
            15 => self.late_answer(script),
            16..=18 => self.deliver_random_outcome(script),
            _ => self.decide_randomly(script),
        }
        self.fate = None;
    }

    /// Returns a request in flight, with a random outcome.
    fn deliver_random_outcome(&mut self, script: u8) {
        if let Some(effect) = self.oldest_out() {
            let reply = match script % 4 {
                0 => fails("NO"),
                1 => unknown(),
                2 => flaky("BUSY"),
                _ => done(json!({"id": script})),
            };
            self.drop_send(&effect);
            self.deliver_outcome(effect, reply);
        }
    }

    /// An old request is answered, whether the answer is awaited or not.
    fn late_answer(&mut self, script: u8) {
        let known: Vec<_> = self.forgotten();
        if let Some(effect) = known.get(usize::from(script) % known.len().max(1)) {
            self.deliver_outcome(effect.clone(), done(json!({"id": "late"})));
        }
    }

    fn decide_randomly(&mut self, script: u8) {
        let asks = self.run.human_tasks();
        if let Some(ask) = asks.get(usize::from(script) % asks.len().max(1)) {
            self.decides(ask.clone(), script);
        }
    }

    fn decides(&mut self, ask: HumanTask, script: u8) {
        let by = "ana".to_owned();
        let command = match ask {
            HumanTask::Human(node) => {
                let note = String::new();
                let decision = if script.is_multiple_of(5) {
                    HumanDecision::Reject { note }
                } else {
                    HumanDecision::Approve { note }
                };
                RunCommand::Answer { node, by: by.into(), decision }
            }
            HumanTask::Customer(_) => RunCommand::Signal(super::fixture::signal("message", json!("yes"), None)),
            HumanTask::Doubt(effect) => {
                let resolution = match script % 4 {
                    0 => DoubtResolution::NotDone,
                    1 => DoubtResolution::Repeat,
                    _ => DoubtResolution::Done { output: json!({"id": script}) },
                };
                RunCommand::Resolve { effect, by, resolution }
            }
            HumanTask::Approval(effect) | HumanTask::Budget(effect) => {
                let by = match script % 4 {
                    0 | 2 => by,
                    1 => "bob".to_owned(),
                    _ => "eve".to_owned(),
                };
                RunCommand::Approve { effect, by: by.into(), approved: !script.is_multiple_of(3), note: String::new() }
            }
            HumanTask::Question(effect) if script.is_multiple_of(3) => {
                RunCommand::Approve { effect, by: by.into(), approved: script.is_multiple_of(2), note: String::new() }
            }
            HumanTask::Question(effect) => {
                let form = if script.is_multiple_of(7) { json!({}) } else { json!({"seat": "1A"}) };
                RunCommand::Fill { effect, by, form }
            }
            HumanTask::Key(_) => RunCommand::KeyGiven { by },
        };
        self.submit(command);
    }

    fn children_end(&mut self, script: u8) {
        for (node, run, cancelling) in self.children() {
            let state = match (cancelling, script % 3) {
                (true, 0 | 1) => RunState::Cancelled,
                (_, 0) => RunState::Failed,
                _ => RunState::Completed,
            };
            self.child_ends(&node, &run, state, script.is_multiple_of(2));
        }
        for run in self.children_to_undo() {
            self.child_undone(&run);
        }
    }

    /// From now on every request is answered, and every approval is given.
    fn finish_everything(&mut self) {
        self.resumes();
        for _ in 0..200 {
            while let Some(effect) = self.oldest_out() {
                self.drop_send(&effect);
                self.deliver_outcome(effect, done(json!({"id": "kind"})));
            }
            self.children_end(1);
            self.children_end(2);
            // Each by three people, who all approve: one of them may have forked the run, and cannot decide.
            let asks = self.run.human_tasks().into_iter();
            for (ask, script) in asks.flat_map(|ask| [2, 7, 13].map(|script| (ask.clone(), script))) {
                self.decides(ask, script);
            }
            self.advance_time(secs(15));
            if self.run.state().is_end() {
                return;
            }
        }
        panic!("the run never ends: {:?}, {:?}", self.run.state(), self.run.nodes());
    }
}

/// Every effect that the journal reports as undone was undone once, and newest first.
fn undone_once_and_in_order(w: &RunFixture) {
    let mut entries: Vec<bool> = Vec::new();
    let mut handled: BTreeSet<usize> = BTreeSet::new();
    let mut undone: BTreeSet<usize> = BTreeSet::new();
    let mut generations: BTreeMap<usize, u32> = BTreeMap::new();
    let mut rolls_back = false;
    let mut in_aftermath = false;
    for event in w.events() {
        match event {
            RunEvent::Done(done) if done.effect.call.role == CallRole::Undo => {
                assert!(undone.insert(done.effect.call.call as usize), "undone twice: {:?}", done.effect);
            }
            RunEvent::Done(done) if !in_aftermath => {
                entries.extend(done.undo.as_ref().map(|undo| !matches!(**undo, UndoAction::Irreversible { .. })));
            }
            RunEvent::ArrivedLate(done) => {
                entries.extend(done.undo.as_ref().map(|undo| !matches!(**undo, UndoAction::Irreversible { .. })));
            }
            RunEvent::Compensating => (rolls_back, in_aftermath) = (true, false),
            RunEvent::Aftermath => in_aftermath = true,
            RunEvent::Reopened(reopened) => match **reopened {
                RunReopened::Rollback { .. } => (rolls_back, in_aftermath) = (true, false),
                RunReopened::Retry { .. } => {}
            },
            RunEvent::Scheduled(scheduled) if scheduled.effect.call.role == CallRole::Undo => {
                let place = scheduled.effect.call.call as usize;
                assert!(handled.insert(place), "scheduled twice");
                let generation = generations.insert(place, scheduled.effect.generation);
                let is_new = generation.is_none_or(|before| before < scheduled.effect.generation);
                assert!(is_new, "two attempts to undo {place} under one key");
                let newer = (place + 1..entries.len()).find(|newer| entries[*newer] && !handled.contains(newer));
                assert!(!rolls_back || newer.is_none(), "entry {place} is undone before {newer:?}");
            }
            RunEvent::UndoAgain { effect, .. } => {
                assert!(!undone.contains(&(effect.call.call as usize)), "undone, and tried again");
                handled.remove(&(effect.call.call as usize));
            }
            RunEvent::Forked(forked) if !forked.owns_undo => entries.iter_mut().for_each(|entry| *entry = false),
            RunEvent::ChildUndoing { effect, .. } | RunEvent::NotUndone { effect, .. } => {
                handled.insert(effect.call.call as usize);
            }
            _ => {}
        }
    }
    if w.run.state() == RunState::Compensated {
        let left: Vec<usize> = (0..entries.len()).filter(|place| entries[*place] && !handled.contains(place)).collect();
        assert!(left.is_empty(), "a compensated run left {left:?}");
    }
}

fn check_random_run(plans: &[RandomNode], bounds: u8, fates: &[(u8, u8)]) {
    let mut w = RunFixture::new(workflow(plans, bounds));
    let steps = ["find", "book"].into_iter().map(|name| super::agents::tools(&[name]));
    for (place, plan) in plans.iter().enumerate() {
        let give_up = plan.twist.is_multiple_of(5).then(|| AgentStep::GiveUp(Fault::new("AGENT_GAVE_UP", "no")));
        let ask = plan.twist.is_multiple_of(4).then(|| AgentStep::AskCustomer { question: "?".into() });
        w.thinks(&format!("n{place}"), steps.clone().chain(ask).chain(give_up));
    }
    w.scripted(fates.first().map_or(255, |(_, script)| *script));
    w.starts();
    for (fate, script) in fates {
        w.apply_random_action(*fate, *script);
    }
    w.finish_everything();
    undone_once_and_in_order(&w);
    w.replayed();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_run_ends_and_undoes_what_it_must(
        plans in prop::collection::vec(plan(), 1..9),
        bounds in 0..4_u8,
        fates in prop::collection::vec((any::<u8>(), any::<u8>()), 0..FATES_MAX),
    ) {
        check_random_run(&plans, bounds, &fates);
    }
}

/// `BATON_CASES` sets a larger number than an ordinary test run has time for.
fn cases() -> u32 {
    std::env::var("BATON_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

/// Found by the random test, which gave both forks the same name.
#[test]
fn a_fork_of_a_fork_has_keys_of_its_own() {
    let plan = RandomNode { kind: 0, twist: 0, from: 0, label: 0, on_error: 0 };
    check_random_run(&[plan], 0, &[(0, 1), (3, 91), (19, 38), (3, 7)]);
}

/// Found by the random test.
#[test]
fn a_fork_of_a_run_that_was_rolling_back_while_it_was_paused_has_nothing_of_it_in_line() {
    let plan = |kind, twist, from, on_error| RandomNode { kind, twist, from, label: 0, on_error };
    check_random_run(&[plan(0, 0, 0, 3), plan(14, 60, 104, 0), plan(0, 0, 0, 0)], 2, &[(0, 112), (27, 63)]);
}
