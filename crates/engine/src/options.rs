//! Options of an engine.

use std::time::Duration;

use baton_ports::sandbox::SandboxLimits;

/// Limits of one process. Every resource is bounded; under overload work waits or is refused, and is never lost.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Runs that one process owns at once; the rest wait in the store.
    pub awake_max: usize,
    /// Calls to tools and models that one process has in flight at once.
    pub calls_in_flight_max: usize,
    /// Poll interval of the store for work that was not announced.
    pub poll: Duration,
    /// A run whose next timer is nearer than this stays in memory.
    pub keep_awake: Duration,
    /// Time between abandoning a marked call and the end of the lease.
    pub lease_margin: Duration,
    /// Minimum number of entries between snapshots.
    pub snapshot_entries: u64,
    /// Time limit for stopping, whatever a tool or the store does.
    pub stop_within: Duration,
    /// The limits of one program of an agent.
    pub code: SandboxLimits,
}

/// Limits for code agents.
const CODE: SandboxLimits = SandboxLimits {
    memory_bytes: 512 << 20,
    time: Duration::from_secs(300),
    recursion: 1_000,
    output_bytes: 256 << 10,
    calls: 100,
};

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            awake_max: 4_096,
            calls_in_flight_max: 1_024,
            poll: Duration::from_millis(100),
            keep_awake: Duration::from_secs(3),
            lease_margin: Duration::from_secs(5),
            snapshot_entries: 128,
            stop_within: Duration::from_secs(10),
            code: CODE,
        }
    }
}
