//! Connecting accounts, looking after them, and disconnecting them.

use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::Serialize;

use super::account::ConnectionStatus;
use super::connections::{AppConnection, ConnectionChange, ConnectionStore, PendingAccount};
use super::entity::ComposioEntity;
use super::{ComposioSource, ConfiguredApp, ConnectionError};

/// How long a person may take to connect an account in place of one that performs.
pub(super) const CONNECTING_MAX: Duration = Duration::from_secs(60 * 60);

/// Where a person goes to connect an account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConnectLink {
    pub redirect_url: String,
    /// When the address is good no longer, as Composio writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    pub connection: AppConnection,
}

impl ConnectLink {
    /// The account that the address is for: where another performs, the one that is to take its place.
    pub(super) fn account(&self) -> &str {
        self.connection.next.as_ref().map_or(&self.connection.account, |next| &next.account)
    }
}

impl ComposioSource {
    /// Begins to connect an account: whoever opens the address finishes it. `callback` is where they are sent then.
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
            // What performs goes on performing until a person has finished.
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

    /// What is kept of the tenant's connections. Nobody is asked.
    pub async fn stored_connections(&self, tenant: &TenantId) -> Result<Vec<AppConnection>, ConnectionError> {
        Ok(self.connections(tenant).all().await?)
    }

    /// Asks how each of the tenant's connections stands, and keeps it. One that only a person can mend is put on the desk;
    /// one that works again leaves it. To be called now and then.
    ///
    /// # Errors
    /// The first connection that cannot be asked about.
    pub async fn check_connections(&self, tenant: &TenantId) -> Result<Vec<AppConnection>, ConnectionError> {
        let mut all = self.connections(tenant).all().await?;
        for connection in &mut all {
            match self.refresh_connection(tenant, connection).await {
                Ok(()) => {}
                // One account that cannot be asked for keeps no other from being looked after.
                Err(ConnectionError::Rejected { reason } | ConnectionError::Unavailable { reason }) => {
                    connection.reason = Some(reason)
                }
                Err(fault @ ConnectionError::Storage { .. }) => return Err(fault),
            }
        }
        Ok(all)
    }

    /// Asks how one connection stands, and keeps it.
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

    /// Keeps how an account stands; where another account has its place by now, that one is what is known from here on.
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

    /// Looks whether a person has finished connecting the next account, which then takes the place of the one before.
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
                // Nobody finished: what performs stays.
                _ => AppConnection { next: None, ..kept },
            }),
            Some(_) | None => ConnectionChange::Unchanged,
        };
        self.apply_change(tenant, connection, now, decided).await
    }

    /// Looks at the accounts that people began to connect in place of others. One that cannot be asked for stays as it is.
    pub(super) async fn check_pending_accounts(&self, tenant: &TenantId) -> Result<(), ConnectionError> {
        for mut connection in self.connections(tenant).all().await? {
            match self.check_pending_account(tenant, &mut connection).await {
                Ok(()) | Err(ConnectionError::Rejected { .. } | ConnectionError::Unavailable { .. }) => {}
                Err(fault @ ConnectionError::Storage { .. }) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Has Composio delete the accounts whose place was taken. What fails is tried at the next look.
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

    /// Revokes an account at Composio and forgets it. Nothing where there is none.
    pub async fn disconnect(
        &self,
        tenant: &TenantId,
        app: &str,
        entity: ComposioEntity,
    ) -> Result<Option<AppConnection>, ConnectionError> {
        let Some(connection) = self.connections(tenant).find(app, &entity).await? else { return Ok(None) };
        // First there: forgotten here, nobody could revoke it.
        let next = connection.next.iter().map(|next| &next.account);
        for account in next.chain([&connection.account]).chain(&connection.former) {
            self.api.disconnect(account).await?;
        }
        // One that was connected since then stays: nobody asked to revoke it.
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

    /// Whether Composio answers and knows the key.
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

    /// The one way to connect accounts of a toolkit, made where there is none.
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
