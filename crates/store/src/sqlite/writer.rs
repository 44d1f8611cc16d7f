//! The writer thread. It takes everything in the queue, performs it inside one transaction, commits, and only then
//! answers the callers. A single caller waits for no others; many callers share one sync of the disk.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use baton_ports::journal::Ownership;
use rusqlite::{Connection, ErrorCode};

use super::budget;
use super::connection;
use super::exit_signal::{self, ExitSignal};
use super::health::{self, FileError, StoreHealth};
use super::owner_locks::OwnerLocks;
use super::ownership;
use super::queue::{BoundedQueue, QueueError};
use super::session::WriterSession;
use super::writer_task::{PendingWrite, WriteAnswer, WriterError, WriterTask};

/// Maximum number of tasks that share one commit.
const GROUP_MAX: usize = 4_096;
/// When to retry a write to a store whose queue is full.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(50);

/// How long closing waits for queued writes. A thread that hangs in a disk operation ends with the process.
const CLOSE_WAIT: Duration = Duration::from_secs(8);

/// The handle of the writer thread.
pub(super) struct WriterThread {
    queue: Arc<BoundedQueue<Box<dyn WriterTask>>>,
    thread: Option<JoinHandle<()>>,
    ended: ExitSignal,
}

impl WriterThread {
    pub(super) fn start(
        connection: Connection,
        owners: Arc<OwnerLocks>,
        health: Arc<StoreHealth>,
        queue: BoundedQueue<Box<dyn WriterTask>>,
    ) -> Result<Self, String> {
        let queue = Arc::new(queue);
        let (ready, prepared) = std::sync::mpsc::sync_channel(1);
        let work = Arc::clone(&queue);
        let (alive, ended) = exit_signal::exit_channel();
        let body = move || {
            match WriterSession::prepare(&connection, owners) {
                Ok(session) => {
                    // Its log was opened at the latest when its statements were prepared.
                    health.record_identities();
                    let _ = ready.send(Ok(()));
                    let work = CloseGuard(&work);
                    WriterLoop { session, health, is_failing: false }.run(work.0);
                }
                Err(error) => drop(ready.send(Err(error.to_string()))),
            }
            // Closing performs a checkpoint: the thread has ended only after that.
            drop(connection);
            drop(alive);
        };
        let thread =
            thread::Builder::new().name("baton-writer".into()).spawn(body).map_err(|error| error.to_string())?;
        prepared.recv().unwrap_or_else(|_| Err("its writer did not start".into()))?;
        Ok(Self { queue, thread: Some(thread), ended })
    }

