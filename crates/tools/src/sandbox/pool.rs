//! The pool: idle children, and programs that wait for one.

mod admission;
mod idle;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use baton_core::agent::{ProgramOutcome, SandboxProgram};
use baton_core::fault::Fault;
use baton_ports::sandbox::{Sandbox, SandboxLimits};

use self::admission::{PoolAdmission, PoolPermit};
use self::idle::IdleWorkers;
use super::config::SandboxConfig;
use super::exchange_error::ExchangeError;
use super::seal::SnapshotSeal;
use super::segment::SegmentOrder;
use super::segment_result::{SegmentResult, interpret};
use super::worker::SandboxWorker;
use crate::code;
use crate::error::ToolSetupError;
use crate::launch::LaunchCommand;

/// Most programs have finished by then, so starting a spare child does not compete with them for processors.
const REFILL_DELAY: Duration = Duration::from_millis(5);

/// Runs programs in child processes, each with a fresh interpreter. Cheap to clone: clones share one pool.
///
/// No child is started before the first program, or [`SandboxPool::warm`]. All are ended with the last clone.
#[derive(Clone)]
pub struct SandboxPool {
    shared: Arc<SandboxPoolState>,
}

struct SandboxPoolState {
    launch: LaunchCommand,
    config: SandboxConfig,
    seal: SnapshotSeal,
    admission: PoolAdmission,
    idle: Arc<IdleWorkers>,
}

/// The result of starting one child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxProbe {
    /// Whether this machine confines programs by limits and a system-call filter.
    pub is_confined: bool,
    /// From its start until it is ready for a program.
    pub took: Duration,
}

impl SandboxPool {
    /// Creates a pool.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn new(config: SandboxConfig, launch: LaunchCommand) -> Result<Self, ToolSetupError> {
        if let Some(reason) = config.invalid_reason() {
            return Err(ToolSetupError::Setting { place: "sandbox", reason });
        }
        let shared = SandboxPoolState {
            seal: SnapshotSeal::new(config.snapshot_key.as_ref()),
            admission: PoolAdmission::new(&config),
            idle: Arc::new(IdleWorkers::new(&config)),
            launch,
            config,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The limits of a program under the settings; a request beyond them is not granted.
    pub fn limits(&self) -> SandboxLimits {
        self.shared.config.limits()
    }

    /// Starts as many children as the settings keep ready, and waits until they are.
    ///
    /// # Errors
    /// The reason why children cannot be started here.
    pub async fn warm(&self) -> Result<(), Fault> {
        while self.shared.idle.is_below_target() {
            self.shared.idle.put(self.shared.start().await?);
        }
        Ok(())
    }

    /// Starts one additional child, and ends it.
    ///
    /// # Errors
    /// As [`Self::warm`].
    pub async fn probe(&self) -> Result<SandboxProbe, Fault> {
        let began = Instant::now();
        let worker = self.shared.start().await?;
        Ok(SandboxProbe { is_confined: worker.is_confined(), took: began.elapsed() })
    }

    /// Acquires a permit to run, and a child whose program may use `less` bytes less memory than the settings allow.
    async fn acquire(&self, less: usize) -> Result<(PoolPermit, SandboxWorker), Fault> {
        let admitted = self.shared.admission.acquire().await?;
        // A child keeps the memory that a program used for the next one, so a program with a lower limit needs a
        // fresh child.
        let ready = self.shared.idle.take(less > 0);
        self.start_missing();
        let mut worker = match ready {
            Some(worker) => worker,
            None => self.shared.start().await?,
        };
        let narrowed = worker.reduce_memory(u64::try_from(less).unwrap_or(u64::MAX));
        narrowed
            .map_err(|error| Fault::new(code::SANDBOX_UNAVAILABLE, format!("a child cannot be limited: {error}")))?;
        Ok((admitted, worker))
    }

    /// Starts missing children after a short delay. An error is reported to the next program, which then starts its
    /// own child.
    fn start_missing(&self) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            tokio::time::sleep(REFILL_DELAY).await;
            while let Some(place) = shared.idle.reserve_slot() {
                match shared.start().await {
                    Ok(worker) => place.fill(worker),
                    Err(_fault) => return,
                }
            }
        });
    }
}

#[async_trait]
impl Sandbox for SandboxPool {
    async fn run(&self, program: &SandboxProgram, limits: &SandboxLimits) -> Result<ProgramOutcome, Fault> {
        let config = &self.shared.config;
        let limits = config.narrowed(limits);
        let leg = match SegmentOrder::new(program, limits, &self.shared.seal) {
            Ok(leg) => leg,
            Err(ran) => return Ok(ran),
        };
        let less = config.limits().memory_bytes.saturating_sub(limits.memory_bytes);
        let (_admitted, mut worker) = self.acquire(less).await?;
        let began = Instant::now();
        let answer = match worker.perform(&leg.order, leg.time).await {
            Ok(answer) => answer,
            Err(death) => return death.into_ran(&leg.limits),
        };
        match interpret(answer, &leg, began.elapsed(), &self.shared.seal) {
            Ok(SegmentResult { ran, is_child_reusable: is_child_sound }) => {
                if is_child_sound && worker.served < config.programs_per_child {
                    self.shared.idle.put(worker);
                }
                Ok(ran)
            }
            Err(how) => ExchangeError::Compromised(how).into_ran(&leg.limits),
        }
    }
}

impl SandboxPoolState {
    async fn start(&self) -> Result<SandboxWorker, Fault> {
        let started = SandboxWorker::start(&self.launch, &self.config).await;
        started.map_err(|reason| {
            Fault::new(code::SANDBOX_UNAVAILABLE, format!("no process for programs can be started: {reason}"))
        })
    }
}

#[cfg(test)]
mod tests;
