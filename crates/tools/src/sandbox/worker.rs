//! One child, seen from the parent.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::child::ALLOCATOR;
use super::config::SandboxConfig;
use super::exchange_error::{ExchangeError, STDERR_BYTES_MAX};
use super::frame::{ANSWER_BYTES_MAX, ChildResponse, LENGTH_BYTES, length};
use crate::launch::LaunchCommand;

/// Time-out of a child's start.
const START_MAX: Duration = Duration::from_secs(10);
/// How long a program may exceed its time before its child is killed: time to write and read the response.
const GRACE: Duration = Duration::from_secs(2);
/// Time-out of waiting for a child's exit.
const EXIT_WAIT_MAX: Duration = Duration::from_secs(2);

/// The command that starts a child: `launch` must run [`child::main`](super::child::main).
fn command(launch: &LaunchCommand, config: &SandboxConfig) -> Command {
    let limits = config.limits();
    let programs = u64::from(config.programs_per_child);
    let cpu_seconds = (limits.time + GRACE).as_secs().saturating_mul(programs);
    let mut command = launch.command();
    command.arg("--memory-bytes").arg(limits.memory_bytes.to_string());
    command.arg("--cpu-seconds").arg(cpu_seconds.to_string());
    if config.allow_unconfined {
        command.arg("--unconfined");
    }
    command.current_dir("/").envs(ALLOCATOR);
    command
}

/// A running child. Dropping it ends it.
pub(super) struct SandboxWorker {
    child: Child,
    orders: ChildStdin,
    answers: ChildStdout,
    /// The memory it may ever use; `None` if the machine does not enforce it.
    memory_bytes: Option<u64>,
    /// How much less memory its program has.
    memory_reduction: u64,
    /// Number of programs it has run.
    pub(super) served: u32,
}

impl SandboxWorker {
    /// Starts a child and waits until it is ready.
    ///
    /// # Errors
    /// The reason why it did not start.
    pub(super) async fn start(launch: &LaunchCommand, config: &SandboxConfig) -> Result<Self, String> {
        let mut child = command(launch, config).spawn().map_err(|error| format!("it cannot be started: {error}"))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("it was started without its pipes".to_owned());
        };
        let mut worker = Self { child, orders, answers, memory_bytes: None, memory_reduction: 0, served: 0 };
        match timeout(START_MAX, worker.answer()).await {
            Ok(Ok(ChildResponse::Ready { memory_bytes })) => {
                worker.memory_bytes = memory_bytes;
                Ok(worker)
            }
            Ok(Ok(ChildResponse::Refused(reason))) => Err(reason),
            Ok(Ok(_)) => Err("its first words are not those of a child of this version".to_owned()),
            Ok(Err(_)) => Err(format!("it ended at once: {:?}", worker.reap().await)),
            Err(_elapsed) => Err(format!("it was not ready after {} s", START_MAX.as_secs())),
        }
    }

    /// Returns whether the machine confines it.
    pub(super) fn is_confined(&self) -> bool {
        self.memory_bytes.is_some()
    }

    /// Returns whether it is still running.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a request, and waits for the response as long as the program may take.
    pub(super) async fn perform(&mut self, order: &[u8], time: Duration) -> Result<ChildResponse, ExchangeError> {
        self.served += 1;
        let exchanged = timeout(time + GRACE, async {
            self.orders.write_all(order).await?;
            self.orders.flush().await?;
            self.answer().await
        });
        match exchanged.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                Err(ExchangeError::Compromised("its answer is no answer"))
            }
            Ok(Err(_)) => Err(self.reap().await),
            Err(_elapsed) => Err(ExchangeError::Hung),
        }
    }

    /// Reduces the memory of its next program by this many bytes from its initial limit.
    ///
    /// # Errors
    /// The child is gone, or no longer under the parent's control.
    pub(super) fn reduce_memory(&mut self, less: u64) -> io::Result<()> {
        let Some(most) = self.memory_bytes.filter(|_| self.memory_reduction != less) else { return Ok(()) };
        memory::limit(self.child.id(), most.saturating_sub(less), most)?;
        self.memory_reduction = less;
        Ok(())
    }

    async fn answer(&mut self) -> io::Result<ChildResponse> {
        let mut head = [0; LENGTH_BYTES];
        self.answers.read_exact(&mut head).await?;
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidData);
        let length = length(head, ANSWER_BYTES_MAX).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let mut body = Vec::new();
        // The buffer grows with the received bytes, not with the announced length.
        let limit = u64::try_from(length).unwrap_or(u64::MAX);
        let read = (&mut self.answers).take(limit).read_to_end(&mut body).await?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        serde_json::from_slice(&body).map_err(invalid)
    }

    /// Returns how the child died, once it no longer responds.
    async fn reap(&mut self) -> ExchangeError {
        let mut words = Vec::new();
        let ended = timeout(EXIT_WAIT_MAX, async {
            if let Some(errors) = self.child.stderr.take() {
                let limit = u64::try_from(STDERR_BYTES_MAX).unwrap_or(u64::MAX);
                errors.take(limit).read_to_end(&mut words).await?;
            }
            self.child.wait().await
        });
        match ended.await {
            Ok(Ok(status)) => ExchangeError::Ended { status, words: String::from_utf8_lossy(&words).into_owned() },
            Ok(Err(error)) => ExchangeError::Lost(error.to_string()),
            Err(_elapsed) => ExchangeError::Compromised("it closed its output and went on"),
        }
    }
}

#[cfg(target_os = "linux")]
mod memory {
    use std::io;

    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    /// Sets the memory limit of a child, up to `most`, which the child cannot raise.
    pub(super) fn limit(child: Option<u32>, bytes: u64, most: u64) -> io::Result<()> {
        let child = child.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let child = child.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        prlimit(Some(child), Resource::Data, Rlimit { current: Some(bytes), maximum: Some(most) })?;
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
mod memory {
    use std::io;

    /// Only the interpreter's own check applies.
    pub(super) fn limit(_child: Option<u32>, _bytes: u64, _most: u64) -> io::Result<()> {
        Ok(())
    }
}
