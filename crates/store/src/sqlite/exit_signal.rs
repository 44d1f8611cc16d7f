//! Waits for threads to end, with a limit: a thread that hangs in a disk operation is abandoned, and reported.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Held by each thread until it has ended.
pub(super) type AliveToken = SyncSender<()>;

/// Ends once every [`AliveToken`] is dropped.
pub(super) struct ExitSignal(Mutex<Receiver<()>>);

pub(super) fn exit_channel() -> (AliveToken, ExitSignal) {
    let (alive, ended) = sync_channel(0);
    (alive, ExitSignal(Mutex::new(ended)))
}

impl ExitSignal {
    /// Whether all threads have ended within the limit. The caller must have dropped its own [`AliveToken`].
    pub(super) fn within(&mut self, limit: Duration) -> bool {
        let ended = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        ended.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_ends_is_not_waited_for() {
        let (alive, mut ended) = exit_channel();
        assert!(!ended.within(Duration::ZERO));
        std::thread::scope(|scope| {
            scope.spawn(move || drop(alive));
        });
        assert!(ended.within(Duration::ZERO));
    }
}
