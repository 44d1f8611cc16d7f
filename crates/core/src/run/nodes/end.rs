//! `end`: sets its scope's output.

use std::sync::Arc;

use super::super::address::NodeAddress;
use super::super::advance::expression_fault;
use super::super::decide::RunDraft;
use super::super::event::DrainReason;
use super::super::state::NodeStatus;
use crate::graph::node::{EndNode, RemainingWork};

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, end: &EndNode) {
    let output = match end.output.as_ref().map(|output| output.render(&draft.view(&at.scope))) {
        None => Arc::default(),
        Some(Ok(output)) => Arc::new(output),
        Some(Err(error)) => return draft.fail(at, expression_fault("output", &error)),
    };
    draft.complete(at, output, None);
    cancel_remaining(draft, at, end);
}

/// An end that does not wait for the rest drains its scope, if anything is left in it.
fn cancel_remaining(draft: &mut RunDraft<'_>, at: &NodeAddress, end: &EndNode) {
    let is_reached = draft.run.node_state(at).is_some_and(|state| state.status == NodeStatus::Completed);
    let has_rest = draft.run.scope(&at.scope).is_some_and(|scope| scope.unsettled > 0 && scope.winding.is_none());
    match (end.rest == RemainingWork::Cancel && is_reached && has_rest, at.scope.is_root()) {
        (false, _) => {}
        (true, true) => draft.drain_run(DrainReason::EndReached, false),
        (true, false) => draft.drain_scope(&at.scope, DrainReason::EndReached),
    }
}
