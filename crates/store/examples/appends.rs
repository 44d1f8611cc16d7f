//! Measures how many appends per second this machine's disk and processor allow.
//!
//! ```sh
//! cargo run --release -p baton-store --example appends -- [FOLDER]
//! ```
//!
//! Each task starts a run, appends ten entries of 300 bytes, each of which must be durable before the next, the last
//! one releasing the run, and starts the next run. Starts are not counted. The last line measures runs that never end,
//! so that no two tasks share index pages. Without a folder, a temporary one is used; name one to measure another disk.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use baton_core::time::Time;
use baton_core::tool::{AuditRow, AuditStatus};
use baton_ports::clock::MonotonicTime;
use baton_ports::journal::{
    AggregateKind, InboxReceipt, InboxSubmission, JournalAppend, JournalStore, NewAggregate, Ownership, ProcessId,
};
use baton_store::sqlite::{SqliteStore, StoreOptions};

const ENTRY_BYTES: usize = 300;
const DETAILS_BYTES: usize = 250;
const APPENDS: usize = 200_000;
/// Appends of one run.
const STEPS: usize = 10;
const NOW: Time = Time::from_ms(1_700_000_000_000);

type BenchError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BenchError> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args().nth(1).map_or_else(|| temporary.path().to_owned(), Into::into);
    let mut out = std::io::stdout().lock();
    writeln!(out, "tasks  audit rows  appends/s  p50 ms  p99 ms  writer µs/append  bytes/append")?;
    for (audit, tasks, steps) in [
        (0, 1, STEPS),
        (0, 64, STEPS),
        (0, 1_024, STEPS),
        (1, 1, STEPS),
        (1, 64, STEPS),
        (1, 1_024, STEPS),
        (1, 64, usize::MAX),
    ] {
        let file = folder.join(format!("appends-{audit}-{tasks}-{steps}.db"));
        let measured = measure(&file, tasks, audit, steps).await?;
        let endless = if steps == usize::MAX { "  endless runs" } else { "" };
        writeln!(out, "{tasks:>5}  {audit:>10}  {measured}{endless}")?;
    }
    Ok(())
}

async fn measure(file: &Path, tasks: usize, audit: usize, steps: usize) -> Result<String, BenchError> {
    let store = SqliteStore::open(file, StoreOptions::default())?;
    let process = store.join(MonotonicTime::from_ms(1_000_000)).await?.process;
    let each = (if tasks == 1 { APPENDS / 40 } else { APPENDS }) / tasks;
    let next = Arc::new(AtomicUsize::new(0));
    let (cpu, began) = (writer_cpu(), Instant::now());
    let mut running = Vec::new();
    for _ in 0..tasks {
        let worker = AppendWorker { store: store.clone(), process, next: Arc::clone(&next), audit, steps };
        running.push(tokio::spawn(worker.appends(each)));
    }
    let mut waits = Vec::with_capacity(tasks * each);
    for task in running {
        waits.extend(task.await??);
    }
    let (took, spent) = (began.elapsed(), writer_cpu().saturating_sub(cpu));
    drop(store);
    waits.sort_unstable();
    let per = |duration: Duration| duration.as_secs_f64() * 1e6 / waits.len() as f64;
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Ok(format!(
        "{:>9.0}  {:>6.2}  {:>6.2}  {:>16.1}  {:>12.0}",
        1e6 / per(took),
        at(0.5),
        at(0.99),
        per(spent),
        std::fs::metadata(file)?.len() as f64 / waits.len() as f64,
    ))
}

/// One of the tasks.
struct AppendWorker {
    store: SqliteStore,
    process: ProcessId,
    /// The number of the next run, shared by all tasks.
    next: Arc<AtomicUsize>,
    audit: usize,
    steps: usize,
}

impl AppendWorker {
    async fn appends(self, count: usize) -> Result<Vec<Duration>, BenchError> {
        let entry: Arc<[u8]> = vec![b'x'; ENTRY_BYTES].into();
        let mut waits = Vec::with_capacity(count);
        while waits.len() < count {
            let run = format!("01930000-0000-7000-8000-{:012x}", self.next.fetch_add(1, Ordering::Relaxed));
            let ownership = self.start(&run).await?;
            for expected_seq in 0..self.steps.min(count - waits.len()) as u64 {
                let append = JournalAppend {
                    ownership,
                    aggregate: run.as_str().into(),
                    tenant: "tenant-1".into(),
                    expected_seq,
                    at: NOW,
                    entry: Some(Arc::clone(&entry)),
                    wake_at: None,
                    release: expected_seq + 1 == self.steps as u64,
                    head: None,
                    inbox_done: if expected_seq == 0 { vec![1] } else { Vec::new() },
                    outbox: Vec::new(),
                    projections: Vec::new(),
                    audit: (0..self.audit).map(|_| audit_row(&run)).collect(),
                    spends: Vec::new(),
                    snapshot: None,
                };
                let asked = Instant::now();
                self.store.append(append).await?;
                waits.push(asked.elapsed());
            }
        }
        Ok(waits)
    }

    async fn start(&self, run: &str) -> Result<Ownership, BenchError> {
        let creates = NewAggregate {
            kind: AggregateKind::Run,
            workflow: "bench".into(),
            parent: None,
            owner: Some(self.process),
        };
        let submit = InboxSubmission {
            aggregate: run.into(),
            tenant: "tenant-1".into(),
            command_id: "start".into(),
            payload: Arc::from(*b"{}"),
            at: NOW,
            creates: Some(creates),
        };
        match self.store.submit(submit).await? {
            InboxReceipt::Accepted { owned: Some(ownership), .. } => Ok(ownership),
            other => Err(format!("a fresh store answered {other:?}").into()),
        }
    }
}

fn audit_row(run: &str) -> AuditRow {
    AuditRow {
        at: NOW,
        company_id: "tenant-1".into(),
        run: Some(run.into()),
        call: Some(format!("{run}/step/0")),
        changes: false,
        user_id: Some("user-1".into()),
        agent_name: None,
        conversation_id: Some("conversation-1".into()),
        action_type: "tool_execution".into(),
        action: "calculator".into(),
        details: serde_json::Value::from("x".repeat(DETAILS_BYTES)).into(),
        status: AuditStatus::Success,
        sent: true,
        error_code: None,
        cost: baton_core::money::Usd::ZERO,
        duration_ms: 3,
        erases: Vec::new(),
    }
}

/// Processor time of the writer thread so far; zero if the system does not report it.
fn writer_cpu() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = threads.filter_map(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let spent = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        (name.trim() == "baton-writer").then(|| spent.split(' ').next()?.parse::<u64>().ok())?
    });
    Duration::from_nanos(nanos.sum())
}
