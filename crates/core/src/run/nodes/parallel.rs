//! `parallel`: bodies side by side; without bodies, a plain fan-out over the out-edges.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::address::Address;
use super::super::decide::Draft;
use super::super::event::{Began, Event, Winding};
use super::super::state::Activity;
use super::deadline_of;
use crate::graph::Node;
use crate::graph::node::{Kind, Parallel};

pub fn begin(draft: &mut Draft<'_>, at: &Address, node: &Node, fork: &Parallel) {
    if fork.branches.is_empty() {
        let input = Arc::new(Value::Object(Map::new()));
        return draft.complete(at, input, None);
    }
    let deadline = deadline_of(draft, node.policy.timeout);
    draft.emit(Event::Began { node: at.clone(), wait: Box::new(Began::Branches { deadline }) });
}

/// Opens bodies that are not open yet, stops them once one has failed, or folds their outputs.
pub fn look(draft: &mut Draft<'_>, at: &Address) {
    if draft.is_winding(at) {
        return;
    }
    let Some(Activity::Branches { open, outputs, error, .. }) = draft.run.activity(at) else { return };
    match error.clone() {
        Some(fault) if open.is_empty() => draft.fail(at, fault),
        Some(_) => {
            for body in draft.open_bodies(at) {
                draft.wind_scope(&body, Winding::CutOff);
            }
        }
        None => {
            let Some((graph, place)) = draft.node(at) else { return };
            let Kind::Parallel(fork) = &graph.node(place).kind else { return };
            let is_new = |name: &&String| !open.contains(*name) && !outputs.contains_key(*name);
            let fresh: Vec<&String> = fork.branches.keys().filter(is_new).collect();
            if fresh.is_empty() && open.is_empty() {
                let outputs = outputs.iter().map(|(name, output)| (name.clone(), (**output).clone())).collect();
                return draft.complete(at, Arc::new(Value::Object(outputs)), None);
            }
            for name in fresh {
                draft.emit(Event::ScopeOpened { path: at.scope.branch(&at.node, name), item: None });
            }
        }
    }
}
