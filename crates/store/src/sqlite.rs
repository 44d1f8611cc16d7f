//! One SQLite file, or a database in memory, behind every port of this crate.

mod append;
mod audit;
mod baseline_log;
mod budget;
mod check;
mod circuits;
mod codec;
mod connection;
mod conversations;
mod create;
mod decisions;
mod erasure;
mod exit_signal;
mod feed;
mod health;
mod index;
mod journal;
mod keys;
mod migrations;
mod owner_locks;
mod ownership;
mod queue;
mod rate_limits;
mod read;
mod readers;
mod records;
mod registry;
pub mod retention;
mod runs;
mod service_circuits;
mod session;
mod sql;
pub mod stored;
mod submit;
mod task_inbox;
mod tool_cache;
mod writer;
mod writer_task;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use baton_ports::health::StoreOutage;
use baton_ports::journal::JournalError;
use rusqlite::Connection;

pub use baseline_log::BaselineLog;
pub use check::{CheckDepth, check};
use connection::DatabaseLocation;
pub use create::was_created;
use health::{OpenError, StoreHealth};
use owner_locks::OwnerLocks;
use queue::BoundedQueue;
use readers::ReaderPool;
use session::WriterSession;
use writer::WriterThread;
use writer_task::{ReadAnswer, WriteAnswer, WriterError};

/// Resource limits of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Maximum number of queued writes; above it, writes are answered `Busy`.
    pub waiting_max: usize,
    /// Maximum size of queued writes, in bytes; above it, writes are answered `Busy`.
    pub waiting_bytes_max: usize,
    /// Number of reader threads.
    pub readers: usize,
    /// Size of the writer's page cache, in bytes.
    pub cache_bytes: usize,
    /// Maximum size of the database, in bytes; above it, writes are answered `Unwritable`. `None` means no limit but
    /// the disk.
    pub bytes_max: Option<u64>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { waiting_max: 16_384, waiting_bytes_max: 128 << 20, readers: 2, cache_bytes: 8 << 20, bytes_max: None }
    }
}

/// An open database. Clones share it; when the last one is dropped, queued writes are completed and the database is
/// closed.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<StoreInner>,
}

struct StoreInner {
    /// `None` for a database in memory, which only its writer can see. Readers are dropped first: the last connection
    /// to close removes the log, and only the writer's can.
    readers: Option<ReaderPool>,
    writer: WriterThread,
    owners: Arc<OwnerLocks>,
    health: Arc<StoreHealth>,
    joining: tokio::sync::Mutex<()>,
    /// `None` for a database in memory.
    path: Option<PathBuf>,
}

impl SqliteStore {
    /// Opens the file, or creates it, and migrates it to the newest layout. Blocks for some milliseconds. The file's
    /// folder must exist. The log (`-wal`, `-shm`) is created beside the file and, once a process joins, a folder
    /// `.owners`.
    ///
    /// # Errors
    /// [`JournalError::Outage`] if the file is damaged, otherwise [`JournalError::Unopenable`]. Both name the file and
    /// the reason: no folder, no permission, another program's file, a layout newer than this program, an empty file,
    /// or a missing file where there was a database.
    pub fn open(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let unopenable = |error: OpenError| error.of(path);
        create::ensure(path).map_err(unopenable)?;
        let owners = OwnerLocks::beside(path);
        // The canonical path stays valid if the process changes its working directory.
        let path = &std::fs::canonicalize(path).map_err(|error| unopenable(error.to_string().into()))?;
        let health = Arc::new(StoreHealth::of(path));
        let readers = ReaderPool::start(path, options.readers, Arc::clone(&health));
        let readers = readers.map_err(|error| unopenable(error.into()))?;
        Self::start(&DatabaseLocation::File(path.to_owned()), owners, health, Some(readers), &options)
            .map_err(unopenable)
    }

