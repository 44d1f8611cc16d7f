//! `loop`: one body per item with bounded concurrency, or one after another while or until a condition holds.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::address::{NodeAddress, ScopePath};
use super::super::advance::expression_fault;
use super::super::decide::RunDraft;
use super::super::event::{DrainReason, NodeWait, RunEvent};
use super::super::state::NodeActivity;
use super::deadline_of;
use crate::fault::{Fault, code};
use crate::graph::GraphNode;
use crate::graph::node::{CONCURRENCY_MAX, ITEMS_MAX, LoopMode, LoopNode, NodeKind, OnItemError};

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, node: &GraphNode, each: &LoopNode) {
    let deadline = deadline_of(draft, node.policy.timeout);
    let wait = match &each.over {
        LoopMode::Each { items, .. } => match items.render(&draft.view(&at.scope)) {
            Ok(Value::Array(items)) => {
                let limit = ITEMS_MAX.min(each.max_iterations as usize);
                if items.len() > limit {
                    let message = format!("`{}` has {} items, its limit is {limit}", at.node, items.len());
                    return draft.fail(at, Fault::new(code::ITEM_LIMIT, message));
                }
                NodeWait::Each { items: Arc::new(items.into_iter().map(Arc::new).collect()), deadline }
            }
            Ok(other) => {
                let message = format!("`{}` runs over a list, and `items` is {}", at.node, kind_of(&other));
                return draft.fail(at, Fault::new(code::NOT_A_LIST, message));
            }
            Err(error) => return draft.fail(at, expression_fault("items", &error)),
        },
        LoopMode::While(_) | LoopMode::Until(_) => NodeWait::Repeat { deadline },
    };
    draft.emit(RunEvent::Began { node: at.clone(), wait: Box::new(wait) });
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn loop_of<T>(draft: &RunDraft<'_>, at: &NodeAddress, read: impl FnOnce(&LoopNode) -> T) -> Option<T> {
    draft
        .with_node(at, |node| match &node.kind {
            NodeKind::Loop(each) => Some(read(each)),
            _ => None,
        })
        .flatten()
}

/// Opens bodies up to the concurrency, or collects the results.
pub fn advance_each(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let Some((concurrency, on_item_error)) = loop_of(draft, at, |each| {
        let concurrency = match &each.over {
            LoopMode::Each { concurrency, .. } => *concurrency,
            LoopMode::While(_) | LoopMode::Until(_) => 1,
        };
        (concurrency, each.on_item_error)
    }) else {
        return;
    };
    let stops = draft.is_draining(at);
    let Some(NodeActivity::Each { items, next, open, errors, .. }) = draft.run.activity(at) else { return };
    let failed = errors.first().filter(|_| on_item_error == OnItemError::Fail).map(|(_, fault)| fault.clone());
    match failed {
        _ if stops => {}
        Some(fault) if *open == 0 => draft.fail(at, fault),
        Some(_) => {
            for body in draft.open_bodies(at) {
                draft.drain_scope(&body, DrainReason::CutOff);
            }
        }
        None => {
            let (items, next, open) = (items.clone(), *next, *open);
            let room = concurrency.clamp(1, CONCURRENCY_MAX).saturating_sub(open);
            let fresh = items.iter().enumerate().skip(next as usize).take(room as usize);
            for (index, item) in fresh {
                let path = at.scope.iteration(&at.node, u32::try_from(index).unwrap_or(u32::MAX));
                draft.emit(RunEvent::ScopeOpened { path, item: Some(item.clone()) });
            }
            if open == 0 && next as usize >= items.len() {
                fold_each(draft, at);
            }
        }
    }
}

fn fold_each(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let Some(NodeActivity::Each { results, errors, .. }) = draft.run.activity(at) else { return };
    let results: Vec<Value> = results.iter().map(|result| (**result).clone()).collect();
    let mut errors: Vec<Value> = errors
        .iter()
        .map(|(index, fault)| json!({ "index": index, "code": fault.code, "message": fault.message }))
        .collect();
    errors.sort_by_key(|error| error["index"].as_u64());
    let output = json!({ "count": results.len(), "results": results, "errors": errors });
    draft.complete(at, Arc::new(output), None);
}

/// Opens the next body if the loop continues, or completes with the last one's output.
pub fn advance_repeat(draft: &mut RunDraft<'_>, at: &NodeAddress) {
    let Some(NodeActivity::Repeat { next, open, last, error, .. }) = draft.run.activity(at) else { return };
    if *open || draft.is_draining(at) {
        return;
    }
    let (next, last) = (*next, last.clone());
    if let Some(fault) = error.clone() {
        return draft.fail(at, fault);
    }
    let Some(goes_on) = loop_of(draft, at, |each| should_continue(draft, at, each, next, &last)) else { return };
    match goes_on {
        Ok(true) => {
            draft.emit(RunEvent::ScopeOpened { path: at.scope.iteration(&at.node, next), item: None });
        }
        Ok(false) => {
            let output = json!({ "count": next, "result": *last });
            draft.complete(at, Arc::new(output), None);
        }
        Err(fault) => draft.fail(at, fault),
    }
}

fn should_continue(
    draft: &RunDraft<'_>,
    at: &NodeAddress,
    each: &LoopNode,
    next: u32,
    last: &Arc<Value>,
) -> Result<bool, Fault> {
    let path: &ScopePath = &at.scope;
    let view = || draft.view(path).with("index", Arc::new(next.into())).with("last", last.clone());
    let goes_on = match &each.over {
        LoopMode::While(condition) => condition.holds(&view()).map_err(|error| expression_fault("while", &error))?,
        LoopMode::Until(_) if next == 0 => true,
        LoopMode::Until(condition) => !condition.holds(&view()).map_err(|error| expression_fault("until", &error))?,
        LoopMode::Each { .. } => false,
    };
    if goes_on && next >= each.max_iterations {
        let message = format!("`{}` has run {next} times, its `max_iterations`, and would go on", at.node);
        return Err(Fault::new(code::LOOP_LIMIT, message));
    }
    Ok(goes_on)
}
