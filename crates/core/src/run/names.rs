//! How an expression of a definition sees a run: RUNS.md §3.
//!
//! A name is looked for in this order: what the moment adds (`output`, `arguments`, `error`), the loop's `item`,
//! `index` and `last`, the nodes of this scope, the same of each scope around it, variables, the input's keys, the
//! fixed roots (`input`, `context`, `shared_context`, `run`), and after a rollback `error` and `undone`.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::address::Path;
use super::state::{NodeState, Phase, Run, Scope, Status, Why};
use crate::expr::Names;
use crate::fault::{Fault, code};
use crate::graph::Join;
use crate::id::NodeId;

static NULL: Value = Value::Null;
const FIXED: [&str; 4] = ["input", "context", "shared_context", "run"];
const AFTERMATH: [&str; 2] = ["error", "undone"];

pub(super) struct View<'run> {
    run: &'run Run,
    path: &'run Path,
    extra: Vec<(&'static str, Arc<Value>)>,
    /// A node whose output is known before it is recorded.
    own: Option<(&'run NodeId, Arc<Value>)>,
}

impl<'run> View<'run> {
    pub fn of(run: &'run Run, path: &'run Path) -> Self {
        Self { run, path, extra: Vec::new(), own: None }
    }

    pub fn with(mut self, name: &'static str, value: Arc<Value>) -> Self {
        self.extra.push((name, value));
        self
    }

    /// The node itself, as if it had completed with `output` already.
    pub fn with_own(mut self, node: &'run NodeId, output: Arc<Value>) -> Self {
        self.own = Some((node, output.clone()));
        self.with("output", output)
    }

    /// This scope and those around it, inmost first.
    fn scopes(&self) -> impl Iterator<Item = &'run Scope> + use<'_, 'run> {
        let mut path = Some(self.path.clone());
        std::iter::from_fn(move || {
            let here = path.take()?;
            path = here.parent().map(|(outer, ..)| outer);
            self.run.scope(&here)
        })
    }

    fn node(&self, name: &str) -> Option<Cow<'_, Value>> {
        if let Some((_, output)) = self.own.as_ref().filter(|(node, _)| node.as_str() == name) {
            return Some(Cow::Borrowed(output));
        }
        self.scopes().find_map(|scope| {
            let place = scope.graph.find(name)?;
            Some(shown(scope.nodes.get(place.at())?, scope.graph.node(place).join))
        })
    }

    fn binding(&self, name: &str) -> Option<Cow<'_, Value>> {
        let inmost = self.scopes().find(|scope| scope.item.is_some() || !self.path.is_root())?;
        match name {
            "item" => self.scopes().find_map(|scope| scope.item.as_deref()).map(Cow::Borrowed),
            "index" => Some(Cow::Owned(inmost.index.into())),
            "last" => Some(Cow::Borrowed(&inmost.last)),
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

    /// What the nodes behind `on_compensated` see beside all others: why the run was rolled back, and what was undone.
    fn aftermath(&self, name: &str) -> Option<Cow<'_, Value>> {
        let Phase::Aftermath { why } = self.run.phase else { return None };
        match name {
            "error" => Some(Cow::Owned(cause(why, self.run.fault()))),
            "undone" => Some(Cow::Owned(self.run.saga.report())),
            _ => None,
        }
    }
}

/// Why a run was rolled back, always with a `code` and a `message`; `customer` where the tool has words for them.
fn cause(why: Why, fault: Option<&Fault>) -> Value {
    let said = |code: &'static str, message: &str| Fault::new(code, message);
    let fault = match why {
        Why::Failed => fault.cloned().unwrap_or_else(|| said(code::CANCELLED, "the run was cut off")),
        Why::Cancelled => said(code::CANCELLED, "the run was cancelled"),
        Why::TimedOut => said(code::TIMEOUT, "the run's time was over"),
        Why::Rollback => said(code::ROLLED_BACK, "the run was rolled back on request"),
    };
    json!({ "code": fault.code, "message": fault.message, "customer": fault.customer })
}

/// A node as expressions see it: its output; a skipped step of the `steps` form is `{"skipped": true}`; a caught
/// failure shows `output: null` and its `error`.
fn shown(state: &NodeState, join: Join) -> Cow<'_, Value> {
    match (state.status, &state.fault) {
        (Status::Completed, _) => Cow::Borrowed(&state.output),
        (Status::Skipped, _) if join == Join::AllSettled => Cow::Owned(json!({ "skipped": true })),
        (Status::Caught | Status::Failed, Some(fault)) => {
            Cow::Owned(json!({ "output": null, "error": { "code": fault.code, "message": fault.message } }))
        }
        _ => Cow::Borrowed(&NULL),
    }
}

impl Names for View<'_> {
    fn lookup(&self, root: &str) -> Option<Cow<'_, Value>> {
        if let Some((_, value)) = self.extra.iter().find(|(name, _)| *name == root) {
            return Some(Cow::Borrowed(value));
        }
        self.node(root)
            .or_else(|| self.binding(root))
            .or_else(|| self.run.variables().get(root).map(|value| Cow::Borrowed(&**value)))
            .or_else(|| self.run.started()?.input.get(root).map(Cow::Borrowed))
            .or_else(|| self.fixed(root))
            .or_else(|| self.aftermath(root))
    }

    fn known(&self) -> Vec<String> {
        let mut names: Vec<String> = self.extra.iter().map(|(name, _)| (*name).to_owned()).collect();
        for scope in self.scopes() {
            names.extend(scope.graph.nodes.iter().map(|node| node.id.to_string()));
        }
        names.extend(self.run.variables().keys().cloned());
        let input = self.run.started().and_then(|started| started.input.as_object());
        names.extend(input.into_iter().flat_map(|input| input.keys().cloned()));
        names.extend(FIXED.map(str::to_owned));
        if let Phase::Aftermath { .. } = self.run.phase {
            names.extend(AFTERMATH.map(str::to_owned));
        }
        names
    }

    fn is_step(&self, root: &str) -> bool {
        !self.extra.iter().any(|(name, _)| *name == root)
            && (self.own.as_ref().is_some_and(|(node, _)| node.as_str() == root)
                || self.scopes().any(|scope| scope.graph.find(root).is_some()))
    }

    fn now(&self) -> Timestamp {
        self.run.now().to_timestamp()
    }

    fn zone(&self) -> &str {
        self.run.started().and_then(|started| started.caller.zone.as_deref()).unwrap_or("UTC")
    }
}

#[cfg(test)]
mod tests;
