//! The behaviour of each kind of node when it starts, when something happens to it, and when its time is up. One file
//! for each kind, all reached through these three matches.

pub(super) mod agent;
mod condition;
mod end;
pub(super) mod human;
mod loops;
mod merge;
mod parallel;
mod sink;
pub(super) mod subworkflow;
mod switch;
mod tool;
mod transform;
mod trigger;
pub(super) mod wait;

use std::time::Duration;

use super::address::NodeAddress;
use super::decide::RunDraft;
use super::state::{AgentWait, NodeActivity};
use crate::fault::{Fault, code};
use crate::graph::GraphNode;
use crate::graph::node::{NodeKind, OnDeadline};
use crate::time::Time;

/// Starts a node whose in-edges and condition let it run.
pub(super) fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, node: &GraphNode) {
    match &node.kind {
        NodeKind::Trigger => trigger::begin(draft, at),
        NodeKind::Agent(agent) => agent::begin(draft, at, node, agent),
        NodeKind::Tool(tool) => tool::begin(draft, at, node, tool),
        NodeKind::Condition(condition) => condition::begin(draft, at, condition),
        NodeKind::Switch(switch) => switch::begin(draft, at, switch),
        NodeKind::Loop(each) => loops::begin(draft, at, node, each),
        NodeKind::Parallel(fork) => parallel::begin(draft, at, node, fork),
        NodeKind::Merge(merge) => merge::begin(draft, at, merge),
        NodeKind::Human(human) => human::begin(draft, at, human),
        NodeKind::Wait(wait) => wait::begin(draft, at, wait),
        NodeKind::Subworkflow(child) => subworkflow::begin(draft, at, node, child),
        NodeKind::Transform(sets) => transform::begin(draft, at, sets),
        NodeKind::End(end) => end::begin(draft, at, end),
        NodeKind::Sink(sink) => sink::begin(draft, at, sink),
    }
}

/// Advances an active node after an event: a call was answered, a body closed, a signal arrived.
pub(super) fn advance_node(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let Some(activity) = draft.run.activity(at) else { return };
    match activity {
        NodeActivity::Calls { .. } => tool::advance(draft, at),
        NodeActivity::Agent { .. } => agent::advance(draft, at),
        NodeActivity::Each { .. } => loops::advance_each(draft, at),
        NodeActivity::Repeat { .. } => loops::advance_repeat(draft, at),
        NodeActivity::Branches { .. } => parallel::advance(draft, at),
        NodeActivity::Signal { name, .. } => {
            let name = name.clone();
            wait::take_signal(draft, at, &name);
        }
        NodeActivity::Held(held) => {
            let held = held.clone();
            draft.complete_with_held_result(at, held);
        }
        NodeActivity::Timer { .. } | NodeActivity::Human { .. } | NodeActivity::Child { .. } => {}
    }
    if draft.is_active(at) && draft.is_draining(at) {
        draft.finish_drain(at);
    }
}

/// A node's time is up.
pub(super) fn handle_deadline(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let Some(activity) = draft.run.activity(at) else { return };
    match activity {
        NodeActivity::Timer { .. } => wait::timer_fired(draft, at),
        NodeActivity::Signal { .. } => wait::deadline(draft, at),
        NodeActivity::Human { .. } => human::deadline(draft, at),
        NodeActivity::Agent { waits: AgentWait::Customer { deadline: Some(deadline) }, .. }
            if *deadline <= draft.now =>
        {
            agent::customer_deadline(draft, at);
        }
        NodeActivity::Calls { .. }
        | NodeActivity::Agent { .. }
        | NodeActivity::Child { .. }
        | NodeActivity::Each { .. }
        | NodeActivity::Repeat { .. }
        | NodeActivity::Branches { .. }
        | NodeActivity::Held(_) => {
            draft.drain_with_fault(
                at,
                Fault::new(code::TIMEOUT, format!("`{}` took longer than its time-out", at.node)),
            );
        }
    }
}

fn deadline_of(draft: &RunDraft<'_>, own: Option<Duration>) -> Option<Time> {
    own.map(|after| draft.now + after)
}

/// Applies a passed deadline to a node that waits for a person.
fn apply_deadline(draft: &mut RunDraft<'_>, at: &NodeAddress, then: &OnDeadline) {
    match then {
        OnDeadline::Default(output) => draft.complete(at, std::sync::Arc::new(output.clone()), None),
        OnDeadline::Fail | OnDeadline::Approve | OnDeadline::Reject => {
            draft.fail(at, Fault::new(code::DEADLINE, format!("nobody answered `{}` in time", at.node)));
        }
    }
}
