//! The one thread that writes. It takes whatever waits, performs it inside one transaction, commits, and only then
//! answers everybody. A lone caller waits for nobody; many callers share one sync of the disk.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use baton_ports::journal::Ownership;
use rusqlite::{Connection, ErrorCode};

use super::budget;
use super::connection;
use super::ended::{self, Ended};
use super::health::{self, Health, Misplaced};
use super::owners::Owners;
use super::ownership;
use super::queue::{Queue, Refused};
use super::session::Session;
use super::task::{Answer, Failure, Task, Work};

/// Tasks that share one commit.
const GROUP_MAX: usize = 4_096;
/// When to come back to a store that has more waiting than it takes in.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(50);

/// How long closing waits for what is still written. A thread that hangs in the disk ends with the process.
const CLOSE_WAIT: Duration = Duration::from_secs(8);

/// The way to the thread.
pub(super) struct Writer {
    queue: Arc<Queue<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
    ended: Ended,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        owners: Arc<Owners>,
        health: Arc<Health>,
        queue: Queue<Box<dyn Work>>,
    ) -> Result<Self, String> {
        let queue = Arc::new(queue);
        let (ready, prepared) = std::sync::mpsc::sync_channel(1);
        let work = Arc::clone(&queue);
        let (alive, ended) = ended::watched();
        let body = move || {
            match Session::prepare(&connection, owners) {
                Ok(session) => {
                    // Its log was opened at the latest when its statements were prepared.
                    health.settle();
                    let _ = ready.send(Ok(()));
                    let work = Closing(&work);
                    Loop { session, health, ailing: false }.run(work.0);
                }
                Err(error) => drop(ready.send(Err(error.to_string()))),
            }
            // Closing moves the log into the database: only then has it ended.
            drop(connection);
            drop(alive);
        };
        let thread =
            thread::Builder::new().name("baton-writer".into()).spawn(body).map_err(|error| error.to_string())?;
        prepared.recv().unwrap_or_else(|_| Err("its writer did not start".into()))?;
        Ok(Self { queue, thread: Some(thread), ended })
    }

    /// Durable when it returns `Ok`. `bytes` is about what the task carries.
    pub(super) async fn write<A, T, E>(&self, bytes: usize, act: A) -> Result<T, E>
    where
        A: FnMut(&mut Session<'_>) -> rusqlite::Result<Result<T, E>> + Send + 'static,
        T: Answer + 'static,
        E: From<Failure> + Send + 'static,
    {
        let (task, answer) = Task::new(act);
        self.push(Box::new(task), bytes)?;
        answer.await.unwrap_or_else(|_| Err(Failure::Stopped.into()))
    }

    /// The same for what may be lost if the machine goes down: committed when it returns `Ok`, so every process sees it.
    pub(super) async fn write_relaxed<A, T, E>(&self, bytes: usize, act: A) -> Result<T, E>
    where
        A: FnMut(&mut Session<'_>) -> rusqlite::Result<Result<T, E>> + Send + 'static,
        T: Answer + 'static,
        E: From<Failure> + Send + 'static,
    {
        let (task, answer) = Task::relaxed(act);
        self.push(Box::new(task), bytes)?;
        answer.await.unwrap_or_else(|_| Err(Failure::Stopped.into()))
    }

    /// The same for nobody: it is written with whatever else waits, or it is lost.
    pub(super) fn cast<A, T>(&self, bytes: usize, act: A) -> Result<(), Failure>
    where
        A: FnMut(&mut Session<'_>) -> rusqlite::Result<Result<T, Failure>> + Send + 'static,
        T: Answer + 'static,
    {
        self.push(Box::new(Task::new(act).0), bytes)
    }

    fn push(&self, task: Box<dyn Work>, bytes: usize) -> Result<(), Failure> {
        self.queue.push(task, bytes).map_err(|refused| match refused {
            Refused::Full => Failure::Busy { retry_after: RETRY_AFTER },
            Refused::Closed => Failure::Stopped,
        })
    }
}

impl Drop for Writer {
    /// What waits is still written, if the disk lets it.
    fn drop(&mut self) {
        self.queue.close();
        if !self.ended.within(CLOSE_WAIT) {
            tracing::error!("the store does not end its last write; what was not acknowledged is left behind");
        } else if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Should the thread ever end by a panic, callers are told instead of waiting for ever.
struct Closing<'q>(&'q Queue<Box<dyn Work>>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.close();
        drop(self.0.take(usize::MAX));
    }
}

/// How the tasks of a group share its transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Nothing between them: a refusal writes nothing, and anything worse is rare enough to do the group over.
    None,
    /// A savepoint around each, so that one the database rejects goes alone.
    Each,
}

/// Why a group's transaction did not commit.
enum Broken {
    /// One task's own fault: do the group over with savepoints.
    ByTask,
    ByStore(Failure),
}

struct Loop<'c> {
    session: Session<'c>,
    health: Arc<Health>,
    /// The last group could not be written: nothing is acknowledged until a probe is.
    ailing: bool,
}

