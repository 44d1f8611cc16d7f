//! The names of a run in expressions of its definition: `docs/reference/workflow-format.md`.
//!
//! A name is looked up in this order: names of the current evaluation (`output`, `arguments`, `error`), the innermost
//! loop's `item`, `index` and `last`, the nodes of this scope and of each enclosing one, variables, the input's keys,
//! the fixed roots (`input`, `context`, `shared_context`, `run`), and after a rollback `error` and `undone`.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::address::ScopePath;
use super::state::{CompensationReason, NodeState, NodeStatus, Run, RunPhase, ScopeState};
use crate::fault::{Fault, code};
use crate::graph::JoinRule;
use crate::id::NodeId;
use crate::time::Time;
use crate::tool::Caller;
use baton_expr::EvalContext;

static NULL: Value = Value::Null;
const FIXED_NAMES: [&str; 4] = ["input", "context", "shared_context", "run"];
const LOOP_NAMES: [&str; 3] = ["item", "index", "last"];
const ROLLBACK_NAMES: [&str; 2] = ["error", "undone"];

pub(super) struct ScopeView<'run> {
    run: &'run Run,
    path: &'run ScopePath,
    /// The time of the command.
    now: Time,
    extra: Vec<(&'static str, Arc<Value>)>,
    /// A node whose output is known before it is recorded.
    own: Option<(&'run NodeId, Arc<Value>)>,
}

impl<'run> ScopeView<'run> {
    pub fn of(run: &'run Run, path: &'run ScopePath, now: Time) -> Self {
        Self { run, path, now, extra: Vec::new(), own: None }
    }

    /// Returns the principal for which the run acts.
    pub fn caller(&self) -> Option<&Caller> {
        self.run.started().map(|started| &started.caller)
    }

    pub fn with(mut self, name: &'static str, value: Arc<Value>) -> Self {
        self.extra.push((name, value));
        self
    }

    /// Adds the node itself as if it had already completed with `output`.
    pub fn with_own(mut self, node: &'run NodeId, output: Arc<Value>) -> Self {
        self.own = Some((node, output.clone()));
        self.with("output", output)
    }

    /// Adds the node itself as if its failure had already been caught.
    pub fn with_caught(mut self, node: &'run NodeId, fault: &Fault) -> Self {
        self.own = Some((node, Arc::new(caught_value(fault))));
        self.with("output", Arc::default()).with("error", Arc::new(error_of(fault)))
    }

    /// This scope and the enclosing ones, innermost first, as far as they are open.
    fn scopes(&self) -> impl Iterator<Item = (ScopePath, &'run ScopeState)> + use<'_, 'run> {
        let around = std::iter::successors(Some(self.path.clone()), |path| path.parent().map(|(outer, ..)| outer));
        around.filter_map(|path| self.run.scope(&path).map(|scope| (path, scope)))
    }

    fn node(&self, name: &str) -> Option<Cow<'_, Value>> {
        if let Some((_, output)) = self.own.as_ref().filter(|(node, _)| node.as_str() == name) {
            return Some(Cow::Borrowed(output));
        }
        self.scopes().find_map(|(_, scope)| {
            let place = scope.graph.find(name)?;
            Some(node_value(scope.nodes.get(place.as_usize())?, scope.graph.node(place).join))
        })
    }

    /// Returns the binding of the innermost loop: `item` for a for-each, `last` for a `while` or `until`, `index` for
    /// all.
    fn binding(&self, name: &str) -> Option<Cow<'_, Value>> {
        let mut iterations = self.scopes().filter(|(path, _)| path.is_iteration()).map(|(_, scope)| scope);
        match name {
            "item" => iterations.find_map(|scope| scope.item.as_deref()).map(Cow::Borrowed),
            "index" => iterations.next().map(|scope| Cow::Owned(scope.index.into())),
            "last" => iterations.find(|scope| scope.item.is_none()).map(|scope| Cow::Borrowed(&*scope.last)),
            _ => None,
        }
    }

    fn fixed(&self, name: &str) -> Option<Cow<'_, Value>> {
        let started = self.run.started()?;
        match name {
            "input" => Some(Cow::Borrowed(&*started.input)),
            "context" => Some(Cow::Borrowed(&started.context)),
            "shared_context" => {
                let all = self.run.variables().iter().map(|(key, value)| (key.clone(), (**value).clone()));
                Some(Cow::Owned(Value::Object(all.collect::<Map<_, _>>())))
            }
            "run" => {
                let workflow = self.run.workflow().map(|workflow| workflow.name.clone());
                Some(Cow::Owned(json!({ "id": started.run, "tenant": started.tenant, "workflow": workflow })))
            }
            _ => None,
        }
    }

    /// Returns the additional names of nodes after `on_compensated`: why the run was rolled back, and what was undone.
    fn rollback_value(&self, name: &str) -> Option<Cow<'_, Value>> {
        let RunPhase::Aftermath { why } = self.run.phase else { return None };
        match name {
            "error" => Some(Cow::Owned(rollback_cause(why, self.run.fault()))),
            "undone" => Some(Cow::Owned(self.run.saga.report())),
            _ => None,
        }
    }
}

