//! What each kind of node does when it begins, when something happens to it, and when its time is over. One file a
//! kind, all reached through these three matches.

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

use super::address::Address;
use super::decide::Draft;
use super::state::{Activity, AgentWait};
use crate::fault::{Fault, code};
use crate::graph::Node;
use crate::graph::node::{AtDeadline, Kind};
use crate::time::Time;

/// A node whose in-edges and condition let it run.
pub(super) fn begin(draft: &mut Draft<'_>, at: &Address, node: &Node) {
    match &node.kind {
        Kind::Trigger => trigger::begin(draft, at),
        Kind::Agent(agent) => agent::begin(draft, at, node, agent),
        Kind::Tool(tool) => tool::begin(draft, at, node, tool),
        Kind::Condition(condition) => condition::begin(draft, at, condition),
        Kind::Switch(switch) => switch::begin(draft, at, switch),
        Kind::Loop(each) => loops::begin(draft, at, node, each),
        Kind::Parallel(fork) => parallel::begin(draft, at, node, fork),
        Kind::Merge(merge) => merge::begin(draft, at, merge),
        Kind::Human(human) => human::begin(draft, at, human),
        Kind::Wait(wait) => wait::begin(draft, at, wait),
        Kind::Subworkflow(child) => subworkflow::begin(draft, at, node, child),
        Kind::Transform(sets) => transform::begin(draft, at, sets),
        Kind::End(end) => end::begin(draft, at, end),
        Kind::Sink(sink) => sink::begin(draft, at, sink),
    }
}

/// Something happened to an active node: a call was answered, a body folded, a signal came.
pub(super) fn look(draft: &mut Draft<'_>, at: &Address) {
    let Some(activity) = draft.run.activity(at) else { return };
    match activity {
        Activity::Calls { .. } => tool::look(draft, at),
        Activity::Agent { .. } => agent::look(draft, at),
        Activity::Each { .. } => loops::look_each(draft, at),
        Activity::Repeat { .. } => loops::look_repeat(draft, at),
        Activity::Branches { .. } => parallel::look(draft, at),
        Activity::Signal { name, .. } => {
            let name = name.clone();
            wait::take_signal(draft, at, &name);
        }
        Activity::Held(held) => {
            let held = held.clone();
            draft.complete_held(at, held);
        }
        Activity::Timer { .. } | Activity::Human { .. } | Activity::Child { .. } => {}
    }
    if draft.is_active(at) && draft.is_winding(at) {
        draft.end_wound(at);
    }
}

/// A node's time is over.
pub(super) fn due(draft: &mut Draft<'_>, at: &Address) {
    let Some(activity) = draft.run.activity(at) else { return };
    match activity {
        Activity::Timer { .. } => wait::time_came(draft, at),
        Activity::Signal { .. } => wait::deadline(draft, at),
        Activity::Human { .. } => human::deadline(draft, at),
        Activity::Agent { waits: AgentWait::Customer { deadline: Some(deadline) }, .. } if *deadline <= draft.now => {
            agent::customer_deadline(draft, at);
        }
        Activity::Calls { .. }
        | Activity::Agent { .. }
        | Activity::Child { .. }
        | Activity::Each { .. }
        | Activity::Repeat { .. }
        | Activity::Branches { .. }
        | Activity::Held(_) => {
            draft.wind_with(at, Fault::new(code::TIMEOUT, format!("`{}` took longer than its time-out", at.node)));
        }
    }
}

fn deadline_of(draft: &Draft<'_>, own: Option<Duration>) -> Option<Time> {
    own.map(|after| draft.now + after)
}

/// What a deadline that passed does to a node that waits for somebody.
fn at_deadline(draft: &mut Draft<'_>, at: &Address, then: &AtDeadline) {
    match then {
        AtDeadline::Default(output) => draft.complete(at, std::sync::Arc::new(output.clone()), None),
        AtDeadline::Fail | AtDeadline::Approve | AtDeadline::Reject => {
            draft.fail(at, Fault::new(code::DEADLINE, format!("nobody answered `{}` in time", at.node)));
        }
    }
}
