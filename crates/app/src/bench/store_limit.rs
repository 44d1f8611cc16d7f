//! The store alone with the same statements and bytes, from as many tasks, without an engine.

use std::sync::Arc;
use std::time::Instant;

use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::{InboxReceipt, JournalStore};
use baton_store::sqlite::{BaselineLog, SqliteStore};

use super::fixture::{self, ScratchFolder};
use super::recorder::JournalCalls;

/// Replays every recorded start and append on a fresh store.
pub fn replay_rate(asked: &[JournalCalls], per_run: usize, concurrency: usize) -> anyhow::Result<f64> {
    let scratch = ScratchFolder::new()?;
    crate::commands::block_on(async {
        let store = fixture::store(scratch.path())?;
        let process = store.join(SystemClock.monotonic()).await?.process;
        let began = Instant::now();
        for_each_run(asked, concurrency, move |run| {
            let store = store.clone();
            async move { replay(&store, process, &run).await }
        })
        .await?;
        Ok(rate(asked.len(), per_run, began))
    })
}

/// Writes one row per step with the same journal bytes.
pub fn plain_rows_rate(asked: &[JournalCalls], per_run: usize, concurrency: usize) -> anyhow::Result<f64> {
    let scratch = ScratchFolder::new()?;
    crate::commands::block_on(async {
        let log = Arc::new(BaselineLog::open(scratch.path().join("plain.db"))?);
        let began = Instant::now();
        for_each_run(asked, concurrency, move |run| {
            let log = log.clone();
            async move {
                // The first entry belongs to the start. Each step has its own.
                for append in run.appends.iter().skip(1) {
                    log.append(append.entry.clone().unwrap_or_default()).await?;
                }
                Ok(())
            }
        })
        .await?;
        Ok(rate(asked.len(), per_run, began))
    })
}

/// Distributes the runs over the tasks.
async fn for_each_run<W>(
    asked: &[JournalCalls],
    concurrency: usize,
    work: impl Fn(JournalCalls) -> W,
) -> anyhow::Result<()>
where
    W: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for run in asked {
        if tasks.len() >= concurrency
            && let Some(done) = tasks.join_next().await
        {
            done??;
        }
        tasks.spawn(work(run.clone()));
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn replay(
    store: &SqliteStore,
    process: baton_ports::journal::ProcessId,
    run: &JournalCalls,
) -> anyhow::Result<()> {
    let Some(mut start) = run.start.clone() else { anyhow::bail!("a recorded run has no start") };
    if let Some(creates) = &mut start.creates {
        creates.owner = Some(process);
    }
    let InboxReceipt::Accepted { item, owned: Some(ownership), .. } = store.submit(start).await? else {
        anyhow::bail!("a recorded start was not accepted");
    };
    for (place, append) in run.appends.iter().enumerate() {
        let mut append = append.clone();
        append.ownership = ownership;
        if place == 0 {
            append.inbox_done = vec![item];
        }
        store.append(append).await?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn rate(runs: usize, per_run: usize, began: Instant) -> f64 {
    (runs * per_run) as f64 / began.elapsed().as_secs_f64()
}
