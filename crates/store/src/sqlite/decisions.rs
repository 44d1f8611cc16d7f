//! The decisions port: a batch is one task, which no caller waits for.

use async_trait::async_trait;
use baton_core::id::{RunId, TenantId};
use baton_core::model::TokenUsage;
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::decisions::{BATCH_MAX, DecisionFilter, DecisionLog, DecisionSum, LIST_MAX, ModelDecision};
use baton_ports::journal::JournalError;
use rusqlite::{Row, params};

use super::session::WriterSession;
use super::sql::numbered;
use super::{SqliteStore, codec};

/// Approximate size of a record's columns without its texts, in bytes.
const ROW_BYTES: usize = 256;

#[async_trait]
impl DecisionLog for SqliteStore {
    fn record(&self, batch: Vec<ModelDecision>) -> Result<(), JournalError> {
        let (size, limit) = (batch.len(), BATCH_MAX);
        if size > limit {
            return Err(JournalError::TooLarge { what: "a batch of decisions", size, limit });
        }
        let bytes = batch.iter().map(bytes).sum();
        self.write_detached(bytes, move |session| insert(session, &batch))
    }

    async fn decisions(&self, tenant: &TenantId, filter: DecisionFilter) -> Result<Vec<ModelDecision>, JournalError> {
        self.wait_for_writes().await?;
        let tenant = tenant.clone();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM routing_decision WHERE tenant = $1 {}{} ORDER BY id DESC LIMIT $4",
                if filter.run.is_some() { "AND run = $2 " } else { "AND $2 IS NULL " },
                if filter.key.is_some() { "AND key = $3" } else { "AND $3 IS NULL" },
            );
            let mut all = connection.prepare_cached(&numbered(&sql))?;
            let run = filter.run.as_ref().map(RunId::as_str);
            let rows = all.query_map(params![tenant.as_str(), run, filter.key, filter.limit.min(LIST_MAX)], |row| {
                decision(row, &tenant)
            })?;
            rows.collect()
        })
        .await
    }

    async fn sums(&self, tenant: &TenantId, since: Time) -> Result<Vec<DecisionSum>, JournalError> {
        self.wait_for_writes().await?;
        let tenant = tenant.clone();
        self.read(move |connection| {
            let mut all = connection.prepare_cached(&numbered(SUMS))?;
            let rows = all.query_map(params![tenant.as_str(), since.as_ms()], sum)?;
            rows.collect()
        })
        .await
    }
}

impl SqliteStore {
    /// Waits until earlier batches are written: readers see only commits.
    async fn wait_for_writes(&self) -> Result<(), JournalError> {
        self.write(0, |_| Ok(Ok(()))).await
    }
}

const COLUMNS: &str = "key, attempt, run, workflow, node, agent, key_id, profile, model, provider, estimated_tokens, \
     estimated_nanos, input_tokens, output_tokens, cached_tokens, cache_write_tokens, cache_write_hour_tokens, \
     cost_nanos, latency_ms, success, cached, error_code, error_message, explanation, created_at";

/// Sums saturate at SQLite's integer limits, far above what can be spent.
const SUMS: &str = "SELECT profile, model, count(*), sum(success), coalesce(sum(input_tokens), 0), \
     coalesce(sum(output_tokens), 0), coalesce(sum(cached_tokens), 0), coalesce(sum(cache_write_tokens), 0), \
     coalesce(sum(cache_write_hour_tokens), 0), sum(cost_nanos), sum(success AND cached) FROM routing_decision WHERE tenant = $1 AND \
     created_at >= $2 AND model <> '' GROUP BY profile, model ORDER BY profile, model";

fn bytes(decision: &ModelDecision) -> usize {
    let texts = [decision.explanation.as_deref(), decision.error_message.as_deref(), Some(decision.key.as_str())];
    ROW_BYTES + texts.into_iter().flatten().map(str::len).sum::<usize>()
}

fn insert(session: &mut WriterSession<'_>, batch: &[ModelDecision]) -> rusqlite::Result<()> {
    let mut insert = session.statement(&format!(
        "INSERT INTO routing_decision (tenant, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
         $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)"
    ))?;
    for decision in batch {
        let usage = decision.usage;
        insert.execute(params![
            decision.tenant.as_str(),
            decision.key,
            decision.attempt,
            decision.run.as_ref().map(RunId::as_str),
            decision.workflow,
            decision.node,
            decision.agent,
            decision.key_id,
            codec::profile_word(decision.profile),
            decision.model,
            decision.provider,
            whole(decision.estimated_tokens),
            decision.estimated_cost.as_nanos(),
            usage.map(|usage| whole(usage.input_tokens)),
            usage.map(|usage| whole(usage.output_tokens)),
            usage.map(|usage| whole(usage.cached_tokens)),
            usage.map(|usage| whole(usage.cache_write_tokens)),
            usage.map(|usage| whole(usage.cache_write_hour_tokens)),
            decision.actual_cost.as_nanos(),
            whole(decision.latency_ms),
            decision.success,
            decision.cached,
            decision.error_code,
            decision.error_message,
            decision.explanation,
            decision.created_at.as_ms(),
        ])?;
    }
    Ok(())
}

/// SQLite's integers have a smaller maximum.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn decision(row: &Row<'_>, tenant: &TenantId) -> rusqlite::Result<ModelDecision> {
    Ok(ModelDecision {
        tenant: tenant.clone(),
        key: row.get(0)?,
        attempt: row.get(1)?,
        run: row.get::<_, Option<String>>(2)?.map(RunId::from),
        workflow: row.get(3)?,
        node: row.get(4)?,
        agent: row.get(5)?,
        key_id: row.get(6)?,
        profile: codec::profile(row, 7)?,
        model: row.get(8)?,
        provider: row.get(9)?,
        estimated_tokens: row.get(10)?,
        estimated_cost: Usd::from_nanos(row.get(11)?),
        usage: usage(row, 12)?,
        actual_cost: Usd::from_nanos(row.get(17)?),
        latency_ms: row.get(18)?,
        success: row.get(19)?,
        cached: row.get(20)?,
        error_code: row.get(21)?,
        error_message: row.get(22)?,
        explanation: row.get(23)?,
        created_at: codec::time(row, 24)?,
    })
}

/// Five columns from `from` on; `None` if nothing was counted. Older rows have no count of tokens cached for an hour.
fn usage(row: &Row<'_>, from: usize) -> rusqlite::Result<Option<TokenUsage>> {
    let Some(input_tokens) = row.get(from)? else { return Ok(None) };
    Ok(Some(TokenUsage {
        input_tokens,
        output_tokens: row.get(from + 1)?,
        cached_tokens: row.get(from + 2)?,
        cache_write_tokens: row.get(from + 3)?,
        cache_write_hour_tokens: row.get::<_, Option<u64>>(from + 4)?.unwrap_or(0),
    }))
}

fn sum(row: &Row<'_>) -> rusqlite::Result<DecisionSum> {
    Ok(DecisionSum {
        profile: codec::profile(row, 0)?,
        model: row.get(1)?,
        calls: row.get(2)?,
        succeeded: row.get(3)?,
        usage: usage(row, 4)?.unwrap_or_default(),
        cost: Usd::from_nanos(row.get(9)?),
        cached: row.get(10)?,
    })
}
