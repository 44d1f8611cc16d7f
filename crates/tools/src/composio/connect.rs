//! Connects, checks and disconnects accounts.

use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::Serialize;

use super::account::ConnectionStatus;
use super::connections::{AppConnection, ConnectionChange, ConnectionStore, PendingAccount};
use super::entity::ComposioEntity;
use super::{ComposioSource, ConfiguredApp, ConnectionError};

/// How long a person may take to connect an account that replaces an active one.
pub(super) const CONNECTING_MAX: Duration = Duration::from_secs(60 * 60);

/// The link at which a person connects an account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectLink {
    pub redirect_url: String,
    /// When the link expires, as Composio writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    pub connection: AppConnection,
}

impl ConnectLink {
    /// The account that the link is for. If another account is active, this is the one that will replace it.
    pub(super) fn account(&self) -> &str {
        self.connection.next.as_ref().map_or(&self.connection.account, |next| &next.account)
    }
}

impl ComposioSource {
    /// Begins to connect an account. A person opens the link to finish. `callback` is where the browser is redirected
    /// afterwards.
    pub async fn connect(
        &self,
        tenant: &TenantId,
        app: &str,
        entity: ComposioEntity,
        callback: Option<&str>,
    ) -> Result<ConnectLink, ConnectionError> {
        let app = self.configured_app(app)?;
        let entity = entity.validated().map_err(|reason| ConnectionError::Rejected { reason })?;
        let auth_config = self.auth_config(app).await?;
        let session = self.api.link(&auth_config, &entity.composio_user_id(tenant), callback).await?;
        let (now, account) = (self.clock.now(), session.connected_account_id);
        let begun = |before: Option<AppConnection>| match before {
            // The active account keeps performing actions until a person has finished.
            Some(active)
                if matches!(active.state, ConnectionStatus::Active | ConnectionStatus::Unknown)
                    && active.account != account =>
            {
                ConnectionChange::Keep(AppConnection {
                    next: Some(PendingAccount { account: account.clone(), begun_at: now }),
                    ..active
                })
            }
            before => ConnectionChange::Keep(AppConnection {
                app: app.slug.clone(),
                entity: entity.clone(),
                account: account.clone(),
                state: ConnectionStatus::Initiated,
                reason: None,
                connected_at: now,
                checked_at: now,
                next: None,
                former: before.map(|before| before.former).unwrap_or_default(),
            }),
        };
        let kept = self.connections(tenant).change(&app.slug, &entity, now, begun).await?;
        let gone =
            || ConnectionError::Storage { reason: "the connection is not there any more; connect it again".to_owned() };
        let connection = kept.ok_or_else(gone)?;
        Ok(ConnectLink { redirect_url: session.redirect_url, expires_at: session.expires_at, connection })
    }

    /// Returns the tenant's stored connections, without asking Composio.
    pub async fn stored_connections(&self, tenant: &TenantId) -> Result<Vec<AppConnection>, ConnectionError> {
        Ok(self.connections(tenant).all().await?)
    }

    /// Asks Composio for the status of each of the tenant's connections and stores it. A connection that only a
    /// person can repair becomes an item in the task inbox; one that works again is removed from it. To be called
    /// periodically.
    ///
    /// # Errors
    /// The first connection whose status cannot be read.
    pub async fn check_connections(&self, tenant: &TenantId) -> Result<Vec<AppConnection>, ConnectionError> {
        let mut all = self.connections(tenant).all().await?;
        for connection in &mut all {
            match self.refresh_connection(tenant, connection).await {
                Ok(()) => {}
                // An account whose status cannot be read does not stop the check of the others.
                Err(ConnectionError::Rejected { reason } | ConnectionError::Unavailable { reason }) => {
                    connection.reason = Some(reason)
                }
                Err(fault @ ConnectionError::Storage { .. }) => return Err(fault),
            }
        }
        Ok(all)
    }

