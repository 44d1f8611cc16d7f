//! Runs code written by an agent in isolation.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::{ProgramOutcome, SandboxProgram};
use baton_core::fault::Fault;

/// The limits of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    pub memory_bytes: usize,
    /// Its own running time, excluding waits for calls.
    pub time: Duration,
    pub recursion: usize,
    /// Maximum size of its output, and of its result, in bytes.
    pub output_bytes: usize,
    /// Maximum number of calls.
    pub calls: usize,
}

/// Runs a program up to its end or to its next calls.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// The program's own errors are [`ProgramOutcome::Failed`].
    ///
    /// # Errors
    /// The sandbox itself could not run it: it is full, or cannot start its processes. May be retried.
    async fn run(&self, program: &SandboxProgram, limits: &SandboxLimits) -> Result<ProgramOutcome, Fault>;
}
