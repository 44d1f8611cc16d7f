//! The registry port: versions of workflows and the bundles they pin.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::bundle::Hash;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::Error;
use baton_ports::registry::{Registry, Version};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Store;
use super::session::Session;
use super::sql::numbered;

/// Bytes of one bundle's text.
const BUNDLE_BYTES_MAX: usize = 64 << 20;

#[async_trait]
impl Registry for Store {
    async fn save(
        &self,
        tenant: &TenantId,
        workflow: &str,
        label: &str,
        bundle: Arc<[u8]>,
        hash: &Hash,
        now: Time,
    ) -> Result<Version, Error> {
        let (size, limit) = (bundle.len(), BUNDLE_BYTES_MAX);
        if size > limit {
            return Err(Error::TooLarge { what: "a bundle", size, limit });
        }
        // Bundles are shared by hash, so a wrong one would be everybody's.
        let found = Hash::of(&bundle);
        if found != *hash {
            let reason = format!("its bundle was to have the hash {} and has {}", hash.short(), found.short());
            return Err(Error::Corrupt { aggregate: workflow.into(), reason });
        }
        let save = Save {
            tenant: tenant.clone(),
            workflow: workflow.into(),
            label: label.into(),
            bundle,
            hash: hash.clone(),
            now,
        };
        self.write(size, move |session| save.perform(session).map(Ok)).await
    }

    async fn active(&self, tenant: &TenantId, workflow: &str) -> Result<Option<Version>, Error> {
        let (tenant, workflow) = (tenant.clone(), workflow.to_owned());
        self.read(move |connection| active(connection, &tenant, &workflow)).await
    }

    async fn workflows(&self, tenant: &TenantId) -> Result<Vec<Version>, Error> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            let mut all = connection.prepare_cached(&numbered(&format!(
                "SELECT {VERSION} FROM version WHERE tenant = $1 AND active = 1 ORDER BY workflow"
            )))?;
            all.query_map([tenant.as_str()], version)?.collect()
        })
        .await
    }

    async fn versions(&self, tenant: &TenantId, workflow: &str) -> Result<Vec<Version>, Error> {
        let (tenant, workflow) = (tenant.clone(), workflow.to_owned());
        self.read(move |connection| {
            let mut all = connection.prepare_cached(&numbered(&format!(
                "SELECT {VERSION} FROM version WHERE tenant = $1 AND workflow = $2 ORDER BY revision DESC"
            )))?;
            all.query_map([tenant.as_str(), &workflow], version)?.collect()
        })
        .await
    }

    async fn bundle(&self, hash: &Hash) -> Result<Option<Arc<[u8]>>, Error> {
        let hash = hash.clone();
        self.read(move |connection| {
            let mut one = connection.prepare_cached(&numbered("SELECT body FROM bundle WHERE hash = $1"))?;
            one.query_row([hash.as_str()], |row| Ok(row.get_ref(0)?.as_blob()?.into())).optional()
        })
        .await
    }
}

const VERSION: &str = "workflow, revision, label, bundle, active, created_at";

fn version(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        workflow: row.get(0)?,
        revision: row.get(1)?,
        label: row.get(2)?,
        bundle: super::codec::hash(row, 3)?,
        active: row.get(4)?,
        created_at: super::codec::time(row, 5)?,
    })
}

fn active(connection: &Connection, tenant: &TenantId, workflow: &str) -> rusqlite::Result<Option<Version>> {
    let mut one = connection.prepare_cached(&numbered(&format!(
        "SELECT {VERSION} FROM version WHERE tenant = $1 AND workflow = $2 AND active = 1"
    )))?;
    one.query_row([tenant.as_str(), workflow], version).optional()
}

/// A version to be kept.
struct Save {
    tenant: TenantId,
    workflow: String,
    label: String,
    bundle: Arc<[u8]>,
    hash: Hash,
    now: Time,
}

impl Save {
    fn perform(&self, session: &mut Session<'_>) -> rusqlite::Result<Version> {
        let before = active(session.connection, &self.tenant, &self.workflow)?;
        if let Some(unchanged) = before.filter(|version| version.bundle == self.hash) {
            return Ok(unchanged);
        }
        let names = [self.tenant.as_str(), &self.workflow];
        session
            .statement("INSERT OR IGNORE INTO bundle (hash, body) VALUES ($1, $2)")?
            .execute(params![self.hash.as_str(), &*self.bundle])?;
        session
            .statement("UPDATE version SET active = 0 WHERE tenant = $1 AND workflow = $2 AND active = 1")?
            .execute(names)?;
        let mut add = session.statement(&format!(
            "INSERT INTO version (tenant, workflow, revision, label, bundle, active, created_at) \
             SELECT $1, $2, 1 + coalesce(max(revision), 0), $3, $4, 1, $5 FROM version \
             WHERE tenant = $1 AND workflow = $2 RETURNING {VERSION}"
        ))?;
        let row = params![names[0], names[1], self.label, self.hash.as_str(), self.now.as_ms()];
        add.query_row(row, version)
    }
}
