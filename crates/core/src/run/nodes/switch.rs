//! `switch`: the first case that holds, else the default.

use std::sync::Arc;

use serde_json::json;

use super::super::address::Address;
use super::super::advance::expression_fault;
use super::super::decide::Draft;
use crate::graph::node::Switch;

/// The branch of a switch in which no case holds and which has no default: it has no out-edges.
const NONE: &str = "";

pub fn begin(draft: &mut Draft<'_>, at: &Address, switch: &Switch) {
    for (name, condition) in &switch.cases {
        match condition.holds(&draft.view(&at.scope)) {
            Ok(false) => {}
            Ok(true) => return draft.complete(at, Arc::new(json!({ "case": name })), Some(name)),
            Err(error) => return draft.fail(at, expression_fault(&format!("case `{name}`"), &error)),
        }
    }
    let default = switch.default.as_deref();
    draft.complete(at, Arc::new(json!({ "case": default })), Some(default.unwrap_or(NONE)));
}
