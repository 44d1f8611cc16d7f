//! The entry point: selects an agent's step function.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use baton_core::agent::{AgentKind, AgentObservation, AgentStep, AgentTask, StepFunction};
use baton_core::fault::Fault;

use crate::context::{self, ContextRecall};
use crate::fault::code::KIND_UNAVAILABLE;
use crate::kinds::{code, reasoning, simple};
use crate::select;

/// The step functions of every kind of agent in this crate, and the custom ones that were registered.
#[derive(Clone, Default)]
pub struct StepFunctions {
    /// Step functions of agents of type `custom`, by the agent's name.
    custom: BTreeMap<String, Arc<dyn StepFunction>>,
}

impl StepFunctions {
    /// Registers a step function for agents of type `custom` with this name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, think: Arc<dyn StepFunction>) -> Self {
        self.custom.insert(name.into(), think);
        self
    }
}

impl fmt::Debug for StepFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepFunctions").field("custom", &self.custom.keys()).finish()
    }
}

impl StepFunction for StepFunctions {
    /// The memory context comes first; then the agent thinks.
    fn step(&self, task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
        match context::recall(task, seen) {
            Ok(ContextRecall::Ask(step)) => step,
            Ok(ContextRecall::Ready(told, since)) => self.think(&told, since),
            Ok(ContextRecall::None) => self.think(task, seen),
            Err(fault) => AgentStep::GiveUp(fault),
        }
    }
}

impl StepFunctions {
    fn think(&self, task: &AgentTask, seen: &[AgentObservation]) -> AgentStep {
        if let Some(custom) = self.custom.get(&task.agent.name).filter(|_| task.agent.kind == AgentKind::Custom) {
            return custom.step(task, seen);
        }
        if task.selects {
            return select::step(task, seen);
        }
        match task.agent.kind {
            AgentKind::Simple => simple::step(task, seen),
            AgentKind::Reasoning => reasoning::step(task, seen),
            AgentKind::Code => code::step(task, seen),
            AgentKind::Custom if task.agent.endpoint.is_some() => AgentStep::AskEndpoint,
            AgentKind::Custom => AgentStep::GiveUp(Fault::new(
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
