//! A log of plain rows with the store's durability and nothing else: the baseline for measurements.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use baton_ports::journal::JournalError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connection::DatabaseLocation;

/// Maximum number of rows that wait for the next commit.
const WAITING_MAX: usize = 16_384;
/// Size of the log's page cache, in bytes.
const CACHE_BYTES: usize = 32 << 20;

type LogRow = (Arc<[u8]>, oneshot::Sender<Result<(), String>>);

/// A sequence of byte rows, each durable once it is answered; one thread commits for all.
#[derive(Clone)]
pub struct BaselineLog {
    rows: SyncSender<LogRow>,
}

impl BaselineLog {
    /// # Errors
    /// [`JournalError::Unopenable`] if the file cannot be created.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        let unopenable = |error: &dyn std::fmt::Display| JournalError::Unopenable { reason: error.to_string() };
        // Opening a database never creates the file, so that no new one replaces a lost one.
        std::fs::File::create(path.as_ref()).map_err(|error| unopenable(&error))?;
        let connection =
            DatabaseLocation::File(path.as_ref().to_owned()).writer(CACHE_BYTES).map_err(|error| unopenable(&error))?;
        connection
            .execute_batch("CREATE TABLE log (n INTEGER PRIMARY KEY, payload BLOB NOT NULL)")
            .map_err(|error| unopenable(&error))?;
        let (rows, waiting) = sync_channel(WAITING_MAX);
        let named = std::thread::Builder::new().name("plain-log".to_owned());
        named.spawn(move || write(&connection, &waiting)).map_err(|error| unopenable(&error))?;
        Ok(Self { rows })
    }

    /// # Errors
    /// [`JournalError::Unwritable`] if the disk refuses the write; [`JournalError::Busy`] if too many rows wait.
    pub async fn append(&self, payload: Arc<[u8]>) -> Result<(), JournalError> {
        let (answer, answered) = oneshot::channel();
        let busy = |_| JournalError::Busy { retry_after: std::time::Duration::from_millis(10) };
        self.rows.try_send((payload, answer)).map_err(busy)?;
        let gone = |_| JournalError::Unwritable { reason: "the log is closed".to_owned() };
        answered.await.map_err(gone)?.map_err(|reason| JournalError::Unwritable { reason })
    }
}

fn write(connection: &Connection, waiting: &Receiver<LogRow>) {
    while let Ok(first) = waiting.recv() {
        let group: Vec<LogRow> = std::iter::once(first).chain(waiting.try_iter()).collect();
        let written = commit(connection, &group).map_err(|error| error.to_string());
        for (_, answer) in group {
            // The caller may be gone.
            let _ = answer.send(written.clone());
        }
    }
}

fn commit(connection: &Connection, group: &[LogRow]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let mut insert = transaction.prepare_cached("INSERT INTO log (payload) VALUES (?1)")?;
    for (payload, _) in group {
        insert.execute([&**payload])?;
    }
    drop(insert);
    transaction.commit()
}
