//! Deletes old data, in bounded batches, so that writers do not wait long.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::JournalError;
use rusqlite::params;

use super::SqliteStore;
use super::sql::numbered;

/// Rows read per batch.
pub const PIECE: usize = 500;

/// A class of data with limited retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionClass {
    /// Messages that were recorded and not sent.
    Outbox,
    /// Keys and results of effects of ended runs: these effects are never sent again.
    Effects,
    /// The accounts that such keys were sent to.
    SentTo,
    /// The state of contacts at a service before the effects with such keys changed them.
    ContactsBefore,
    /// Requests about runs, by idempotency key.
    AskedOnce,
    /// Webhook deliveries: accepted ones (`Told`), and those that were given up (`Untold`).
    Told,
    Untold,
    /// Decision links: they are valid for a month at most.
    Links,
    /// The runs of chats at the OpenAI-compatible endpoint: a later message starts another run.
    ChatTurns,
    /// Model routing decisions, with their cost.
    Decisions,
}

/// The result of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiryResult {
    pub rows: u64,
    /// The cursor of the next batch; `None` at the end.
    pub next: Option<String>,
}

impl SqliteStore {
    /// Deletes a tenant's rows from before an instant, of at most [`PIECE`] rows after `after`.
    pub async fn expire(
        &self,
        tenant: &TenantId,
        what: RetentionClass,
        before: Time,
        after: Option<String>,
    ) -> Result<ExpiryResult, JournalError> {
        match what {
            RetentionClass::Outbox => self.expire_records(tenant, "outbox", UNCONDITIONED, before, after).await,
            RetentionClass::Effects => self.expire_records(tenant, "effects", ENDED, before, after).await,
            RetentionClass::SentTo => self.expire_records(tenant, "sent_to", ENDED, before, after).await,
            RetentionClass::ContactsBefore => {
                self.expire_records(tenant, "contacts_before", ENDED, before, after).await
            }
            RetentionClass::AskedOnce => self.expire_records(tenant, "asked_once", ENDED, before, after).await,
            RetentionClass::Told => self.expire_records(tenant, "webhook_sent", UNCONDITIONED, before, after).await,
            RetentionClass::Links => self.expire_records(tenant, "decision_link", UNCONDITIONED, before, after).await,
            RetentionClass::ChatTurns => self.expire_records(tenant, "chat_turns", ALL_ENDED, before, after).await,
            RetentionClass::Untold => self.expire_records(tenant, "webhook_dead", UNCONDITIONED, before, after).await,
            RetentionClass::Decisions => {
                let tenant = tenant.clone();
                let deleted = self.write(0, move |session| {
                    let mut delete = session.statement(&format!(
                        "DELETE FROM routing_decision WHERE id IN (SELECT id FROM routing_decision \
                         WHERE tenant = $1 AND created_at < $2 LIMIT {PIECE})"
                    ))?;
                    Ok(Ok::<_, JournalError>(delete.execute(params![tenant.as_str(), before.as_ms()])? as u64))
                });
                let rows = deleted.await?;
                Ok(ExpiryResult { rows, next: (rows == PIECE as u64).then(String::new) })
            }
        }
    }

    /// A reader scans the keys page by page, and only old ones reach the writer, which checks them again.
    async fn expire_records(
        &self,
        tenant: &TenantId,
        space: &'static str,
        condition: &'static str,
        before: Time,
        after: Option<String>,
    ) -> Result<ExpiryResult, JournalError> {
        let (of, after) = (tenant.clone(), after.unwrap_or_default());
        let page: Vec<(String, bool)> = self
            .read::<_, JournalError, _>(move |connection| {
                let sql = format!(
                    "SELECT key, at < $4 AND {condition} FROM record \
                     WHERE tenant = $1 AND space = $2 AND key > $3 ORDER BY key LIMIT {PIECE}"
                );
                let mut page = connection.prepare_cached(&numbered(&sql))?;
                let rows = page.query_map(params![of.as_str(), space, after, before.as_ms()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
                rows.collect()
            })
            .await?;
        let next = (page.len() == PIECE).then(|| page.last().map(|(key, _)| key.clone())).flatten();
        let old: Vec<String> = page.into_iter().filter(|(_, is_old)| *is_old).map(|(key, _)| key).collect();
        if old.is_empty() {
            return Ok(ExpiryResult { rows: 0, next });
        }
        let of = tenant.clone();
        let deleted = self.write(0, move |session| {
            let mut rows = 0;
            let mut delete =
                session.statement("DELETE FROM record WHERE tenant = $1 AND space = $2 AND key = $3 AND at < $4")?;
            for key in &old {
                rows += delete.execute(params![of.as_str(), space, key, before.as_ms()])? as u64;
            }
            Ok(Ok::<_, JournalError>(rows))
        });
        Ok(ExpiryResult { rows: deleted.await?, next })
    }
}

const UNCONDITIONED: &str = "1";
/// An effect whose run is active, or ended a short while ago, may be sent again.
const ENDED: &str = "NOT EXISTS (SELECT 1 FROM aggregate WHERE name = json_extract(value, '$.run') AND \
     (ended_at IS NULL OR ended_at >= $4))";
/// The same for a row that contains several runs.
const ALL_ENDED: &str = "NOT EXISTS (SELECT 1 FROM json_each(record.value) AS run JOIN aggregate ON name = run.value \
     WHERE ended_at IS NULL OR ended_at >= $4)";
