//! `end`: gives its scope's output.

use std::sync::Arc;

use super::super::address::Address;
use super::super::advance::expression_fault;
use super::super::decide::Draft;
use super::super::event::Winding;
use super::super::state::Status;
use crate::graph::node::{End, Rest};

pub fn begin(draft: &mut Draft<'_>, at: &Address, end: &End) {
    let output = match end.output.as_ref().map(|output| output.render(&draft.view(&at.scope))) {
        None => Arc::default(),
        Some(Ok(output)) => Arc::new(output),
        Some(Err(error)) => return draft.fail(at, expression_fault("output", &error)),
    };
    draft.complete(at, output, None);
    stop_the_rest(draft, at, end);
}

/// An end that waits for nobody winds its scope down, if anything is left in it.
fn stop_the_rest(draft: &mut Draft<'_>, at: &Address, end: &End) {
    let is_reached = draft.run.node_state(at).is_some_and(|state| state.status == Status::Completed);
    let has_rest = draft.run.scope(&at.scope).is_some_and(|scope| scope.unsettled > 0 && scope.winding.is_none());
    match (end.rest == Rest::Cancel && is_reached && has_rest, at.scope.is_root()) {
        (false, _) => {}
        (true, true) => draft.wind_run(Winding::EndReached, false),
        (true, false) => draft.wind_scope(&at.scope, Winding::EndReached),
    }
}
