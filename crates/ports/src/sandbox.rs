//! Running code that an agent wrote, where it can reach nothing.

use std::time::Duration;

use async_trait::async_trait;
use baton_core::agent::{ProgramOutcome, SandboxProgram};
use baton_core::fault::Fault;

/// What one program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    pub memory_bytes: usize,
    /// Time of its own, waiting for calls not counted.
    pub time: Duration,
    pub recursion: usize,
    /// Bytes it may print, and bytes of its result.
    pub output_bytes: usize,
    /// Calls it may make in all.
    pub calls: usize,
}

/// Runs a program up to its end or to its next calls.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// The program's own errors are [`ProgramOutcome::Failed`].
    ///
    /// # Errors
    /// The sandbox itself could not run it: full, or it cannot start its processes. May be tried again.
    async fn run(&self, program: &SandboxProgram, limits: &SandboxLimits) -> Result<ProgramOutcome, Fault>;
}
