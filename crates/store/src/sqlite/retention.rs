//! Forgetting what is old, a bounded piece at a time, so that nobody who writes waits long.

use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::JournalError;
use rusqlite::params;

use super::SqliteStore;
use super::sql::numbered;

/// Rows looked at in one piece.
pub const PIECE: usize = 500;

/// What is not kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionClass {
    /// Messages that were written down and not sent.
    Outbox,
    /// Keys of effects and what they came to, of runs that have ended: nobody sends one of them again.
    Effects,
    /// To which account such keys went.
    SentTo,
    /// What contacts at a service were before such keys changed them.
    ContactsBefore,
    /// What was asked of runs under a key of the asker's.
    AskedOnce,
    /// What was told to subscribers, or could not be.
    Told,
    Untold,
    /// Links by which people decided, or could have: they are good for a month at the most.
    Links,
    /// Which runs a conversation at the OpenAI-compatible endpoint went to: whoever speaks there later begins another run.
    ChatTurns,
    /// Why a model was chosen, and what it cost.
    Decisions,
}

/// What became of one piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiryResult {
    pub rows: u64,
    /// Behind this the next piece begins; none where all was looked at.
    pub next: Option<String>,
}

impl SqliteStore {
    /// Forgets a tenant's rows from before an instant, of those behind `after` at most [`PIECE`].
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

    /// Keys are looked through by a reader, page by page, and only those that are old reach the writer, which looks again.
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
/// One whose run goes on, or ended a short while ago, may be sent again.
const ENDED: &str = "NOT EXISTS (SELECT 1 FROM aggregate WHERE name = json_extract(value, '$.run') AND \
     (ended_at IS NULL OR ended_at >= $4))";
/// Likewise of a row that holds several runs.
const ALL_ENDED: &str = "NOT EXISTS (SELECT 1 FROM json_each(record.value) AS run JOIN aggregate ON name = run.value \
     WHERE ended_at IS NULL OR ended_at >= $4)";