    /// Durable when it returns `Ok`. `bytes` is the approximate size of the task.
    pub(super) async fn write<A, T, E>(&self, bytes: usize, act: A) -> Result<T, E>
    where
        A: FnMut(&mut WriterSession<'_>) -> rusqlite::Result<Result<T, E>> + Send + 'static,
        T: WriteAnswer + 'static,
        E: From<WriterError> + Send + 'static,
    {
        let (task, answer) = PendingWrite::new(act);
        self.push(Box::new(task), bytes)?;
        answer.await.unwrap_or_else(|_| Err(WriterError::Stopped.into()))
    }

    /// The same for tasks that may be lost if the machine crashes: committed when it returns `Ok`, so every process
    /// sees it.
    pub(super) async fn write_relaxed<A, T, E>(&self, bytes: usize, act: A) -> Result<T, E>
    where
        A: FnMut(&mut WriterSession<'_>) -> rusqlite::Result<Result<T, E>> + Send + 'static,
        T: WriteAnswer + 'static,
        E: From<WriterError> + Send + 'static,
    {
        let (task, answer) = PendingWrite::relaxed(act);
        self.push(Box::new(task), bytes)?;
        answer.await.unwrap_or_else(|_| Err(WriterError::Stopped.into()))
    }

    /// The same without a caller that waits: it is written with other tasks, or lost.
    pub(super) fn write_detached<A, T>(&self, bytes: usize, act: A) -> Result<(), WriterError>
    where
        A: FnMut(&mut WriterSession<'_>) -> rusqlite::Result<Result<T, WriterError>> + Send + 'static,
        T: WriteAnswer + 'static,
    {
        self.push(Box::new(PendingWrite::new(act).0), bytes)
    }

    fn push(&self, task: Box<dyn WriterTask>, bytes: usize) -> Result<(), WriterError> {
        self.queue.push(task, bytes).map_err(|refused| match refused {
            QueueError::Full => WriterError::Busy { retry_after: RETRY_AFTER },
            QueueError::Closed => WriterError::Stopped,
        })
    }
}

impl Drop for WriterThread {
    /// Queued tasks are still written, if the disk allows it.
    fn drop(&mut self) {
        self.queue.close();
        if !self.ended.within(CLOSE_WAIT) {
            tracing::error!("the store does not end its last write; what was not acknowledged is left behind");
        } else if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// If the thread ends by a panic, callers get an error instead of waiting forever.
struct CloseGuard<'q>(&'q BoundedQueue<Box<dyn WriterTask>>);

impl Drop for CloseGuard<'_> {
    fn drop(&mut self) {
        self.0.close();
        drop(self.0.take(usize::MAX));
    }
}

/// How the tasks of a group share its transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SavepointMode {
    /// No savepoints: a refusal writes nothing, and worse failures are so rare that the group can be repeated.
    None,
    /// A savepoint around each, so that a task that the database rejects fails alone.
    Each,
}

/// Why a group's transaction did not commit.
enum TransactionError {
    /// The failure of a single task: repeat the group with savepoints.
    Task,
    Store(WriterError),
}

struct WriterLoop<'c> {
    session: WriterSession<'c>,
    health: Arc<StoreHealth>,
    /// The last group could not be written: nothing is acknowledged until a probe succeeds.
    is_failing: bool,
}

impl WriterLoop<'_> {
    fn run(mut self, queue: &BoundedQueue<Box<dyn WriterTask>>) {
        loop {
            let group = queue.take(GROUP_MAX);
            if group.is_empty() {
                return;
            }
            let mut unheard = self.write_group(group);
            while !unheard.is_empty() {
                unheard = self.write_group(unheard.into_iter().map(release_task).collect());
            }
        }
    }

    /// Writes a group and answers its callers. Returns ownership whose receiver is gone.
    fn write_group(&mut self, mut group: Vec<Box<dyn WriterTask>>) -> Vec<Ownership> {
        if let Err(failure) = self.write(&mut group) {
            for task in &mut group {
                task.fail(failure.clone());
            }
        }
        group.into_iter().filter_map(WriterTask::answer).collect()
    }

    fn write(&mut self, group: &mut [Box<dyn WriterTask>]) -> Result<(), WriterError> {
        if let Some(outage) = self.health.outage() {
            return Err(WriterError::Outage(outage.clone()));
        }
        if self.is_failing {
            self.probe()?;
        }
        let broken = match self.transact(group, SavepointMode::None) {
            Err(TransactionError::Task) => self.transact(group, SavepointMode::Each),
            other => other,
        };
        match broken {
            Ok(()) => self.check_health(),
            Err(TransactionError::Task) => Err(self.mark_failing("the database rejects a savepoint".into())),
            Err(TransactionError::Store(failure)) => Err(self.report(failure)),
        }
    }

    /// Before any caller is answered: whether the commit is where the next process will find it.
    fn check_health(&mut self) -> Result<(), WriterError> {
        match self.health.check_files() {
            Ok(()) => Ok(()),
            Err(FileError::Unreadable(reason)) => Err(self.mark_failing(reason)),
            Err(FileError::Moved(outage)) => {
                let failure = self.report(WriterError::Outage(outage));
                // Earlier acknowledged writes are in a log that no other process will find: while it is open here, a
                // checkpoint can move them to the database.
                if self.health.lost_only_wal() {
                    match self.session.checkpoint_wal() {
                        Ok(()) => tracing::warn!("what the log held has been moved into the database"),
                        Err(error) => tracing::error!(%error, "what the log held cannot be moved into the database"),
                    }
                }
                // The next process to open the database creates its own log: this one must not be checkpointed over it.
                if let Err(error) = self.session.keep_wal() {
                    tracing::error!(%error, "the log may be moved into a database that is another's by now");
                }
                Err(failure)
            }
        }
    }

    /// Records a failure of the store and acts on it from now on.
    fn report(&mut self, failure: WriterError) -> WriterError {
        match failure {
            WriterError::Unwritable { reason } => self.mark_failing(reason),
            WriterError::Outage(outage) => WriterError::Outage(self.health.record_outage(outage)),
            failure => failure,
        }
    }

