//! Invariants of every run between two decisions.

use std::collections::BTreeSet;

use crate::run::Run;
use crate::run::address::NodeAddress;
use crate::run::state::{AgentWait, NodeActivity, NodeStatus, RunPhase};
use crate::time::Time;

pub fn hold(run: &Run, now: Time) {
    scopes_count_what_is_unsettled(run);
    timers_are_those_of_what_is_open(run, now);
    agents_that_think_are_asked(run);
    nodes_in_line_are_idle(run);
    an_ended_run_has_nothing_open(run);
    holds_are_those_of_open_calls(run);
}

fn holds_are_those_of_open_calls(run: &Run) {
    assert_eq!(run.on_hold, run.calls.values().map(|call| call.hold).sum(), "of the run");
    for (path, scope) in &run.scopes {
        for (node, state) in scope.graph.nodes.iter().zip(&scope.nodes) {
            let at = NodeAddress::new(path.clone(), node.id.clone());
            let open = run.calls.iter().filter(|(id, _)| id.node == at).map(|(_, call)| call.hold).sum();
            assert_eq!(state.on_hold, open, "of `{at}`");
        }
    }
}

fn scopes_count_what_is_unsettled(run: &Run) {
    for (path, scope) in &run.scopes {
        let unsettled =
            scope.nodes.iter().filter(|s| !s.status.is_settled() && s.status != NodeStatus::Reserved).count();
        assert_eq!(scope.unsettled as usize, unsettled, "of scope `{path}`");
        let active: BTreeSet<u32> = (0..)
            .zip(&scope.nodes)
            .filter(|(_, state)| state.status == NodeStatus::Active)
            .map(|(place, _)| place)
            .collect();
        assert_eq!(scope.active, active, "of scope `{path}`");
        for state in scope.nodes.iter().filter(|state| state.status == NodeStatus::Active) {
            assert!(state.activity.is_some(), "an active node is about nothing in `{path}`");
        }
    }
}

fn timers_are_those_of_what_is_open(run: &Run, now: Time) {
    let due: BTreeSet<_> = run.calls.iter().filter_map(|(id, call)| Some((call.due_at()?, id.clone()))).collect();
    assert_eq!(run.backoffs, due, "timers of calls");
    for (at, timer) in &run.timers {
        assert!(*at > now, "{timer:?} is due and was not looked at");
    }
}

fn agents_that_think_are_asked(run: &Run) {
    let mut thinkers = BTreeSet::new();
    for (path, scope) in &run.scopes {
        for place in &scope.active {
            let activity = scope.nodes[*place as usize].activity.as_deref();
            if let Some(NodeActivity::Agent { waits: AgentWait::Think, .. }) = activity {
                thinkers.insert(NodeAddress::new(path.clone(), scope.graph.nodes[*place as usize].id.clone()));
            }
        }
    }
    assert_eq!(run.thinkers, thinkers, "agents to be asked");
}

fn nodes_in_line_are_idle(run: &Run) {
    let line: BTreeSet<&NodeAddress> = run.ready.iter().collect();
    assert_eq!(line.len(), run.ready.len(), "a node stands in line twice");
    for at in line {
        let status = run.node_state(at).map(|state| state.status);
        assert_eq!(status, Some(NodeStatus::Idle), "`{at}` stands in line");
    }
}

fn an_ended_run_has_nothing_open(run: &Run) {
    if let RunPhase::Ended(_) = run.phase {
        assert!(run.calls.is_empty() && run.timers.is_empty() && run.ready.is_empty() && run.thinkers.is_empty());
        assert!(run.finished.is_some());
    }
}