    /// Asks Composio for the status of one connection and stores it.
    pub(super) async fn refresh_connection(
        &self,
        tenant: &TenantId,
        connection: &mut AppConnection,
    ) -> Result<(), ConnectionError> {
        self.check_pending_account(tenant, connection).await?;
        let account = self.api.account(&connection.account).await?;
        self.record_status(tenant, connection, account.state(), account.status_reason).await?;
        if connection.state.needs_reconnect() {
            self.open_reconnect_task(tenant, connection).await.map_err(|reason| ConnectionError::Storage { reason })?;
        } else if connection.state == ConnectionStatus::Active {
            self.complete_reconnect_task(tenant, connection)
                .await
                .map_err(|reason| ConnectionError::Storage { reason })?;
        }
        self.delete_former(tenant, connection).await
    }

    /// Stores the status of an account. If another account has replaced it meanwhile, returns the current one
    /// instead.
    pub(super) async fn record_status(
        &self,
        tenant: &TenantId,
        connection: &mut AppConnection,
        state: ConnectionStatus,
        reason: Option<String>,
    ) -> Result<(), ConnectionError> {
        let (now, asked) = (self.clock.now(), connection.account.clone());
        let stands = |kept: Option<AppConnection>| match kept {
            Some(kept) if kept.account == asked => {
                ConnectionChange::Keep(AppConnection { state, reason: reason.clone(), checked_at: now, ..kept })
            }
            Some(_) | None => ConnectionChange::Unchanged,
        };
        self.apply_change(tenant, connection, now, stands).await
    }

    /// Checks whether a person has finished connecting the next account, which then replaces the current one.
    pub(super) async fn check_pending_account(
        &self,
        tenant: &TenantId,
        connection: &mut AppConnection,
    ) -> Result<(), ConnectionError> {
        let Some(next) = connection.next.clone() else { return Ok(()) };
        let now = self.clock.now();
        let state = match self.api.account(&next.account).await.map_err(ConnectionError::from) {
            Ok(account) => account.state(),
            Err(fault) if next.begun_at + CONNECTING_MAX > now => return Err(fault),
            Err(_) => ConnectionStatus::Failed,
        };
        let is_over = state.needs_reconnect() || next.begun_at + CONNECTING_MAX <= now;
        if state != ConnectionStatus::Active && !is_over {
            return Ok(());
        }
        let decided = |kept: Option<AppConnection>| match kept {
            Some(kept) if kept.next.as_ref() == Some(&next) => ConnectionChange::Keep(match state {
                ConnectionStatus::Active => kept.promote_pending(now),
                // Not finished: the active account stays.
                _ => AppConnection { next: None, ..kept },
            }),
            Some(_) | None => ConnectionChange::Unchanged,
        };
        self.apply_change(tenant, connection, now, decided).await
    }

