//! People who come back from connecting an account. Composio sends their browsers to our door with the state that their
//! request was given: it tells which connection it was, is good once, and no longer than a person may take.
//!
//! Nothing else of what a browser brings is believed: Composio is asked how the account stands.

use baton_core::bundle::ContentHash;
use baton_core::id::TenantId;
use baton_core::time::Time;
use baton_ports::records::{OPS_MAX, RecordError, RecordOp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::connect::{CONNECTING_MAX, ConnectLink};
use super::connections::AppConnection;
use super::entity::ComposioEntity;
use super::{ComposioSource, ConnectionError};

const SPACE: &str = "composio.returns";
/// The door, below the address that browsers reach.
pub const CALLBACK_PATH: [&str; 4] = ["api", "v1", "composio", "callback"];

/// A request to connect, as it is kept under the hash of its state.
#[derive(Serialize, Deserialize)]
struct PendingConnection {
    app: String,
    entity: String,
    account: String,
    until: Time,
}

impl ComposioSource {
    /// Whether people who connect accounts come back to us.
    pub fn has_callback(&self) -> bool {
        self.callback_base.is_some()
    }

    /// Begins to connect an account as [`Self::connect`] does; whoever finishes comes back to our door with `state`, which
    /// nobody can guess.
    pub async fn connect_with_callback(
        &self,
        tenant: &TenantId,
        app: &str,
        entity: ComposioEntity,
        state: &str,
    ) -> Result<ConnectLink, ConnectionError> {
        let base = self.callback_base.as_ref();
        let base = base.ok_or_else(|| "`callback_base` is not set under `[tools.composio]`".to_owned());
        let door =
            base.and_then(|base| base.join(&CALLBACK_PATH)).map_err(|reason| ConnectionError::Rejected { reason })?;
        let link = self.connect(tenant, app, entity, Some(&format!("{door}?state={state}"))).await?;
        let now = self.clock.now();
        let awaited = PendingConnection {
            app: link.connection.app.clone(),
            entity: link.connection.entity.to_string(),
            account: link.account().to_owned(),
            until: now + CONNECTING_MAX,
        };
        let value = serde_json::to_value(awaited).unwrap_or_default();
        let mut ops = self.expired_deletions(tenant, now).await?;
        ops.push(RecordOp::Insert { space: SPACE.to_owned(), key: key(state), value });
        self.records.commit(tenant, ops, now).await?;
        Ok(link)
    }

    /// A browser comes with a state: the connection that it stands for, as Composio says it is now. Nothing where the state
    /// is not known, was used, or is too old.
    pub async fn complete_callback(
        &self,
        tenant: &TenantId,
        state: &str,
    ) -> Result<Option<AppConnection>, ConnectionError> {
        let (key, now) = (key(state), self.clock.now());
        let Some(record) = self.records.get(tenant, SPACE, &key).await? else { return Ok(None) };
        let space = SPACE.to_owned();
        let unchanged = RecordOp::Expect { space: space.clone(), key: key.clone(), version: Some(record.version) };
        match self.records.commit(tenant, vec![unchanged, RecordOp::Delete { space, key }], now).await {
            Ok(()) => {}
            // Of two that bring the same state one is first.
            Err(RecordError::Conflict { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let awaited = read(record.value).filter(|awaited| now < awaited.until);
        let Some((awaited, entity)) =
            awaited.and_then(|awaited| ComposioEntity::parse(&awaited.entity).map(|e| (awaited, e)))
        else {
            return Ok(None);
        };
        let found = self.connections(tenant).find(&awaited.app, &entity).await?;
        let is_meant = |connection: &AppConnection| {
            connection.account == awaited.account
                || connection.next.as_ref().is_some_and(|next| next.account == awaited.account)
        };
        let Some(mut connection) = found.filter(is_meant) else { return Ok(None) };
        self.refresh_connection(tenant, &mut connection).await?;
        Ok(Some(connection))
    }

    /// What deletes requests that nobody came back from in time.
    async fn expired_deletions(&self, tenant: &TenantId, now: Time) -> Result<Vec<RecordOp>, ConnectionError> {
        let kept = self.records.list(tenant, SPACE, "", None, OPS_MAX - 1).await?;
        let is_over = |value: Value| read(value).is_none_or(|awaited| awaited.until <= now);
        let over = kept.into_iter().filter_map(|record| is_over(record.value).then_some(record.key));
        Ok(over.map(|key| RecordOp::Delete { space: SPACE.to_owned(), key }).collect())
    }
}

/// The state itself is kept nowhere.
fn key(state: &str) -> String {
    ContentHash::of(state.as_bytes()).as_str().to_owned()
}

fn read(value: Value) -> Option<PendingConnection> {
    serde_json::from_value(value).ok()
}
