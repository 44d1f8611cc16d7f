//! `parallel`: bodies side by side; without bodies, a plain fan-out over the out-edges.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::address::{Address, Path};
use super::super::decide::Draft;
use super::super::event::{Began, Event, Winding};
use super::super::state::Activity;
use super::deadline_of;
use crate::graph::Node;
use crate::graph::node::Parallel;

pub fn begin(draft: &mut Draft<'_>, at: &Address, node: &Node, fork: &Parallel) {
    if fork.branches.is_empty() {
        let input = Arc::new(Value::Object(Map::new()));
        return draft.complete(at, input, None);
    }
    let deadline = deadline_of(draft, node.policy.timeout);
    draft.emit(Event::Began { node: at.clone(), wait: Box::new(Began::Branches { deadline }) });
    for name in fork.branches.keys() {
        draft.emit(Event::ScopeOpened { path: at.scope.branch(&at.node, name), item: None });
    }
}

pub fn look(draft: &mut Draft<'_>, at: &Address) {
    let Some(Activity::Branches { open, outputs, error, .. }) = draft.run.activity(at) else { return };
    match (open.is_empty(), error.clone()) {
        // Its bodies are about to be opened.
        _ if open.is_empty() && outputs.is_empty() && error.is_none() => {}
        _ if draft.is_winding(at) => {}
        (true, Some(fault)) => draft.fail(at, fault),
        (true, None) => {
            let outputs = outputs.iter().map(|(name, output)| (name.clone(), (**output).clone()));
            let output = Value::Object(outputs.collect());
            draft.complete(at, Arc::new(output), None);
        }
        (false, Some(_)) => {
            let open: Vec<Path> = open.iter().map(|name| at.scope.branch(&at.node, name)).collect();
            for path in open {
                draft.wind_scope(&path, Winding::CutOff);
            }
        }
        (false, None) => {}
    }
}
