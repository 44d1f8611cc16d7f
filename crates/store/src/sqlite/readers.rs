//! Some reader threads, each with its own connection. They see the last commit and never block the writer.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connection;
use super::exit_signal::{self, ExitSignal};
use super::health::StoreHealth;
use super::queue::{BoundedQueue, QueueError};
use super::writer::RETRY_AFTER;
use super::writer_task::WriterError;

/// A query that also sends its answer; it receives the error if there is no connection.
type ReadJob = Box<dyn FnOnce(rusqlite::Result<&Connection>) + Send>;

/// Maximum number of queued queries.
const QUERIES_MAX: usize = 10_000;
/// Size of one reader's page cache, in bytes.
const CACHE_BYTES: usize = 4 << 20;
/// How long closing waits for running queries. A query that hangs in a disk operation ends with the process.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The handle of the reader threads.
pub(super) struct ReaderPool {
    queue: Arc<BoundedQueue<ReadJob>>,
    threads: Vec<JoinHandle<()>>,
    ended: ExitSignal,
    health: Arc<StoreHealth>,
}

impl ReaderPool {
    /// Connections are opened by the first query that needs them.
    pub(super) fn start(path: &Path, threads: usize, health: Arc<StoreHealth>) -> Result<Self, String> {
        let queue = Arc::new(BoundedQueue::new(QUERIES_MAX, usize::MAX));
        let (alive, ended) = exit_signal::exit_channel();
        let mut readers = Self { queue, threads: Vec::new(), ended, health };
        for number in 0..threads.max(1) {
            let (queue, path) = (Arc::clone(&readers.queue), path.to_owned());
            let builder = thread::Builder::new().name(format!("baton-reader-{number}"));
            let alive = alive.clone();
            let body = move || {
                serve(&queue, &path);
                drop(alive);
            };
            let thread = builder.spawn(body).map_err(|error| error.to_string())?;
            readers.threads.push(thread);
        }
        Ok(readers)
    }

    pub(super) async fn read<T, Q>(&self, query: Q) -> Result<T, WriterError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move |connection: rusqlite::Result<&Connection>| {
            let _ = reply.send(connection.and_then(query));
        });
        self.queue.push(job, 0).map_err(|refused| match refused {
            QueueError::Full => WriterError::Busy { retry_after: RETRY_AFTER },
            QueueError::Closed => WriterError::Stopped,
        })?;
        match answer.await {
            Ok(found) => found.map_err(|error| match self.health.classify(&error) {
                Some(outage) => WriterError::Outage(outage),
                None => unreadable(&error),
            }),
            Err(_) => Err(WriterError::Unreadable { reason: "a query broke off, which is a defect".into() }),
        }
    }
}

impl Drop for ReaderPool {
    fn drop(&mut self) {
        self.queue.close();
        if !self.ended.within(CLOSE_WAIT) {
            tracing::warn!("a query does not end, and is left behind");
            return;
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

pub(super) fn unreadable(error: &rusqlite::Error) -> WriterError {
    if connection::is_busy(error) {
        return WriterError::Busy { retry_after: RETRY_AFTER };
    }
    WriterError::Unreadable { reason: error.to_string() }
}

fn serve(queue: &BoundedQueue<ReadJob>, path: &Path) {
    let mut connection = None;
    while let Some(job) = queue.take(1).pop() {
        if connection.is_none() {
            match connection::reader(path, CACHE_BYTES) {
                Ok(opened) => connection = Some(opened),
                // The next query tries again.
                Err(error) => {
                    tracing::warn!(%error, "a reader cannot open the database");
                    job(Err(error));
                    continue;
                }
            }
        }
        // A query that panics fails alone: its caller gets an error, and the thread continues with a new connection.
        let query = || connection.as_ref().map(|connection| job(Ok(connection)));
        if panic::catch_unwind(AssertUnwindSafe(query)).is_err() {
            connection = None;
        }
    }
}