    /// Opens the file read-only: its layout is left as it is, and writes are refused. If no other process has the file
    /// open, SQLite leaves an empty log (`-wal`, `-shm`) beside it.
    ///
    /// # Errors
    /// As for [`SqliteStore::open`]; also [`JournalError::Unopenable`] if the layout is older than this program's, or
    /// if there is no file.
    pub fn open_read_only(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, JournalError> {
        let path = path.as_ref();
        let unopenable = |error: OpenError| error.of(path);
        create::check_present(path)
            .and_then(|()| create::check_not_empty(path))
            .map_err(|error| unopenable(error.into()))?;
        let owners = OwnerLocks::beside(path);
        let path = &std::fs::canonicalize(path).map_err(|error| unopenable(error.to_string().into()))?;
        let health = Arc::new(StoreHealth::of(path));
        let readers = ReaderPool::start(path, options.readers, Arc::clone(&health));
        let readers = readers.map_err(|error| unopenable(error.into()))?;
        // The writer's connection is read-only too.
        let connection = connection::reader(path, options.cache_bytes).map_err(|error| unopenable(error.into()))?;
        migrations::is_newest(&connection).map_err(unopenable)?;
        let place = DatabaseLocation::File(path.to_owned());
        Self::with_writer(connection, &place, owners, health, Some(readers), &options).map_err(unopenable)
    }

    /// A database that ends with the store, for tests. It keeps all guarantees except durability.
    ///
    /// # Errors
    /// [`JournalError::Unopenable`] if there is no memory or no thread available.
    pub fn in_memory(options: StoreOptions) -> Result<Self, JournalError> {
        let health = Arc::new(StoreHealth::in_memory());
        Self::start(&DatabaseLocation::Memory, OwnerLocks::in_memory(), health, None, &options)
            .map_err(|error| JournalError::Unopenable { reason: error.to_string() })
    }

    fn start(
        place: &DatabaseLocation,
        owners: OwnerLocks,
        health: Arc<StoreHealth>,
        readers: Option<ReaderPool>,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        let mut connection = place.writer(options.cache_bytes)?;
        // Another program's file is left as it is, including its log.
        migrations::recognise(&connection)?;
        place.make_durable(&connection)?;
        migrations::run(&mut connection)?;
        limit(&connection, options.bytes_max)?;
        Self::with_writer(connection, place, owners, health, readers, options)
    }

    /// Builds the store around the writer's connection.
    fn with_writer(
        connection: Connection,
        place: &DatabaseLocation,
        owners: OwnerLocks,
        health: Arc<StoreHealth>,
        readers: Option<ReaderPool>,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        let owners = Arc::new(owners);
        let queue = BoundedQueue::new(options.waiting_max, options.waiting_bytes_max);
        let writer = WriterThread::start(connection, Arc::clone(&owners), Arc::clone(&health), queue)?;
        let path = match place {
            DatabaseLocation::File(path) => Some(path.clone()),
            DatabaseLocation::Memory => None,
        };
        let joining = tokio::sync::Mutex::default();
        Ok(Self { inner: Arc::new(StoreInner { readers, writer, owners, health, joining, path }) })
    }

    /// Changes [`StoreOptions::bytes_max`] of this store while it is open. Existing data is kept.
    ///
    /// # Errors
    /// As for any write.
    pub async fn limit_bytes(&self, bytes_max: Option<u64>) -> Result<(), JournalError> {
        self.write(0, move |session| limit(session.connection, bytes_max).map(Ok)).await
    }

    /// Why nothing is acknowledged any more, if that is so. Undamaged data can still be read.
    pub fn outage(&self) -> Option<StoreOutage> {
        self.inner.health.outage().cloned()
    }

    /// Waits until nothing is acknowledged any more, and returns the reason; never returns if there is no outage.
    pub async fn until_outage(&self) -> StoreOutage {
        self.inner.health.until_outage().await
    }

    /// Reports that the file was found damaged: nothing is acknowledged from now on.
    pub fn report_damage(&self, reason: String) {
        self.inner.health.record_outage(StoreOutage::Damaged { reason });
    }

    /// Runs an operation on the writer; `Ok` means that it is durable. `bytes` is its approximate size.
    async fn write<A, T, E>(&self, bytes: usize, act: A) -> Result<T, E>
    where
        A: FnMut(&mut WriterSession<'_>) -> rusqlite::Result<Result<T, E>> + Send + 'static,
        T: WriteAnswer + 'static,
        E: From<WriterError> + Send + 'static,
    {
        self.inner.writer.write(bytes, act).await
    }

    /// The same for operations that may be lost if the machine crashes: they are committed and visible to every
    /// process, without waiting for the disk. Other operations in the same group keep their own guarantee.
    async fn write_relaxed<A, T, E>(&self, bytes: usize, act: A) -> Result<T, E>
    where
        A: FnMut(&mut WriterSession<'_>) -> rusqlite::Result<Result<T, E>> + Send + 'static,
        T: WriteAnswer + 'static,
        E: From<WriterError> + Send + 'static,
    {
        self.inner.writer.write_relaxed(bytes, act).await
    }

    /// Runs an operation on the writer without waiting for it. If it cannot be written, it is lost, and the writer logs
    /// it.
    fn write_detached<A>(&self, bytes: usize, mut act: A) -> Result<(), JournalError>
    where
        A: FnMut(&mut WriterSession<'_>) -> rusqlite::Result<()> + Send + 'static,
    {
        self.inner
            .writer
            .write_detached(bytes, move |session| act(session).map(Ok::<_, WriterError>))
            .map_err(JournalError::from)
    }

    /// Runs a query on a reader, or on the writer if only the writer can see the database.
    async fn read<T, E, Q>(&self, query: Q) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<WriterError>,
        Q: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let Some(readers) = &self.inner.readers else {
            let act = move |session: &mut WriterSession<'_>| {
                Ok(query(session.connection).map(ReadAnswer).map_err(|error| readers::unreadable(&error)))
            };
            return self.write::<_, _, WriterError>(0, act).await.map(|found| found.0).map_err(E::from);
        };
        readers.read(query).await.map_err(E::from)
    }

    fn owners(&self) -> &Arc<OwnerLocks> {
        &self.inner.owners
    }

    fn joining(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.joining
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

/// Limits the database's size, in whole pages.
fn limit(connection: &Connection, bytes_max: Option<u64>) -> rusqlite::Result<()> {
    let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = bytes_max.map_or(PAGES_MAX, |bytes| (bytes / page.max(1)).clamp(1, PAGES_MAX));
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
}

/// SQLite's own limit, in pages.
const PAGES_MAX: u64 = 0xFFFF_FFFE;

#[cfg(test)]
mod tests;
