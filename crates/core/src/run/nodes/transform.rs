//! `transform`: sets variables. Each sees those set before it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::address::NodeAddress;
use super::super::advance::expression_fault;
use super::super::decide::RunDraft;
use baton_expr::ParamsTemplate;

pub fn begin(draft: &mut RunDraft<'_>, at: &NodeAddress, sets: &[(String, ParamsTemplate)]) {
    let mut output = Map::new();
    for (key, params) in sets {
        let value = match params.render(&draft.view(&at.scope)) {
            Ok(value) => value,
            Err(error) => return draft.fail(at, expression_fault(&format!("set.{key}"), &error)),
        };
        output.insert(key.clone(), value.clone());
        if let Err(fault) = draft.set_variable(at, key, value) {
            return draft.fail(at, fault);
        }
    }
    draft.complete(at, Arc::new(Value::Object(output)), None);
}