    fn transact(&mut self, group: &mut [Box<dyn WriterTask>], guard: SavepointMode) -> Result<(), TransactionError> {
        let durable = group.iter().any(|task| task.is_durable());
        let begun = self.session.commit_durably(durable).and_then(|()| self.session.begin());
        let done = begun.map_err(broken).and_then(|()| {
            group.iter_mut().try_for_each(|task| self.perform(task.as_mut(), guard))?;
            budget::flush_spends(&mut self.session).map_err(broken)?;
            self.session.commit().map_err(broken)
        });
        if done.is_err() {
            self.session.roll_back();
        }
        done
    }

    fn perform(&mut self, task: &mut dyn WriterTask, guard: SavepointMode) -> Result<(), TransactionError> {
        if guard == SavepointMode::None {
            return task.perform(&mut self.session).map_err(broken);
        }
        self.session.savepoint().map_err(broken)?;
        let done = task.perform(&mut self.session).and_then(|()| budget::flush_spends(&mut self.session));
        match done.map_err(|error| (error.to_string(), broken(error))) {
            Ok(()) => self.session.release_savepoint().map_err(broken),
            Err((reason, TransactionError::Task)) => {
                self.session.spends.clear();
                task.fail(WriterError::Unwritable { reason });
                self.session.rollback_to_savepoint().map_err(broken)
            }
            Err((_, by_store)) => Err(by_store),
        }
    }

    fn mark_failing(&mut self, reason: String) -> WriterError {
        if !self.is_failing {
            tracing::error!(reason, "the store cannot write; nothing is acknowledged until it can");
        }
        self.is_failing = true;
        WriterError::Unwritable { reason }
    }

    /// Tests whether a commit reaches the disk again.
    fn probe(&mut self) -> Result<(), WriterError> {
        let done = self.session.probe().map_err(broken);
        match done {
            Ok(()) => {
                tracing::info!("the store writes again");
                self.is_failing = false;
                self.check_health()
            }
            Err(broken) => {
                self.session.roll_back();
                Err(match broken {
                    TransactionError::Store(failure) => self.report(failure),
                    TransactionError::Task => WriterError::Unwritable { reason: "a trial write was rejected".into() },
                })
            }
        }
    }
}

/// Ownership whose new owner is gone is released, and the aggregate is marked for a claim.
fn release_task(ownership: Ownership) -> Box<dyn WriterTask> {
    let act = move |session: &mut WriterSession<'_>| {
        ownership::release_unclaimed(session, ownership).map(Ok::<(), WriterError>)
    };
    Box::new(PendingWrite::new(act).0)
}

/// Classifies an error of the database as that of a task or of the store.
fn broken(error: rusqlite::Error) -> TransactionError {
    if connection::is_busy(&error) {
        return TransactionError::Store(WriterError::Busy { retry_after: RETRY_AFTER });
    }
    if let Some(outage) = health::outage_of(&error) {
        return TransactionError::Store(WriterError::Outage(outage));
    }
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::PermissionDenied
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::FileLockingProtocolFailed,
        ) => TransactionError::Store(WriterError::Unwritable { reason: error.to_string() }),
        _ => TransactionError::Task,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn blames(code: i32) -> &'static str {
        match broken(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)) {
            TransactionError::Task => "the task",
            TransactionError::Store(WriterError::Busy { .. }) => "others",
            TransactionError::Store(_) => "the store",
        }
    }

    #[test]
    fn a_failing_disk_fails_the_group_and_a_broken_rule_only_its_task() {
        for code in
            [ffi::SQLITE_FULL, ffi::SQLITE_IOERR, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_CORRUPT, ffi::SQLITE_READONLY]
        {
            assert_eq!(blames(code), "the store", "{code}");
        }
        for code in [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_TOOBIG, ffi::SQLITE_MISMATCH] {
            assert_eq!(blames(code), "the task", "{code}");
        }
        assert_eq!(blames(ffi::SQLITE_BUSY), "others");
        assert_eq!(broken_by_value(), "the task", "a value that does not fit its column");
    }

    fn broken_by_value() -> &'static str {
        match broken(rusqlite::Error::ToSqlConversionFailure("too large".into())) {
            TransactionError::Task => "the task",
            TransactionError::Store(_) => "the store",
        }
    }
}