    /// Checks the accounts that are being connected to replace others. One whose status cannot be read stays as it
    /// is.
    pub(super) async fn check_pending_accounts(&self, tenant: &TenantId) -> Result<(), ConnectionError> {
        for mut connection in self.connections(tenant).all().await? {
            match self.check_pending_account(tenant, &mut connection).await {
                Ok(()) | Err(ConnectionError::Rejected { .. } | ConnectionError::Unavailable { .. }) => {}
                Err(fault @ ConnectionError::Storage { .. }) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Deletes replaced accounts at Composio. Failed deletions are retried at the next check.
    async fn delete_former(&self, tenant: &TenantId, connection: &mut AppConnection) -> Result<(), ConnectionError> {
        for account in connection.former.clone() {
            if self.api.disconnect(&account).await.is_err() {
                continue;
            }
            let deleted = |kept: Option<AppConnection>| match kept {
                Some(mut kept) => {
                    kept.former.retain(|former| *former != account);
                    ConnectionChange::Keep(kept)
                }
                None => ConnectionChange::Unchanged,
            };
            self.apply_change(tenant, connection, self.clock.now(), deleted).await?;
        }
        Ok(())
    }

    async fn apply_change(
        &self,
        tenant: &TenantId,
        connection: &mut AppConnection,
        now: Time,
        change: impl Fn(Option<AppConnection>) -> ConnectionChange,
    ) -> Result<(), ConnectionError> {
        let kept = self.connections(tenant).change(&connection.app, &connection.entity, now, change).await?;
        let gone = || format!("{} has disconnected `{}` meanwhile", connection.entity, connection.app);
        *connection = kept.ok_or_else(|| ConnectionError::Rejected { reason: gone() })?;
        Ok(())
    }

    /// Revokes an account at Composio and deletes its record. Returns `None` if there is none.
    pub async fn disconnect(
        &self,
        tenant: &TenantId,
        app: &str,
        entity: ComposioEntity,
    ) -> Result<Option<AppConnection>, ConnectionError> {
        let Some(connection) = self.connections(tenant).find(app, &entity).await? else { return Ok(None) };
        // Revoke at Composio first: without the record, nobody could revoke it.
        let next = connection.next.iter().map(|next| &next.account);
        for account in next.chain([&connection.account]).chain(&connection.former) {
            self.api.disconnect(account).await?;
        }
        // An account that was connected meanwhile stays: nobody asked to revoke it.
        let forgets = |kept: Option<AppConnection>| match kept {
            Some(kept) if kept.account != connection.account => ConnectionChange::Unchanged,
            Some(AppConnection { next: Some(next), .. }) if connection.next.as_ref() != Some(&next) => {
                ConnectionChange::Keep(AppConnection {
                    account: next.account,
                    state: ConnectionStatus::Initiated,
                    connected_at: next.begun_at,
                    next: None,
                    former: Vec::new(),
                    ..connection.clone()
                })
            }
            Some(_) | None => ConnectionChange::Delete,
        };
        self.connections(tenant).change(app, &entity, self.clock.now(), forgets).await?;
        self.close_reconnect_task(tenant, &connection, "disconnected")
            .await
            .map_err(|reason| ConnectionError::Storage { reason })?;
        Ok(Some(connection))
    }

    /// Checks that Composio responds and accepts the API key.
    pub async fn ping(&self) -> Result<(), ConnectionError> {
        Ok(self.api.ping().await?)
    }

    pub(super) fn connections<'s>(&'s self, tenant: &'s TenantId) -> ConnectionStore<'s> {
        ConnectionStore { records: &*self.records, tenant }
    }

    pub(super) fn configured_app(&self, app: &str) -> Result<&ConfiguredApp, ConnectionError> {
        self.apps.get(app).ok_or_else(|| {
            let known: Vec<&str> = self.toolkits().collect();
            let reason = format!("`{app}` is not among `tools.composio.toolkits`; there are {}", known.join(", "));
            ConnectionError::Rejected { reason }
        })
    }

    /// Returns the only auth config of a toolkit, and creates it if there is none.
    async fn auth_config(&self, app: &ConfiguredApp) -> Result<String, ConnectionError> {
        if let Some(id) = &app.auth_config {
            return Ok(id.clone());
        }
        let mut usable = self.api.auth_configs(&app.slug).await?;
        usable.retain(|config| config.status.as_deref() != Some("DISABLED"));
        match usable.as_slice() {
            [] => Ok(self.api.create_managed_auth(&app.slug).await?.id),
            [one] => Ok(one.id.clone()),
            many => {
                let ids: Vec<&str> = many.iter().map(|config| config.id.as_str()).collect();
                let reason = format!(
                    "`{0}` can be connected in {1} ways ({2}); say which with `auth_config_id` under \
                     `[tools.composio.app.{0}]`",
                    app.slug,
                    many.len(),
                    ids.join(", ")
                );
                Err(ConnectionError::Rejected { reason })
            }
        }
    }
}
