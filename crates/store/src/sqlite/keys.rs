//! The keys port: API keys by their hash.

use async_trait::async_trait;
use baton_ports::journal::Error;
use baton_ports::keys::{Hash, Key, Keys, Role};
use rusqlite::{OptionalExtension, Row, params};

use super::session::Session;
use super::sql::numbered;
use super::{Store, codec};

/// Bytes one key's row takes, about.
const ROW_BYTES: usize = 256;

#[async_trait]
impl Keys for Store {
    async fn add(&self, key: &Key, hash: &Hash) -> Result<(), Error> {
        let (key, hash) = (key.clone(), *hash);
        self.write(ROW_BYTES, move |session| insert(session, &key, &hash, "").map(|_| Ok(()))).await
    }

    async fn add_first(&self, key: &Key, hash: &Hash) -> Result<bool, Error> {
        let (key, hash) = (key.clone(), *hash);
        let alone = "WHERE NOT EXISTS (SELECT 1 FROM api_key)";
        self.write(ROW_BYTES, move |session| insert(session, &key, &hash, alone).map(|rows| Ok(rows == 1))).await
    }

    async fn find(&self, hash: &Hash) -> Result<Option<Key>, Error> {
        let hash = *hash;
        self.read(move |connection| {
            let mut one = connection.prepare_cached(&numbered(
                "SELECT id, tenant, name, role, created_at, expires_at, revoked_at FROM api_key WHERE hash = $1",
            ))?;
            one.query_row([&hash[..]], key).optional()
        })
        .await
    }
}

fn insert(session: &mut Session<'_>, key: &Key, hash: &Hash, condition: &str) -> rusqlite::Result<usize> {
    let sql = format!(
        "INSERT INTO api_key (id, hash, tenant, name, role, created_at, expires_at, revoked_at) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8 {condition}"
    );
    session.statement(&sql)?.execute(params![
        key.id,
        &hash[..],
        key.tenant.as_str(),
        key.name,
        word(key.role),
        key.created_at.as_ms(),
        key.expires_at.map(baton_core::time::Time::as_ms),
        key.revoked_at.map(baton_core::time::Time::as_ms),
    ])
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key {
        id: row.get(0)?,
        tenant: row.get::<_, String>(1)?.into(),
        name: row.get(2)?,
        role: role(&row.get::<_, String>(3)?),
        created_at: codec::time(row, 4)?,
        expires_at: row.get::<_, Option<i64>>(5)?.map(baton_core::time::Time::from_ms),
        revoked_at: row.get::<_, Option<i64>>(6)?.map(baton_core::time::Time::from_ms),
    })
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Service => "service",
    }
}

/// A role that is not known here may do the least.
fn role(word: &str) -> Role {
    if word == "admin" { Role::Admin } else { Role::Service }
}