impl Loop<'_> {
    fn run(mut self, queue: &Queue<Box<dyn Work>>) {
        loop {
            let group = queue.take(GROUP_MAX);
            if group.is_empty() {
                return;
            }
            let mut unheard = self.settle(group);
            while !unheard.is_empty() {
                unheard = self.settle(unheard.into_iter().map(give_back).collect());
            }
        }
    }

    /// Writes a group and answers it. What comes back is ownership nobody was left to receive.
    fn settle(&mut self, mut group: Vec<Box<dyn Work>>) -> Vec<Ownership> {
        if let Err(failure) = self.write(&mut group) {
            for task in &mut group {
                task.fail(failure.clone());
            }
        }
        group.into_iter().filter_map(Work::answer).collect()
    }

    fn write(&mut self, group: &mut [Box<dyn Work>]) -> Result<(), Failure> {
        if let Some(outage) = self.health.outage() {
            return Err(Failure::Outage(outage.clone()));
        }
        if self.ailing {
            self.probe()?;
        }
        let broken = match self.transact(group, Guard::None) {
            Err(Broken::ByTask) => self.transact(group, Guard::Each),
            other => other,
        };
        match broken {
            Ok(()) => self.look(),
            Err(Broken::ByTask) => Err(self.ail("the database rejects a savepoint".into())),
            Err(Broken::ByStore(failure)) => Err(self.told(failure)),
        }
    }

    /// Whether what was committed lies where whoever comes next will find it: before anybody is answered.
    fn look(&mut self) -> Result<(), Failure> {
        match self.health.look() {
            Ok(()) => Ok(()),
            Err(Misplaced::Unseen(reason)) => Err(self.ail(reason)),
            Err(Misplaced::Moved(outage)) => {
                let failure = self.told(Failure::Outage(outage));
                // What was acknowledged before is in a log that nobody will find: as long as it is open here, it can be
                // moved to where it is found.
                if self.health.lost_only_its_log() {
                    match self.session.move_log() {
                        Ok(()) => tracing::warn!("what the log held has been moved into the database"),
                        Err(error) => tracing::error!(%error, "what the log held cannot be moved into the database"),
                    }
                }
                // Whoever opens the database now makes a log of its own: nothing of this one may be laid over that.
                if let Err(error) = self.session.leave_log() {
                    tracing::error!(%error, "the log may be moved into a database that is another's by now");
                }
                Err(failure)
            }
        }
    }

    /// Goes by a failure of the store's from here on.
    fn told(&mut self, failure: Failure) -> Failure {
        match failure {
            Failure::Unwritable { reason } => self.ail(reason),
            Failure::Outage(outage) => Failure::Outage(self.health.fails(outage)),
            failure => failure,
        }
    }

    fn transact(&mut self, group: &mut [Box<dyn Work>], guard: Guard) -> Result<(), Broken> {
        let durable = group.iter().any(|task| task.is_durable());
        let begun = self.session.commit_durably(durable).and_then(|()| self.session.begin());
        let done = begun.map_err(broken).and_then(|()| {
            group.iter_mut().try_for_each(|task| self.perform(task.as_mut(), guard))?;
            budget::write_noted(&mut self.session).map_err(broken)?;
            self.session.commit().map_err(broken)
        });
        if done.is_err() {
            self.session.roll_back();
        }
        done
    }

    fn perform(&mut self, task: &mut dyn Work, guard: Guard) -> Result<(), Broken> {
        if guard == Guard::None {
            return task.perform(&mut self.session).map_err(broken);
        }
        self.session.save().map_err(broken)?;
        let done = task.perform(&mut self.session).and_then(|()| budget::write_noted(&mut self.session));
        match done.map_err(|error| (error.to_string(), broken(error))) {
            Ok(()) => self.session.keep_saved().map_err(broken),
            Err((reason, Broken::ByTask)) => {
                self.session.spends.clear();
                task.fail(Failure::Unwritable { reason });
                self.session.back_to_saved().map_err(broken)
            }
            Err((_, by_store)) => Err(by_store),
        }
    }

    fn ail(&mut self, reason: String) -> Failure {
        if !self.ailing {
            tracing::error!(reason, "the store cannot write; nothing is acknowledged until it can");
        }
        self.ailing = true;
        Failure::Unwritable { reason }
    }

    /// Tries whether a commit reaches the disk again.
    fn probe(&mut self) -> Result<(), Failure> {
        let done = self.session.probe().map_err(broken);
        match done {
            Ok(()) => {
                tracing::info!("the store writes again");
                self.ailing = false;
                self.look()
            }
            Err(broken) => {
                self.session.roll_back();
                Err(match broken {
                    Broken::ByStore(failure) => self.told(failure),
                    Broken::ByTask => Failure::Unwritable { reason: "a trial write was rejected".into() },
                })
            }
        }
    }
}

/// Ownership whose new owner has gone away is nobody's, and looked at again.
fn give_back(ownership: Ownership) -> Box<dyn Work> {
    let act = move |session: &mut Session<'_>| ownership::give_back(session, ownership).map(Ok::<(), Failure>);
    Box::new(Task::new(act).0)
}

/// Whose fault an error of the database is.
fn broken(error: rusqlite::Error) -> Broken {
    if connection::is_busy(&error) {
        return Broken::ByStore(Failure::Busy { retry_after: RETRY_AFTER });
    }
    if let Some(outage) = health::outage_of(&error) {
        return Broken::ByStore(Failure::Outage(outage));
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
        ) => Broken::ByStore(Failure::Unwritable { reason: error.to_string() }),
        _ => Broken::ByTask,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn blames(code: i32) -> &'static str {
        match broken(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)) {
            Broken::ByTask => "the task",
            Broken::ByStore(Failure::Busy { .. }) => "others",
            Broken::ByStore(_) => "the store",
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
            Broken::ByTask => "the task",
            Broken::ByStore(_) => "the store",
        }
    }
}
