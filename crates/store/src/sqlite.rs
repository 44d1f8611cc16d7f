//! One SQLite file, or a database in memory, behind every port of this room.

mod append;
mod audit;
mod budget;
mod check;
mod circuits;
mod codec;
mod connection;
mod conversations;
mod create;
mod decisions;
mod desk;
mod ended;
mod erasure;
mod feed;
mod health;
mod index;
mod journal;
mod keys;
mod migrations;
mod owners;
mod ownership;
mod plain;
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
mod task;
mod tool_cache;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use baton_ports::health::StoreOutage;
use baton_ports::journal::Error;
use rusqlite::Connection;

pub use check::{Depth, check};
use connection::Place;
pub use create::has_been;
use health::{Health, OpenError};
use owners::Owners;
pub use plain::PlainLog;
use queue::Queue;
use readers::Readers;
use session::Session;
use task::{Answer, Failure, Found};
use writer::Writer;

/// How much a store may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Writes that may wait; one more is answered `Busy`.
    pub waiting_max: usize,
    /// Bytes of waiting writes; one more is answered `Busy`.
    pub waiting_bytes_max: usize,
    /// Threads that read.
    pub readers: usize,
    /// Bytes of the database the writer keeps in memory.
    pub cache_bytes: usize,
    /// Bytes the database may grow to; beyond it, writes are answered `Unwritable`. Nothing: as large as the disk.
    pub bytes_max: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { waiting_max: 16_384, waiting_bytes_max: 128 << 20, readers: 2, cache_bytes: 8 << 20, bytes_max: None }
    }
}

/// An open database. Clones share it; the last one to go writes what still waits and closes it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// None for a database in memory, which only its writer can see. They go first: the last connection to close puts
    /// the log away, and only the writer's can.
    readers: Option<Readers>,
    writer: Writer,
    owners: Arc<Owners>,
    health: Arc<Health>,
    joining: tokio::sync::Mutex<()>,
    /// None for a database in memory.
    path: Option<PathBuf>,
}

