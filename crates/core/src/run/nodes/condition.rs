//! `condition`: chooses the branch `true` or `false`.

use std::sync::Arc;

use serde_json::json;

use super::super::address::NodeAddress;
use super::super::advance::expression_fault;
use super::super::decide::RunDraft;
use baton_expr::Condition;

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, condition: &Condition) {
    match condition.holds(&draft.view(&at.scope)) {
        Ok(result) => {
            let branch = if result { "true" } else { "false" };
            draft.complete(at, Arc::new(json!({ "result": result })), Some(branch));
        }
        Err(error) => draft.fail(at, expression_fault("condition", &error)),
    }
}
