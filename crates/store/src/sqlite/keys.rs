//! The keys port: API keys by their hash.

use std::collections::BTreeSet;

use async_trait::async_trait;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::JournalError;
use baton_ports::keys::{AccessRole, AccessScope, ApiKeyRecord, ApiKeyStore, KeyHash, PAGE_MAX};
use rusqlite::{OptionalExtension, Row, params};

use super::session::WriterSession;
use super::sql::numbered;
use super::{SqliteStore, codec};

/// Approximate size of one key's row, in bytes.
const ROW_BYTES: usize = 256;
const COLUMNS: &str = "id, tenant, name, role, created_at, expires_at, revoked_at, per_minute, scopes";

#[async_trait]
impl ApiKeyStore for SqliteStore {
    async fn add(&self, key: &ApiKeyRecord, hash: &KeyHash) -> Result<(), JournalError> {
        let (key, hash) = (key.clone(), *hash);
        self.write(ROW_BYTES, move |session| insert(session, &key, &hash, "").map(|_| Ok(()))).await
    }

    async fn add_first(&self, key: &ApiKeyRecord, hash: &KeyHash) -> Result<bool, JournalError> {
        let (key, hash) = (key.clone(), *hash);
        let alone = "WHERE NOT EXISTS (SELECT 1 FROM api_key)";
        self.write(ROW_BYTES, move |session| insert(session, &key, &hash, alone).map(|rows| Ok(rows == 1))).await
    }

    async fn find(&self, hash: &KeyHash) -> Result<Option<ApiKeyRecord>, JournalError> {
        let hash = *hash;
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM api_key WHERE hash = $1");
            connection.prepare_cached(&numbered(&sql))?.query_row([&hash[..]], key).optional()
        })
        .await
    }

    async fn list(
        &self,
        tenant: &TenantId,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ApiKeyRecord>, JournalError> {
        let (tenant, before, limit) = (tenant.clone(), before.map(str::to_owned), limit.min(PAGE_MAX));
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM api_key WHERE tenant = $1 AND ($2 IS NULL OR (created_at, id) < \
                 (SELECT created_at, id FROM api_key WHERE tenant = $1 AND id = $2)) \
                 ORDER BY created_at DESC, id DESC LIMIT $3"
            );
            let mut page = connection.prepare_cached(&numbered(&sql))?;
            page.query_map(params![tenant.as_str(), before, limit], key)?.collect()
        })
        .await
    }

    async fn rotate(&self, old: &str, until: Time, new: &ApiKeyRecord, hash: &KeyHash) -> Result<bool, JournalError> {
        let (old, new, hash) = (old.to_owned(), new.clone(), *hash);
        self.write(ROW_BYTES, move |session| {
            let sql = "UPDATE api_key SET expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END \
                       WHERE id = $1 AND tenant = $2 \
                       AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $4)";
            let row = params![old, new.tenant.as_str(), until.as_ms(), new.created_at.as_ms()];
            if session.statement(sql)?.execute(row)? == 0 {
                return Ok(Ok(false));
            }
            insert(session, &new, &hash, "").map(|_| Ok(true))
        })
        .await
    }

    async fn revoke(&self, tenant: &TenantId, id: &str, now: Time) -> Result<bool, JournalError> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.write(ROW_BYTES, move |session| {
            let sql = "UPDATE api_key SET revoked_at = $3 WHERE id = $1 AND tenant = $2 AND revoked_at IS NULL";
            let rows = session.statement(sql)?.execute(params![id, tenant.as_str(), now.as_ms()])?;
            Ok(Ok(rows == 1))
        })
        .await
    }
}

fn insert(
    session: &mut WriterSession<'_>,
    key: &ApiKeyRecord,
    hash: &KeyHash,
    condition: &str,
) -> rusqlite::Result<usize> {
    let sql = format!(
        "INSERT INTO api_key (id, hash, tenant, name, role, created_at, expires_at, revoked_at, per_minute, \
         scopes) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 {condition}"
    );
    session.statement(&sql)?.execute(params![
        key.id,
        &hash[..],
        key.tenant.as_str(),
        key.name,
        key.role.word(),
        key.created_at.as_ms(),
        key.expires_at.map(Time::as_ms),
        key.revoked_at.map(Time::as_ms),
        key.per_minute,
        key.scope_words().map(|words| words.join(" ")),
    ])
}

fn key(row: &Row<'_>) -> rusqlite::Result<ApiKeyRecord> {
    Ok(ApiKeyRecord {
        id: row.get(0)?,
        tenant: row.get::<_, String>(1)?.into(),
        name: row.get(2)?,
        role: role(&row.get::<_, String>(3)?),
        created_at: codec::time(row, 4)?,
        expires_at: row.get::<_, Option<i64>>(5)?.map(Time::from_ms),
        revoked_at: row.get::<_, Option<i64>>(6)?.map(Time::from_ms),
        per_minute: row.get(7)?,
        scopes: row.get::<_, Option<String>>(8)?.map(|words| scopes(&words)),
    })
}

/// A scope that this version does not know grants nothing.
fn scopes(words: &str) -> BTreeSet<AccessScope> {
    words.split(' ').filter_map(AccessScope::parse).collect()
}

/// A role that this version does not know gets the least permissions.
fn role(word: &str) -> AccessRole {
    AccessRole::parse(word).unwrap_or(AccessRole::HumanAgent)
}
