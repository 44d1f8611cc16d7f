//! Settings of the sandbox, written in `baton.toml` under `[sandbox]`.

use std::time::Duration;

use baton_ports::sandbox::SandboxLimits;
use serde::Deserialize;

use super::frame::OUTPUT_BYTES_MAX;
use crate::config::SecretString;

/// The resources of a program, and how many programs run concurrently.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    /// Memory of a program in MB, in addition to what its process needs when idle.
    pub memory_mb: usize,
    /// A program's own run time in seconds, without the time it waits for calls.
    pub time_seconds: u64,
    /// Maximum depth of nested function calls; 1 to [`RECURSION_MAX`].
    pub recursion: usize,
    /// Maximum size of a program's printed output, and of its result, in bytes; at most 2 MB.
    pub output_bytes: usize,
    /// Maximum number of tool calls of a program.
    pub calls: usize,
    /// Maximum number of programs that run at once.
    pub children: usize,
    /// Number of idle children kept ready.
    pub idle: usize,
    /// Maximum number of programs that wait for a child; one more is refused at once.
    pub waiting: usize,
    /// How long a program waits for a child before it is refused, in milliseconds.
    pub wait_ms: u64,
    /// Number of programs that one child runs before another replaces it. With 1, no program ever runs in a process
    /// that ran another.
    pub programs_per_child: u32,
    /// Whether programs may run if this machine cannot confine their process.
    pub allow_unconfined: bool,
    /// The key that seals paused programs, so that an altered one is refused even if its checksum was adjusted. It
    /// must be the same for every process that may resume them. Without it there is only a checksum.
    pub snapshot_key: Option<SecretString>,
}

/// A higher value could exhaust the interpreter's own stack.
pub const RECURSION_MAX: usize = 1_000;
/// A lower value could not hold the interpreter and the largest request.
const MEMORY_MB_MIN: usize = 16;

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            memory_mb: 512,
            time_seconds: 300,
            recursion: RECURSION_MAX,
            output_bytes: 256 << 10,
            calls: 100,
            children: 4,
            idle: 2,
            waiting: 256,
            wait_ms: 60_000,
            programs_per_child: 1,
            allow_unconfined: false,
            snapshot_key: None,
        }
    }
}

impl SandboxConfig {
    /// The limits of each program, unless a caller requests lower ones.
    pub fn limits(&self) -> SandboxLimits {
        SandboxLimits {
            memory_bytes: self.memory_mb.saturating_mul(1 << 20),
            time: Duration::from_secs(self.time_seconds),
            recursion: self.recursion,
            output_bytes: self.output_bytes,
            calls: self.calls,
        }
    }

    /// Returns the lower of each limit: a request never exceeds the settings.
    pub(super) fn narrowed(&self, asked: &SandboxLimits) -> SandboxLimits {
        let own = self.limits();
        SandboxLimits {
            memory_bytes: asked.memory_bytes.min(own.memory_bytes),
            time: asked.time.min(own.time),
            recursion: asked.recursion.min(own.recursion),
            output_bytes: asked.output_bytes.min(own.output_bytes),
            calls: asked.calls.min(own.calls),
        }
    }

    /// Returns why the settings are invalid, if they are.
    pub(super) fn invalid_reason(&self) -> Option<String> {
        let bounded = [
            ("memory_mb", self.memory_mb, MEMORY_MB_MIN, 1 << 20),
            ("time_seconds", usize::try_from(self.time_seconds).unwrap_or(usize::MAX), 1, 86_400),
            ("recursion", self.recursion, 1, RECURSION_MAX),
            ("output_bytes", self.output_bytes, 1, OUTPUT_BYTES_MAX),
            ("calls", self.calls, 0, 10_000),
            ("children", self.children, 1, 1_024),
            ("idle", self.idle, 0, 1_024),
            ("waiting", self.waiting, 0, 100_000),
            ("programs_per_child", usize::try_from(self.programs_per_child).unwrap_or(usize::MAX), 1, 100_000),
        ];
        let outside = bounded.into_iter().find(|(_, value, least, most)| value < least || value > most);
        if let Some((name, value, least, most)) = outside {
            return Some(format!("`{name}` is {value}; it may be {least} to {most}"));
        }
        let short = self.snapshot_key.as_ref().is_some_and(|key| key.expose().len() < KEY_BYTES_MIN);
        short.then(|| format!("`snapshot_key` is shorter than {KEY_BYTES_MIN} characters"))
    }
}

/// Minimum size of a key that cannot be found by brute force, in bytes.
const KEY_BYTES_MIN: usize = 32;
