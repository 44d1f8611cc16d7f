//! The way in: which step function an agent has.

use baton_core::agent::{Kind, Seen, Step, Task, Think};
use baton_core::fault::Fault;

use crate::fault::code;
use crate::kinds::{reasoning, simple};
use crate::select;

/// The step functions of every kind of agent this room knows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Agents;

impl Think for Agents {
    fn step(&self, task: &Task, seen: &[Seen]) -> Step {
        if task.selects {
            return select::step(task, seen);
        }
        match task.agent.kind {
            Kind::Simple => simple::step(task, seen),
            Kind::Reasoning => reasoning::step(task, seen),
            Kind::Code => Step::GiveUp(Fault::new(
                code::KIND_UNAVAILABLE,
                format!(
                    "agent `{}` is of type `code`, which this version cannot run; use `reasoning`",
                    task.agent.name
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