/// Returns why a run was rolled back, always with a `code` and a `message`; with `customer` if the tool provides that
/// text.
fn rollback_cause(why: CompensationReason, fault: Option<&Fault>) -> Value {
    let said = |code: &'static str, message: &str| Fault::new(code, message);
    let fault = match why {
        CompensationReason::Failed => fault.cloned().unwrap_or_else(|| said(code::CANCELLED, "the run was cut off")),
        CompensationReason::Cancelled => said(code::CANCELLED, "the run was cancelled"),
        CompensationReason::TimedOut => said(code::TIMEOUT, "the run's time was over"),
        CompensationReason::Rollback => said(code::ROLLED_BACK, "the run was rolled back on request"),
    };
    json!({ "code": fault.code, "message": fault.message, "customer": fault.customer })
}

/// Returns a node as expressions see it: its output; a skipped step of the `steps` form is `{"skipped": true}`; a
/// caught failure is `output: null` with its `error`.
pub(super) fn node_value(state: &NodeState, join: JoinRule) -> Cow<'_, Value> {
    match (state.status, &state.fault) {
        (NodeStatus::Completed, _) => Cow::Borrowed(&state.output),
        (NodeStatus::Skipped, _) if join == JoinRule::AllSettled => Cow::Owned(json!({ "skipped": true })),
        (NodeStatus::Caught | NodeStatus::Failed, Some(fault)) => Cow::Owned(caught_value(fault)),
        _ => Cow::Borrowed(&NULL),
    }
}

fn caught_value(fault: &Fault) -> Value {
    json!({ "output": null, "error": error_of(fault) })
}

fn error_of(fault: &Fault) -> Value {
    json!({ "code": fault.code, "message": fault.message })
}

impl EvalContext for ScopeView<'_> {
    fn lookup(&self, root: &str) -> Option<Cow<'_, Value>> {
        if let Some((_, value)) = self.extra.iter().find(|(name, _)| *name == root) {
            return Some(Cow::Borrowed(value));
        }
        self.binding(root)
            .or_else(|| self.node(root))
            .or_else(|| self.run.variables().get(root).map(|value| Cow::Borrowed(&**value)))
            .or_else(|| self.run.started()?.input.get(root).map(Cow::Borrowed))
            .or_else(|| self.fixed(root))
            .or_else(|| self.rollback_value(root))
    }

    fn known_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.extra.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.extend(LOOP_NAMES.into_iter().filter(|name| self.binding(name).is_some()).map(str::to_owned));
        for (_, scope) in self.scopes() {
            names.extend(scope.graph.nodes.iter().map(|node| node.id.to_string()));
        }
        names.extend(self.run.variables().keys().cloned());
        let input = self.run.started().and_then(|started| started.input.as_object());
        names.extend(input.into_iter().flat_map(|input| input.keys().cloned()));
        names.extend(FIXED_NAMES.map(str::to_owned));
        if let RunPhase::Aftermath { .. } = self.run.phase {
            names.extend(ROLLBACK_NAMES.map(str::to_owned));
        }
        names
    }

    fn is_step(&self, root: &str) -> bool {
        !self.extra.iter().any(|(name, _)| *name == root)
            && self.binding(root).is_none()
            && (self.own.as_ref().is_some_and(|(node, _)| node.as_str() == root)
                || self.scopes().any(|(_, scope)| scope.graph.find(root).is_some()))
    }

    fn now(&self) -> Timestamp {
        self.now.to_timestamp()
    }

    fn zone(&self) -> &str {
        self.run.started().and_then(|started| started.caller.zone.as_deref()).unwrap_or("UTC")
    }
}

#[cfg(test)]
mod tests;
