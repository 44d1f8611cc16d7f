//! `switch`: the first case that holds, otherwise the default.

use std::sync::Arc;

use serde_json::json;

use super::super::address::NodeAddress;
use super::super::advance::expression_fault;
use super::super::decide::RunDraft;
use crate::graph::node::SwitchNode;

/// The branch of a switch without a matching case and without a default: it has no out-edges.
const NO_CASE: &str = "";

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, switch: &SwitchNode) {
    for (name, condition) in &switch.cases {
        match condition.holds(&draft.view(&at.scope)) {
            Ok(false) => {}
            Ok(true) => return draft.complete(at, Arc::new(json!({ "case": name })), Some(name)),
            Err(error) => return draft.fail(at, expression_fault(&format!("case `{name}`"), &error)),
        }
    }
    let default = switch.default.as_deref();
    draft.complete(at, Arc::new(json!({ "case": default })), Some(default.unwrap_or(NO_CASE)));
}
