//! `subworkflow`: a child run under a derived id. Its whole saga is one entry in its parent's saga.

use std::sync::Arc;

use super::super::SUBWORKFLOW_DEPTH_MAX;
use super::super::address::{CallId, CallRole, EffectId, NodeAddress};
use super::super::advance::expression_fault;
use super::super::command::{ChildResult, RunOrigin};
use super::super::decide::RunDraft;
use super::super::event::{CallCompleted, CallOutput, NodeWait, RunEvent, UndoAction};
use super::super::refusal::RunRefusal;
use super::super::state::{NodeActivity, NodeStatus, RunState};
use super::deadline_of;
use crate::fault::{Fault, code};
use crate::graph::node::SubworkflowNode;
use crate::graph::{GraphNode, NodeIndex};
use crate::money::{PriceQuote, Usd};

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, node: &GraphNode, child: &SubworkflowNode) {
    let limit = match child_budget(draft, at) {
        Ok(limit) => limit,
        Err(fault) => return draft.fail(at, fault),
    };
    let Some(started) = draft.run.started() else { return };
    let depth = match &started.origin {
        RunOrigin::Caller | RunOrigin::Conversation { .. } => 0,
        RunOrigin::Parent { depth, .. } => *depth,
    };
    if depth >= SUBWORKFLOW_DEPTH_MAX {
        let message = format!("subworkflows are nested {SUBWORKFLOW_DEPTH_MAX} deep, which is the limit");
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
            let wait = NodeWait::Child { run, bundle, input, limit, deadline };
            draft.emit(RunEvent::Began { node: at.clone(), wait: Box::new(wait) });
        }
        Err(error) => draft.fail(at, expression_fault("input", &error)),
    }
}

/// Returns the part of the limits of this run and its node that the child, and everything it causes, may spend: it is
/// reserved while the child runs. All that is left if nothing else in the run can need any of it meanwhile, otherwise
/// as much as for a call of unknown price. `None` if there are no limits; a fault if nothing is left, since the child
/// could not even send free calls.
fn child_budget(draft: &RunDraft<'_>, at: &NodeAddress) -> Result<Option<Usd>, Fault> {
    let Some(left) = draft.remaining_cost(at) else { return Ok(None) };
    let usual = if is_only_work(draft, at) { left } else { Usd::ZERO };
    let handed = draft.cost_hold(at, PriceQuote { most: left, usual, least: Usd::from_nanos(1) });
    let refused = |fault: Fault| {
        let message = format!("nothing is left to hand to the subworkflow: {}", fault.message);
        Fault { message, ..fault }
    };
    handed.map(Some).map_err(refused)
}

/// Returns whether nothing else in the run is in progress, or can start, before this node ends.
fn is_only_work(draft: &RunDraft<'_>, at: &NodeAddress) -> bool {
    let Some((scope, place)) = draft.run.place(at).filter(|_| at.scope.is_root()) else { return false };
    let later = scope.graph.reachable([place]);
    let needs_nothing = |other: NodeIndex| {
        let status = scope.nodes.get(other.as_usize()).map(|state| state.status).unwrap_or_default();
        match status {
            // A merge that the first branch has completed may also have started nodes after this one.
            NodeStatus::Active => other == place,
            NodeStatus::Idle => later.contains(&other),
            _ => true,
        }
    };
    scope.graph.node_indices().all(needs_nothing)
}

pub fn child_ended(draft: &mut RunDraft<'_>, at: &NodeAddress, ended: ChildResult) -> Result<(), RunRefusal> {
    match draft.run.activity(at) {
        Some(NodeActivity::Child { run, .. }) if *run == ended.run => {}
        _ => return Err(RunRefusal::NothingWaits { node: at.to_string() }),
    }
    let call = draft.run.node_state(at).map_or(0, |state| state.next_call);
    let effect = EffectId { call: CallId { node: at.clone(), call, role: CallRole::Act }, generation: 0 };
    let undo = ended.acted.then(|| Box::new(UndoAction::Child { run: ended.run.clone() }));
    let output = CallOutput::Tool(ended.output.clone());
    draft.emit(RunEvent::Done(Box::new(CallCompleted { effect, output, cost: ended.cost, cached: false, undo })));
    match (ended.state, ended.fault) {
        // It completed while this run drains, or after a time-out: the completion handles that.
        (RunState::Completed, _) => draft.complete(at, ended.output, None),
        _ if draft.is_draining(at) => draft.finish_drain_now(at),
        (state, fault) => {
            let why = fault.map_or_else(|| state.to_string(), |fault| fault.to_string());
            let message = format!("the run `{}` ended {state}: {why}", ended.run);
            draft.fail(at, Fault::new(code::CHILD_FAILED, message));
        }
    }
    Ok(())
}
