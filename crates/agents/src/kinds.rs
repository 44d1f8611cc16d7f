//! The kinds of agents, one file each, and their shared parts.

mod chain;
pub(crate) mod code;
mod offers;
pub(crate) mod reasoning;
mod result;
pub(crate) mod simple;

use baton_core::fault::Fault;

use crate::fault::code as codes;

/// The fault of an agent that used up its iterations.
fn iterations_exceeded(agent: &str, max: u32) -> Fault {
    let message = format!(
        "Max iterations exceeded: agent `{agent}` has no answer after {max} replies; raise `max_iterations` or narrow \
         the task"
    );
    Fault::new(codes::MAX_ITERATIONS, message)
}
