//! The browser callback after an account was connected. Composio redirects the browser to this server's endpoint with
//! the state of the request. The state identifies the connection, can be used once, and expires.
//!
//! Nothing else in the browser's request is trusted: Composio is asked for the status of the account.

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
/// The path of the endpoint, below the public base URL.
pub const CALLBACK_PATH: [&str; 4] = ["api", "v1", "composio", "callback"];

/// A pending request to connect, stored under the hash of its state.
#[derive(Serialize, Deserialize)]
struct PendingConnection {
    app: String,
    entity: String,
    account: String,
    until: Time,
}

impl ComposioSource {
    /// Returns whether browsers are redirected back to this server after connecting.
    pub fn has_callback(&self) -> bool {
        self.callback_base.is_some()
    }

    /// Begins to connect an account as [`Self::connect`] does. The browser is redirected to this server's endpoint
    /// with `state`, which cannot be guessed.
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

    /// Completes a callback with this state. Returns the connection with its current status at Composio, or `None` if
    /// the state is unknown, used or expired.
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
            // Of two requests with the same state, only the first succeeds.
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

    /// Returns the operations that delete expired pending requests.
    async fn expired_deletions(&self, tenant: &TenantId, now: Time) -> Result<Vec<RecordOp>, ConnectionError> {
        let kept = self.records.list(tenant, SPACE, "", None, OPS_MAX - 1).await?;
        let is_over = |value: Value| read(value).is_none_or(|awaited| awaited.until <= now);
        let over = kept.into_iter().filter_map(|record| is_over(record.value).then_some(record.key));
        Ok(over.map(|key| RecordOp::Delete { space: SPACE.to_owned(), key }).collect())
    }
}

/// The state itself is never stored.
fn key(state: &str) -> String {
    ContentHash::of(state.as_bytes()).as_str().to_owned()
}

fn read(value: Value) -> Option<PendingConnection> {
    serde_json::from_value(value).ok()
}
