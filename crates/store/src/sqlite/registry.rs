//! The registry port: versions of workflows and the bundles that they pin.

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::journal::JournalError;
use baton_ports::registry::{
    ChangeResult, NewVersion, VersionShare, WorkflowChange, WorkflowRegistry, WorkflowStatus, WorkflowVersion,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::json;

use super::SqliteStore;
use super::session::WriterSession;
use super::sql::numbered;

/// Maximum size of one bundle's text, in bytes.
const BUNDLE_BYTES_MAX: usize = 64 << 20;
/// Assumed size of any other change, in bytes.
const CHANGE_BYTES: usize = 1 << 10;

#[async_trait]
impl WorkflowRegistry for SqliteStore {
    async fn change(
        &self,
        tenant: &TenantId,
        workflow: &str,
        change: WorkflowChange,
        expected: Option<u64>,
        now: Time,
    ) -> Result<ChangeResult, JournalError> {
        let size = match &change {
            WorkflowChange::Add(new) => checked(workflow, new)?,
            WorkflowChange::Activate { .. } | WorkflowChange::Split(_) | WorkflowChange::Archive => CHANGE_BYTES,
        };
        let (tenant, workflow) = (tenant.clone(), workflow.to_owned());
        self.write(size, move |session| {
            let names = [tenant.as_str(), workflow.as_str()];
            RegistryChange { session, names, expected, now }.perform(&change).map(Ok)
        })
        .await
    }

    async fn workflow_status(&self, tenant: &TenantId, workflow: &str) -> Result<Option<WorkflowStatus>, JournalError> {
        let (tenant, workflow) = (tenant.clone(), workflow.to_owned());
        self.read(move |connection| {
            let names = [tenant.as_str(), workflow.as_str()];
            let Some(kept) = workflow_row(connection, names)? else { return Ok(None) };
            let active = one(connection, names, "active = 1")?;
            let mut split = Vec::with_capacity(kept.shares.len());
            for VersionShare { revision, percent } in kept.shares {
                split.extend(numbered_version(connection, names, revision)?.map(|version| (version, percent)));
            }
            Ok(Some(WorkflowStatus { changes: kept.changes, archived_at: kept.archived_at, active, split }))
        })
        .await
    }

    async fn workflows(&self, tenant: &TenantId) -> Result<Vec<WorkflowVersion>, JournalError> {
        let tenant = tenant.clone();
        self.read(move |connection| {
            let mut all = connection.prepare_cached(&numbered(&format!(
                "SELECT {VERSION} FROM version AS v WHERE tenant = $1 AND (active = 1 OR revision = \
                 (SELECT max(revision) FROM version AS n WHERE n.tenant = v.tenant AND n.workflow = v.workflow) \
                 AND NOT EXISTS \
                 (SELECT 1 FROM version AS a WHERE a.tenant = v.tenant AND a.workflow = v.workflow AND a.active = 1)) \
                 AND NOT EXISTS (SELECT 1 FROM workflow AS w WHERE w.tenant = v.tenant AND w.workflow = v.workflow \
                 AND w.archived_at IS NOT NULL) ORDER BY workflow"
            )))?;
            all.query_map([tenant.as_str()], version)?.collect()
        })
        .await
    }

    async fn versions(&self, tenant: &TenantId, workflow: &str) -> Result<Vec<WorkflowVersion>, JournalError> {
        let (tenant, workflow) = (tenant.clone(), workflow.to_owned());
        self.read(move |connection| {
            let mut all = connection.prepare_cached(&numbered(&format!(
                "SELECT {VERSION} FROM version WHERE tenant = $1 AND workflow = $2 ORDER BY revision DESC"
            )))?;
            all.query_map([tenant.as_str(), &workflow], version)?.collect()
        })
        .await
    }

    async fn bundle(&self, hash: &ContentHash) -> Result<Option<Arc<[u8]>>, JournalError> {
        let hash = hash.clone();
        self.read(move |connection| {
            let mut one = connection.prepare_cached(&numbered("SELECT body FROM bundle WHERE hash = $1"))?;
            one.query_row([hash.as_str()], |row| Ok(row.get_ref(0)?.as_blob()?.into())).optional()
        })
        .await
    }
}

/// Checks a bundle and returns its size.
fn checked(workflow: &str, new: &NewVersion) -> Result<usize, JournalError> {
    let (size, limit) = (new.bundle.len(), BUNDLE_BYTES_MAX);
    if size > limit {
        return Err(JournalError::TooLarge { what: "a bundle", size, limit });
    }
    // Bundles are shared by hash, so a wrong one would affect every tenant.
    let found = ContentHash::of(&new.bundle);
    if found != new.hash {
        let reason = format!("its bundle was to have the hash {} and has {}", new.hash.short(), found.short());
        return Err(JournalError::Corrupt { aggregate: workflow.into(), reason });
    }
    Ok(size)
}

const VERSION: &str = "workflow, revision, label, bundle, active, created_at, made_by, activated_at";

fn version(row: &Row<'_>) -> rusqlite::Result<WorkflowVersion> {
    let made_by: String = row.get(6)?;
    Ok(WorkflowVersion {
        workflow: row.get(0)?,
        revision: row.get(1)?,
        label: row.get(2)?,
        bundle: super::codec::hash(row, 3)?,
        active: row.get(4)?,
        created_at: super::codec::time(row, 5)?,
        made_by: (!made_by.is_empty()).then_some(made_by),
        activated_at: super::codec::maybe_time(row, 7)?,
    })
}

/// The first version that meets this condition.
fn one(connection: &Connection, names: [&str; 2], so: &str) -> rusqlite::Result<Option<WorkflowVersion>> {
    let mut one = connection.prepare_cached(&numbered(&format!(
        "SELECT {VERSION} FROM version WHERE tenant = $1 AND workflow = $2 AND {so} ORDER BY revision DESC LIMIT 1"
    )))?;
    one.query_row(names, version).optional()
}

fn numbered_version(
    connection: &Connection,
    names: [&str; 2],
    revision: u32,
) -> rusqlite::Result<Option<WorkflowVersion>> {
    let mut one = connection.prepare_cached(&numbered(&format!(
        "SELECT {VERSION} FROM version WHERE tenant = $1 AND workflow = $2 AND revision = $3"
    )))?;
    one.query_row(params![names[0], names[1], revision], version).optional()
}

/// The stored state of a workflow, apart from its versions.
struct WorkflowRow {
    changes: u64,
    archived_at: Option<Time>,
    shares: Vec<VersionShare>,
}

fn workflow_row(connection: &Connection, names: [&str; 2]) -> rusqlite::Result<Option<WorkflowRow>> {
    let mut one = connection.prepare_cached(&numbered(
        "SELECT changes, archived_at, shares FROM workflow WHERE tenant = $1 AND workflow = $2",
    ))?;
    one.query_row(names, |row| {
        let (archived_at, shares) = (super::codec::maybe_time(row, 1)?, super::codec::json(row, 2)?);
        Ok(WorkflowRow { changes: row.get(0)?, archived_at, shares })
    })
    .optional()
}

/// A requested change.
struct RegistryChange<'s, 'c> {
    session: &'s WriterSession<'c>,
    names: [&'s str; 2],
    expected: Option<u64>,
    now: Time,
}

impl RegistryChange<'_, '_> {
    fn perform(&self, change: &WorkflowChange) -> rusqlite::Result<ChangeResult> {
        let kept = workflow_row(self.session.connection, self.names)?;
        let changes = kept.as_ref().map_or(0, |kept| kept.changes);
        if self.expected.is_some_and(|expected| expected != changes) {
            return Ok(ChangeResult::Stale { changes });
        }
        let (version, shares, archived_at) = match change {
            WorkflowChange::Add(new) => match self.existing_version(new)? {
                Some(version) if version.active || !new.activate || new.made_by.is_none() => {
                    return Ok(ChangeResult::Done { version, changes });
                }
                Some(version) => (self.activate(version.revision)?, Vec::new(), None),
                None => {
                    let added = self.add_version(new)?;
                    let shares =
                        if new.activate { Vec::new() } else { kept.map(|kept| kept.shares).unwrap_or_default() };
                    (Some(added), shares, None)
                }
            },
            WorkflowChange::Activate { revision } => (self.activate(*revision)?, Vec::new(), None),
            WorkflowChange::Split(shares) => {
                for share in shares {
                    if numbered_version(self.session.connection, self.names, share.revision)?.is_none() {
                        return Ok(ChangeResult::Missing);
                    }
                }
                let archived_at = kept.and_then(|kept| kept.archived_at);
                (self.newest()?, shares.clone(), archived_at)
            }
            WorkflowChange::Archive => {
                self.deactivate()?;
                (self.newest()?, Vec::new(), Some(self.now))
            }
        };
        let Some(version) = version else { return Ok(ChangeResult::Missing) };
        let changes = changes + 1;
        let shares = json!(shares).to_string();
        let [tenant, workflow] = self.names;
        self.session
            .statement(
                "INSERT INTO workflow (tenant, workflow, changes, archived_at, shares) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (tenant, workflow) DO UPDATE SET changes = excluded.changes, \
                 archived_at = excluded.archived_at, shares = excluded.shares",
            )?
            .execute(params![tenant, workflow, changes, archived_at.map(Time::as_ms), shares])?;
        Ok(ChangeResult::Done { version, changes })
    }

    fn newest(&self) -> rusqlite::Result<Option<WorkflowVersion>> {
        one(self.session.connection, self.names, "TRUE")
    }

    /// The version that a new one would only repeat.
    fn existing_version(&self, new: &NewVersion) -> rusqlite::Result<Option<WorkflowVersion>> {
        let same = |version: &WorkflowVersion| version.bundle == new.hash;
        if let Some(active) = one(self.session.connection, self.names, "active = 1")?.filter(same) {
            return Ok(Some(active));
        }
        let way = if new.made_by.is_none() { "made_by = ''" } else { "made_by <> ''" };
        Ok(one(self.session.connection, self.names, way)?.filter(same))
    }

    fn add_version(&self, new: &NewVersion) -> rusqlite::Result<WorkflowVersion> {
        let [tenant, workflow] = self.names;
        self.session
            .statement("INSERT OR IGNORE INTO bundle (hash, body) VALUES ($1, $2)")?
            .execute(params![new.hash.as_str(), &*new.bundle])?;
        if new.activate {
            self.deactivate()?;
        }
        let activated_at = new.activate.then_some(self.now.as_ms());
        let made_by = new.made_by.as_deref().unwrap_or_default();
        let mut add = self.session.statement(&format!(
            "INSERT INTO version (tenant, workflow, revision, label, bundle, active, created_at, made_by, activated_at) \
             SELECT $1, $2, 1 + coalesce(max(revision), 0), $3, $4, $5, $6, $7, $8 FROM version \
             WHERE tenant = $1 AND workflow = $2 RETURNING {VERSION}"
        ))?;
        let (hash, now) = (new.hash.as_str(), self.now.as_ms());
        add.query_row(params![tenant, workflow, new.label, hash, new.activate, now, made_by, activated_at], version)
    }

    fn deactivate(&self) -> rusqlite::Result<()> {
        self.session
            .statement("UPDATE version SET active = 0 WHERE tenant = $1 AND workflow = $2 AND active = 1")?
            .execute(self.names)
            .map(drop)
    }

    /// An existing version, active from now on.
    fn activate(&self, revision: u32) -> rusqlite::Result<Option<WorkflowVersion>> {
        if numbered_version(self.session.connection, self.names, revision)?.is_none() {
            return Ok(None);
        }
        self.deactivate()?;
        let [tenant, workflow] = self.names;
        self.session
            .statement(&format!(
                "UPDATE version SET active = 1, activated_at = $4 \
                 WHERE tenant = $1 AND workflow = $2 AND revision = $3 RETURNING {VERSION}"
            ))?
            .query_row(params![tenant, workflow, revision, self.now.as_ms()], version)
            .optional()
    }
}
