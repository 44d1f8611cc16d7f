//! `subworkflow`: a child run under a derived id. Its whole saga is one entry of its parent's.

use std::sync::Arc;

use super::super::DEPTH_MAX;
use super::super::address::{Address, CallId, EffectId, Role};
use super::super::advance::expression_fault;
use super::super::command::{ChildEnd, Origin};
use super::super::decide::Draft;
use super::super::event::{Answer, Began, Done, Event, Undo};
use super::super::refusal::Refusal;
use super::super::state::{Activity, State, Status};
use super::deadline_of;
use crate::fault::{Fault, code};
use crate::graph::node::Subworkflow;
use crate::graph::{Node, NodeIx};
use crate::money::{Quote, Usd};

pub fn begin(draft: &mut Draft<'_>, at: &Address, node: &Node, child: &Subworkflow) {
    let limit = match handed_down(draft, at) {
        Ok(limit) => limit,
        Err(fault) => return draft.fail(at, fault),
    };
    let Some(started) = draft.run.started() else { return };
    let depth = match &started.origin {
        Origin::Caller | Origin::Conversation { .. } => 0,
        Origin::Parent { depth, .. } => *depth,
    };
    if depth >= DEPTH_MAX {
        let message = format!("subworkflows are nested {DEPTH_MAX} deep, which is the limit");
        return draft.fail(at, Fault::new(code::NESTING_LIMIT, message));
    }
    let attempt = draft.run.node_state(at).map_or(0, |state| state.next_call);
    let run = match attempt {
        0 => format!("{}/{at}", started.run),
        again => format!("{}/{at}~{again}", started.run),
    };
    match child.input.render(&draft.view(&at.scope)) {
        Ok(input) => {
            let deadline = deadline_of(draft, node.policy.timeout);
            let (run, bundle, input) = (run.into(), child.bundle.clone(), Arc::new(input));
            let wait = Began::Child { run, bundle, input, limit, deadline };
            draft.emit(Event::Began { node: at.clone(), wait: Box::new(wait) });
        }
        Err(error) => draft.fail(at, expression_fault("input", &error)),
    }
}

/// What of the limits of this run and its node the child may spend, and everything it causes: held while it runs. All that
/// is left where nothing else of the run can need any of it meanwhile, else as much as of any call whose price nobody
/// knows. Nothing where there are no limits; a fault where they leave nothing, for not even what is free would go out there.
fn handed_down(draft: &Draft<'_>, at: &Address) -> Result<Option<Usd>, Fault> {
    let Some(left) = draft.cost_left(at) else { return Ok(None) };
    let usual = if is_alone(draft, at) { left } else { Usd::ZERO };
    let handed = draft.check_cost(at, Quote { most: left, usual, least: Usd::from_nanos(1) });
    let refused = |fault: Fault| {
        let message = format!("nothing is left to hand to the subworkflow: {}", fault.message);
        Fault { message, ..fault }
    };
    handed.map(Some).map_err(refused)
}

/// Whether nothing of the run is under way, or can begin, before this node has ended.
fn is_alone(draft: &Draft<'_>, at: &Address) -> bool {
    let Some((scope, place)) = draft.run.place(at).filter(|_| at.scope.is_root()) else { return false };
    let later = scope.graph.reachable([place]);
    let needs_nothing = |other: NodeIx| {
        let status = scope.nodes.get(other.at()).map(|state| state.status).unwrap_or_default();
        match status {
            // A merge that the first branch has fired may have begun what is behind this one, too.
            Status::Active => other == place,
            Status::Idle => later.contains(&other),
            _ => true,
        }
    };
    scope.graph.places().all(needs_nothing)
}

pub fn ended(draft: &mut Draft<'_>, at: &Address, ended: ChildEnd) -> Result<(), Refusal> {
    match draft.run.activity(at) {
        Some(Activity::Child { run, .. }) if *run == ended.run => {}
        _ => return Err(Refusal::NothingWaits { node: at.to_string() }),
    }
    let call = draft.run.node_state(at).map_or(0, |state| state.next_call);
    let effect = EffectId { call: CallId { node: at.clone(), call, role: Role::Act }, generation: 0 };
    let undo = ended.acted.then(|| Box::new(Undo::Child { run: ended.run.clone() }));
    let output = Answer::Tool(ended.output.clone());
    draft.emit(Event::Done(Box::new(Done { effect, output, cost: ended.cost, cached: false, undo })));
    match (ended.state, ended.fault) {
        // It came to its end while this run winds down, or after a time-out: that is told apart where nodes complete.
        (State::Completed, _) => draft.complete(at, ended.output, None),
        _ if draft.is_winding(at) => draft.end_wound_now(at),
        (state, fault) => {
            let why = fault.map_or_else(|| state.to_string(), |fault| fault.to_string());
            let message = format!("the run `{}` ended {state}: {why}", ended.run);
            draft.fail(at, Fault::new(code::CHILD_FAILED, message));
        }
    }
    Ok(())
}
