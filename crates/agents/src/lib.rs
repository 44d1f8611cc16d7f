//! Given what an agent has seen, what it asks for next.
//!
//! An agent here is a step function: [`StepFunctions::step`](baton_core::agent::StepFunction::step) folds everything the agent has
//! seen of one task and answers with one [`Step`](baton_core::agent::AgentStep): ask the model, request tools, ask the
//! customer, answer, hand over or give up. The run journals each step, so an agent goes on after a crash in the middle
//! of its tool loop, and newer code here never changes what an older run already did.
//!
//! - `simple`: one model call, its reply checked against the agent's schema and repaired once.
//! - `reasoning`: a tool-calling loop (ReAct; Yao et al. 2022), by native tool calls or by a text
//!   protocol, bounded by `max_iterations` and by the loop detector.
//! - `code`: plans, executes the plan with tools and Python, reflects, and tries again.
//! - `mode: select` (any agent): chooses tools for a message, or none, and says why.
//! - [`WorkflowGeneration`]: a workflow from a goal, drafted and mended.
//! - [`shipped`]: the agents that come with Baton, by name.
//!
//! Deliberately absent: services, tools, models, time, randomness. An agent performs nothing; it has no arrow to
//! anything that could.

mod check;
mod context;
mod fault;
mod generate;
mod kinds;
mod one_shot;
mod prompt;
mod schema;
mod select;
mod shipped;
mod step;
#[cfg(test)]
mod test_support;
mod transcript;

pub use check::check;
pub use context::with_recalled_context;
pub use fault::code;
pub use generate::{PlannerCatalog, WorkflowGeneration};
pub use prompt::{PromptOverride, put};
pub use shipped::{PLANNER, shipped};
pub use step::StepFunctions;
