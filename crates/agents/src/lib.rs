//! Step functions of agents: given an agent's observations, the next step.
//!
//! [`StepFunctions::step`](baton_core::agent::StepFunction::step) folds all observations of one task and returns
//! one [`AgentStep`](baton_core::agent::AgentStep): ask the model, request tools, ask the customer, answer, hand over
//! or give up. The run journals each step, so an agent continues after a crash in the middle of its tool loop, and
//! newer code in this crate never changes the past of an older run.
//!
//! - `simple`: one model call; its reply is checked against the agent's schema and repaired once.
//! - `reasoning`: a tool-calling loop (ReAct; Yao et al. 2022), by native tool calls or by a text protocol, bounded
//!   by `max_iterations` and by the loop detector.
//! - `code`: plans, executes the plan with tools and Python, reflects, and tries again.
//! - `mode: select` (any agent): chooses tools for a message, or none, and gives a reason.
//! - [`WorkflowGeneration`]: drafts and repairs a workflow for a goal.
//! - [`shipped`]: the agents that come with Baton, by name.
//!
//! Deliberately absent: services, tools, models, time, randomness. An agent performs no IO; this crate depends on
//! nothing that could.

// The entry points, and the kinds of agents.
mod generate;
mod kinds;
mod select;
mod shipped;
mod step;

// What the agents share: prompts, the messages for the model, one call with one repair.
mod context;
mod one_shot;
mod prompt;
mod schema;
mod transcript;

// Definitions that are rejected, and how an agent gives up.
mod check;
mod fault;

// Helpers for tests.
#[cfg(test)]
mod test_support;

pub use check::check;
pub use context::with_recalled_context;
pub use fault::code;
pub use generate::{PlannerCatalog, WorkflowGeneration};
pub use prompt::{PromptOverride, put};
pub use shipped::{PLANNER, shipped};
pub use step::StepFunctions;
