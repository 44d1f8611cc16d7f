//! Limits how many programs run, and how many wait.

use std::sync::Arc;
use std::time::Duration;

use baton_core::fault::Fault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::code;
use crate::sandbox::config::SandboxConfig;

pub(super) struct PoolAdmission {
    children: usize,
    waiting: usize,
    wait: Duration,
    /// A permit for each program that may run.
    running: Arc<Semaphore>,
    /// A permit for each program that may run or wait.
    admitted: Arc<Semaphore>,
}

/// The right to run one program.
pub(super) struct PoolPermit {
    _inside: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl PoolAdmission {
    pub(super) fn new(config: &SandboxConfig) -> Self {
        Self {
            children: config.children,
            waiting: config.waiting,
            wait: Duration::from_millis(config.wait_ms),
            running: Arc::new(Semaphore::new(config.children)),
            admitted: Arc::new(Semaphore::new(config.children + config.waiting)),
        }
    }

    /// Waits until one more program may run.
    ///
    /// # Errors
    /// Too many programs are waiting already, or the wait took too long.
    pub(super) async fn acquire(&self) -> Result<PoolPermit, Fault> {
        let Self { children, waiting, wait, .. } = self;
        let inside =
            self.admitted.clone().try_acquire_owned().map_err(|_| {
                busy(format!("{children} programs run and {waiting} wait, which is all there is room for"))
            })?;
        match timeout(*wait, self.running.clone().acquire_owned()).await {
            Ok(Ok(running)) => Ok(PoolPermit { _inside: inside, _running: running }),
            Ok(Err(_)) | Err(_) => {
                let wait = wait.as_millis();
                Err(busy(format!("no child was free within {wait} ms; {children} programs run at once")))
            }
        }
    }
}

fn busy(message: String) -> Fault {
    Fault::new(code::SANDBOX_BUSY, message)
}
