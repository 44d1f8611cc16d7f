//! The way in: which step function an agent has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use baton_core::agent::{Kind, Seen, Step, Task, Think};
use baton_core::fault::Fault;

use crate::context::{self, Recall};
use crate::fault::code::KIND_UNAVAILABLE;
use crate::kinds::{code, reasoning, simple};
use crate::select;

/// The step functions of every kind of agent this room knows, and those that were brought along.
#[derive(Clone, Default)]
pub struct Agents {
    /// Step functions of agents of type `custom`, by the agent's name.
    custom: BTreeMap<String, Arc<dyn Think>>,
}

impl Agents {
    /// Brings a step function along: agents of type `custom` and of this name think with it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, think: Arc<dyn Think>) -> Self {
        self.custom.insert(name.into(), think);
        self
    }
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agents").field("custom", &self.custom.keys()).finish()
    }
}

impl Think for Agents {
    /// What memory adds comes first; then the agent thinks.
    fn step(&self, task: &Task, seen: &[Seen]) -> Step {
        match context::recall(task, seen) {
            Ok(Recall::Ask(step)) => step,
            Ok(Recall::Told(told, since)) => self.think(&told, since),
            Ok(Recall::None) => self.think(task, seen),
            Err(fault) => Step::GiveUp(fault),
        }
    }
}

impl Agents {
    fn think(&self, task: &Task, seen: &[Seen]) -> Step {
        if let Some(custom) = self.custom.get(&task.agent.name).filter(|_| task.agent.kind == Kind::Custom) {
            return custom.step(task, seen);
        }
        if task.selects {
            return select::step(task, seen);
        }
        match task.agent.kind {
            Kind::Simple => simple::step(task, seen),
            Kind::Reasoning => reasoning::step(task, seen),
            Kind::Code => code::step(task, seen),
            Kind::Custom if task.agent.endpoint.is_some() => Step::AskEndpoint,
            Kind::Custom => Step::GiveUp(Fault::new(
                KIND_UNAVAILABLE,
                format!(
                    "agent `{}` is of type `custom`, has no `endpoint`, and this binary no step function of its name",
                    task.agent.name
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
