//! Measures the cost of the journal table's layout: the evidence for `docs/decisions/0003-one-writer-thread.md`.
//!
//! ```sh
//! cargo run --release -p baton-store --example layouts -- [FOLDER]
//! ```
//!
//! One thread appends entries of 300 bytes to 64 runs of ten entries each, one entry of each run per transaction, with
//! the store's guard on the head row, and syncs each transaction.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use rusqlite::{Connection, params};

const APPENDS: usize = 120_000;
const RUNS_AT_ONCE: usize = 64;
const STEPS: i64 = 10;
const ENTRY: [u8; 300] = [b'x'; 300];

struct TableLayout {
    name: &'static str,
    tables: &'static str,
    insert: &'static str,
}

const LAYOUTS: [TableLayout; 3] = [
    TableLayout {
        name: "in commit order, with an index",
        tables: "CREATE TABLE journal (id INTEGER PRIMARY KEY, aggregate INTEGER, seq INTEGER, payload BLOB);
                 CREATE UNIQUE INDEX journal_entries ON journal (aggregate, seq);",
        insert: "INSERT INTO journal (aggregate, seq, payload) VALUES (?1, ?2, ?3)",
    },
    TableLayout {
        name: "by run, without rowid",
        tables: "CREATE TABLE journal (aggregate INTEGER, seq INTEGER, payload BLOB, PRIMARY KEY (aggregate, seq))
                 WITHOUT ROWID;",
        insert: "INSERT INTO journal (aggregate, seq, payload) VALUES (?1, ?2, ?3)",
    },
    TableLayout {
        name: "by run, one number as key",
        tables: "CREATE TABLE journal (id INTEGER PRIMARY KEY, payload BLOB);",
        insert: "INSERT INTO journal (id, payload) VALUES ((?1 << 24) | ?2, ?3)",
    },
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args().nth(1).map_or_else(|| temporary.path().to_owned(), Into::into);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:<32}  appends/s  bytes/append", "layout")?;
    for (number, layout) in LAYOUTS.iter().enumerate() {
        let file = folder.join(format!("layout-{number}.db"));
        let (per_second, bytes) = measure(&file, layout)?;
        writeln!(out, "{:<32}  {per_second:>9.0}  {bytes:>12.0}", layout.name)?;
    }
    Ok(())
}

fn measure(file: &Path, layout: &TableLayout) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let connection = Connection::open(file)?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768;")?;
    connection
        .execute_batch("CREATE TABLE aggregate (id INTEGER PRIMARY KEY, owner INTEGER, epoch INTEGER, seq INTEGER);")?;
    connection.execute_batch(layout.tables)?;
    let mut create = connection.prepare("INSERT INTO aggregate (owner, epoch, seq) VALUES (1, 1, 0)")?;
    let mut guard = connection
        .prepare("UPDATE aggregate SET seq = ?2 + 1 WHERE id = ?1 AND owner = 1 AND epoch = 1 AND seq = ?2")?;
    let mut insert = connection.prepare(layout.insert)?;

    let mut runs: Vec<(i64, i64)> = Vec::new();
    let (mut done, began) = (0, Instant::now());
    while done < APPENDS {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        while runs.len() < RUNS_AT_ONCE {
            create.execute([])?;
            runs.push((connection.last_insert_rowid(), 0));
        }
        for (run, seq) in &mut runs {
            guard.execute([*run, *seq])?;
            *seq += 1;
            insert.execute(params![*run, *seq, ENTRY])?;
            done += 1;
        }
        connection.execute_batch("COMMIT")?;
        // The runs do not all end together: their last steps differ.
        runs.retain(|(run, seq)| *seq < STEPS - run % 3);
    }
    let took = began.elapsed().as_secs_f64();
    drop((create, guard, insert));
    connection.close().map_err(|(_, error)| error)?;
    Ok((done as f64 / took, std::fs::metadata(file)?.len() as f64 / done as f64))
}
