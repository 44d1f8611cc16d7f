//! Variables: declarations, and how writes to one key combine.

use std::sync::Arc;

use serde_json::Value;

use super::super::state::Run;
use crate::graph::{CombineMode, Workflow};

impl Run {
    /// Sets declared variables without a value to their initial values.
    pub(in crate::run) fn declare(&mut self, workflow: &Workflow) {
        for (key, variable) in &workflow.variables {
            if let (Some(initial), false) = (&variable.initial, self.variables.contains_key(key)) {
                self.variables.insert(key.clone(), Arc::new(initial.clone()));
            }
        }
    }

    pub(super) fn set_variable(&mut self, key: &str, value: &Arc<Value>) {
        let declared = self.workflow.as_ref().and_then(|workflow| workflow.variables.get(key));
        let combine = declared.map(|variable| variable.combine).unwrap_or_default();
        let held = self.variables.entry(key.to_owned()).or_default();
        match (combine, &**held, &**value) {
            (CombineMode::Append, Value::Array(_) | Value::Null, _) => append(Arc::make_mut(held), value),
            (CombineMode::Merge, Value::Object(_), Value::Object(more)) => {
                if let Value::Object(map) = Arc::make_mut(held) {
                    map.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
            }
            (CombineMode::LastWins | CombineMode::Once | CombineMode::Append | CombineMode::Merge, _, _) => {
                held.clone_from(value)
            }
        }
    }
}

fn append(held: &mut Value, item: &Value) {
    match held {
        Value::Array(list) => list.push(item.clone()),
        other => *other = Value::Array(vec![item.clone()]),
    }
}