impl Store {
    /// Opens the file, or makes it, and brings it to the newest layout. Blocks for some milliseconds. The file's folder
    /// must exist; beside the file come its log (`-wal`, `-shm`) and, once a process joins, a folder `.owners`.
    ///
    /// # Errors
    /// [`Error::Outage`] where the file is damaged; else [`Error::Unopenable`]. Both name the file and the reason: no folder, no leave, another program's file, a layout
    /// newer than this program, an empty file, no file where one has been.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let path = path.as_ref();
        let unopenable = |error: OpenError| error.of(path);
        create::ensure(path).map_err(unopenable)?;
        let owners = Owners::beside(path);
        // A process that changes its folder, or whose folder is moved, still means the same file.
        let path = &std::fs::canonicalize(path).map_err(|error| unopenable(error.to_string().into()))?;
        let health = Arc::new(Health::of(path));
        let readers = Readers::start(path, options.readers, Arc::clone(&health));
        let readers = readers.map_err(|error| unopenable(error.into()))?;
        Self::start(&Place::File(path.to_owned()), owners, health, Some(readers), &options).map_err(unopenable)
    }

    /// Opens the file to look at it: its layout is left as it is, and whatever would write is refused. Beside a file that
    /// nobody else has open, SQLite leaves an empty log (`-wal`, `-shm`).
    ///
    /// # Errors
    /// As of [`Store::open`]; [`Error::Unopenable`] also for a layout older than this program, and where there is no file.
    pub fn open_to_look(path: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let path = path.as_ref();
        let unopenable = |error: OpenError| error.of(path);
        create::not_gone(path).and_then(|()| create::not_empty(path)).map_err(|error| unopenable(error.into()))?;
        let owners = Owners::beside(path);
        let path = &std::fs::canonicalize(path).map_err(|error| unopenable(error.to_string().into()))?;
        let health = Arc::new(Health::of(path));
        let readers = Readers::start(path, options.readers, Arc::clone(&health));
        let readers = readers.map_err(|error| unopenable(error.into()))?;
        // The writer's connection cannot write either.
        let connection = connection::reader(path, options.cache_bytes).map_err(|error| unopenable(error.into()))?;
        migrations::is_newest(&connection).map_err(unopenable)?;
        let place = Place::File(path.to_owned());
        Self::over(connection, &place, owners, health, Some(readers), &options).map_err(unopenable)
    }

    /// A database that ends with the store: for tests. All its promises hold but durability.
    ///
    /// # Errors
    /// [`Error::Unopenable`] where there is no memory or no thread to be had.
    pub fn in_memory(options: Options) -> Result<Self, Error> {
        let health = Arc::new(Health::in_memory());
        Self::start(&Place::Memory, Owners::in_memory(), health, None, &options)
            .map_err(|error| Error::Unopenable { reason: error.to_string() })
    }

    fn start(
        place: &Place,
        owners: Owners,
        health: Arc<Health>,
        readers: Option<Readers>,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let mut connection = place.writer(options.cache_bytes)?;
        // What is not ours is left as it is, its log included.
        migrations::recognise(&connection)?;
        place.make_durable(&connection)?;
        migrations::run(&mut connection)?;
        limit(&connection, options.bytes_max)?;
        Self::over(connection, place, owners, health, readers, options)
    }

    /// Over the writer's connection.
    fn over(
        connection: Connection,
        place: &Place,
        owners: Owners,
        health: Arc<Health>,
        readers: Option<Readers>,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let owners = Arc::new(owners);
        let queue = Queue::new(options.waiting_max, options.waiting_bytes_max);
        let writer = Writer::start(connection, Arc::clone(&owners), Arc::clone(&health), queue)?;
        let path = match place {
            Place::File(path) => Some(path.clone()),
            Place::Memory => None,
        };
        let joining = tokio::sync::Mutex::default();
        Ok(Self { inner: Arc::new(Inner { readers, writer, owners, health, joining, path }) })
    }

    /// Changes [`Options::bytes_max`] of this store while it is open. What is there already is kept.
    ///
    /// # Errors
    /// As of any write.
    pub async fn limit_bytes(&self, bytes_max: Option<u64>) -> Result<(), Error> {
        self.write(0, move |session| limit(session.connection, bytes_max).map(Ok)).await
    }

    /// Why nothing is acknowledged any more, where that is so. What is not damaged can still be read.
    pub fn outage(&self) -> Option<StoreOutage> {
        self.inner.health.outage().cloned()
    }

    /// Waits until nothing is acknowledged any more, and says why: for ever where all goes well.
    pub async fn until_outage(&self) -> StoreOutage {
        self.inner.health.until_outage().await
    }

    /// From here on nothing is acknowledged: somebody looked at the file and found it damaged.
    pub fn report_damage(&self, reason: String) {
        self.inner.health.fails(StoreOutage::Damaged { reason });
    }

    /// Has the writer perform something; `Ok` means it is durable. `bytes` is about what it carries.
    async fn write<A, T, E>(&self, bytes: usize, act: A) -> Result<T, E>
    where
        A: FnMut(&mut Session<'_>) -> rusqlite::Result<Result<T, E>> + Send + 'static,
        T: Answer + 'static,
        E: From<Failure> + Send + 'static,
    {
        self.inner.writer.write(bytes, act).await
    }

    /// The same for what may be lost if the machine goes down: it is committed, every process sees it, and nobody waits for
    /// the disk. What is written beside it keeps its own promise.
    async fn write_relaxed<A, T, E>(&self, bytes: usize, act: A) -> Result<T, E>
    where
        A: FnMut(&mut Session<'_>) -> rusqlite::Result<Result<T, E>> + Send + 'static,
        T: Answer + 'static,
        E: From<Failure> + Send + 'static,
    {
        self.inner.writer.write_relaxed(bytes, act).await
    }

    /// Has the writer perform something for which nobody waits. What cannot be written is lost, and logged by the writer.
    fn cast<A>(&self, bytes: usize, mut act: A) -> Result<(), Error>
    where
        A: FnMut(&mut Session<'_>) -> rusqlite::Result<()> + Send + 'static,
    {
        self.inner.writer.cast(bytes, move |session| act(session).map(Ok::<_, Failure>)).map_err(Error::from)
    }

    /// Asks a reader, or the writer where nobody else can see the database.
    async fn read<T, E, Q>(&self, query: Q) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Failure>,
        Q: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let Some(readers) = &self.inner.readers else {
            let act = move |session: &mut Session<'_>| {
                Ok(query(session.connection).map(Found).map_err(|error| readers::unreadable(&error)))
            };
            return self.write::<_, _, Failure>(0, act).await.map(|found| found.0).map_err(E::from);
        };
        readers.read(query).await.map_err(E::from)
    }

    fn owners(&self) -> &Arc<Owners> {
        &self.inner.owners
    }

    fn joining(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.joining
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Limits the database's size, in whole pages.
fn limit(connection: &Connection, bytes_max: Option<u64>) -> rusqlite::Result<()> {
    let page: u64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = bytes_max.map_or(PAGES_MAX, |bytes| (bytes / page.max(1)).clamp(1, PAGES_MAX));
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
}

/// What SQLite itself allows, in pages.
const PAGES_MAX: u64 = 0xFFFF_FFFE;

#[cfg(test)]
mod tests;
