//! Connecting accounts, looking after them, and disconnecting them.

use std::time::Duration;

use baton_core::id::TenantId;
use baton_core::time::Time;
use serde::Serialize;

use super::account::State;
use super::connections::{Change, Connection, Connections, Next};
use super::entity::Entity;
use super::{App, Composio, Fault};

/// How long a person may take to connect an account in place of one that performs.
pub(super) const CONNECTING_MAX: Duration = Duration::from_secs(60 * 60);

/// Where a person goes to connect an account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    pub redirect_url: String,
    /// When the address is good no longer, as Composio writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    pub connection: Connection,
}

impl Link {
    /// The account that the address is for: where another performs, the one that is to take its place.
    pub(super) fn account(&self) -> &str {
        self.connection.next.as_ref().map_or(&self.connection.account, |next| &next.account)
    }
}

impl Composio {
    /// Begins to connect an account: whoever opens the address finishes it. `callback` is where they are sent then.
    pub async fn connect(
        &self,
        tenant: &TenantId,
        app: &str,
        entity: Entity,
        callback: Option<&str>,
    ) -> Result<Link, Fault> {
        let app = self.chosen(app)?;
        let entity = entity.checked().map_err(|reason| Fault::Refused { reason })?;
        let auth_config = self.auth_config(app).await?;
        let session = self.api.link(&auth_config, &entity.at_composio(tenant), callback).await?;
        let (now, account) = (self.clock.now(), session.connected_account_id);
        let begun = |before: Option<Connection>| match before {
            // What performs goes on performing until a person has finished.
            Some(active) if matches!(active.state, State::Active | State::Unknown) && active.account != account => {
                Change::Keep(Connection { next: Some(Next { account: account.clone(), begun_at: now }), ..active })
            }
            before => Change::Keep(Connection {
                app: app.slug.clone(),
                entity: entity.clone(),
                account: account.clone(),
                state: State::Initiated,
                reason: None,
                connected_at: now,
                checked_at: now,
                next: None,
                former: before.map(|before| before.former).unwrap_or_default(),
            }),
        };
        let kept = self.connections(tenant).change(&app.slug, &entity, now, begun).await?;
        let gone = || Fault::Storage { reason: "the connection is not there any more; connect it again".to_owned() };
        let connection = kept.ok_or_else(gone)?;
        Ok(Link { redirect_url: session.redirect_url, expires_at: session.expires_at, connection })
    }

    /// What is kept of the tenant's connections. Nobody is asked.
    pub async fn kept_connections(&self, tenant: &TenantId) -> Result<Vec<Connection>, Fault> {
        Ok(self.connections(tenant).all().await?)
    }

    /// Asks how each of the tenant's connections stands, and keeps it. One that only a person can mend is put on the desk;
    /// one that works again leaves it. To be called now and then.
    ///
    /// # Errors
    /// The first connection that cannot be asked about.
    pub async fn check_connections(&self, tenant: &TenantId) -> Result<Vec<Connection>, Fault> {
        let mut all = self.connections(tenant).all().await?;
        for connection in &mut all {
            match self.look_after(tenant, connection).await {
                Ok(()) => {}
                // One account that cannot be asked for keeps no other from being looked after.
                Err(Fault::Refused { reason } | Fault::Unavailable { reason }) => connection.reason = Some(reason),
                Err(fault @ Fault::Storage { .. }) => return Err(fault),
            }
        }
        Ok(all)
    }

    /// Asks how one connection stands, and keeps it.
    pub(super) async fn look_after(&self, tenant: &TenantId, connection: &mut Connection) -> Result<(), Fault> {
        self.look_at_next(tenant, connection).await?;
        let account = self.api.account(&connection.account).await?;
        self.stands(tenant, connection, account.state(), account.status_reason).await?;
        if connection.state.needs_a_person() {
            self.ask_to_reconnect(tenant, connection).await.map_err(|reason| Fault::Storage { reason })?;
        } else if connection.state == State::Active {
            self.reconnected(tenant, connection).await.map_err(|reason| Fault::Storage { reason })?;
        }
        self.delete_former(tenant, connection).await
    }

    /// Keeps how an account stands; where another account has its place by now, that one is what is known from here on.
    pub(super) async fn stands(
        &self,
        tenant: &TenantId,
        connection: &mut Connection,
        state: State,
        reason: Option<String>,
    ) -> Result<(), Fault> {
        let (now, asked) = (self.clock.now(), connection.account.clone());
        let stands = |kept: Option<Connection>| match kept {
            Some(kept) if kept.account == asked => {
                Change::Keep(Connection { state, reason: reason.clone(), checked_at: now, ..kept })
            }
            Some(_) | None => Change::Leave,
        };
        self.changed(tenant, connection, now, stands).await
    }

    /// Looks whether a person has finished connecting the next account, which then takes the place of the one before.
    pub(super) async fn look_at_next(&self, tenant: &TenantId, connection: &mut Connection) -> Result<(), Fault> {
        let Some(next) = connection.next.clone() else { return Ok(()) };
        let now = self.clock.now();
        let state = match self.api.account(&next.account).await.map_err(Fault::from) {
            Ok(account) => account.state(),
            Err(fault) if next.begun_at + CONNECTING_MAX > now => return Err(fault),
            Err(_) => State::Failed,
        };
        let is_over = state.needs_a_person() || next.begun_at + CONNECTING_MAX <= now;
        if state != State::Active && !is_over {
            return Ok(());
        }
        let decided = |kept: Option<Connection>| match kept {
            Some(kept) if kept.next.as_ref() == Some(&next) => Change::Keep(match state {
                State::Active => kept.succeeded(now),
                // Nobody finished: what performs stays.
                _ => Connection { next: None, ..kept },
            }),
            Some(_) | None => Change::Leave,
        };
        self.changed(tenant, connection, now, decided).await
    }

    /// Looks at the accounts that people began to connect in place of others. One that cannot be asked for stays as it is.
    pub(super) async fn finish_connecting(&self, tenant: &TenantId) -> Result<(), Fault> {
        for mut connection in self.connections(tenant).all().await? {
            match self.look_at_next(tenant, &mut connection).await {
                Ok(()) | Err(Fault::Refused { .. } | Fault::Unavailable { .. }) => {}
                Err(fault @ Fault::Storage { .. }) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Has Composio delete the accounts whose place was taken. What fails is tried at the next look.
    async fn delete_former(&self, tenant: &TenantId, connection: &mut Connection) -> Result<(), Fault> {
        for account in connection.former.clone() {
            if self.api.disconnect(&account).await.is_err() {
                continue;
            }
            let deleted = |kept: Option<Connection>| match kept {
                Some(mut kept) => {
                    kept.former.retain(|former| *former != account);
                    Change::Keep(kept)
                }
                None => Change::Leave,
            };
            self.changed(tenant, connection, self.clock.now(), deleted).await?;
        }
        Ok(())
    }

    async fn changed(
        &self,
        tenant: &TenantId,
        connection: &mut Connection,
        now: Time,
        change: impl Fn(Option<Connection>) -> Change,
    ) -> Result<(), Fault> {
        let kept = self.connections(tenant).change(&connection.app, &connection.entity, now, change).await?;
        let gone = || format!("{} has disconnected `{}` meanwhile", connection.entity, connection.app);
        *connection = kept.ok_or_else(|| Fault::Refused { reason: gone() })?;
        Ok(())
    }

    /// Revokes an account at Composio and forgets it. Nothing where there is none.
    pub async fn disconnect(&self, tenant: &TenantId, app: &str, entity: Entity) -> Result<Option<Connection>, Fault> {
        let Some(connection) = self.connections(tenant).find(app, &entity).await? else { return Ok(None) };
        // First there: forgotten here, nobody could revoke it.
        let next = connection.next.iter().map(|next| &next.account);
        for account in next.chain([&connection.account]).chain(&connection.former) {
            self.api.disconnect(account).await?;
        }
        // One that was connected since then stays: nobody asked to revoke it.
        let forgets = |kept: Option<Connection>| match kept {
            Some(kept) if kept.account != connection.account => Change::Leave,
            Some(Connection { next: Some(next), .. }) if connection.next.as_ref() != Some(&next) => {
                Change::Keep(Connection {
                    account: next.account,
                    state: State::Initiated,
                    connected_at: next.begun_at,
                    next: None,
                    former: Vec::new(),
                    ..connection.clone()
                })
            }
            Some(_) | None => Change::Forget,
        };
        self.connections(tenant).change(app, &entity, self.clock.now(), forgets).await?;
        self.closed(tenant, &connection, "disconnected").await.map_err(|reason| Fault::Storage { reason })?;
        Ok(Some(connection))
    }

    /// Whether Composio answers and knows the key.
    pub async fn greet(&self) -> Result<(), Fault> {
        Ok(self.api.greet().await?)
    }

    pub(super) fn connections<'s>(&'s self, tenant: &'s TenantId) -> Connections<'s> {
        Connections { records: &*self.records, tenant }
    }

    pub(super) fn chosen(&self, app: &str) -> Result<&App, Fault> {
        self.apps.get(app).ok_or_else(|| {
            let known: Vec<&str> = self.toolkits().collect();
            let reason = format!("`{app}` is not among `tools.composio.toolkits`; there are {}", known.join(", "));
            Fault::Refused { reason }
        })
    }

    /// The one way to connect accounts of a toolkit, made where there is none.
    async fn auth_config(&self, app: &App) -> Result<String, Fault> {
        if let Some(id) = &app.auth_config {
            return Ok(id.clone());
        }
        let mut usable = self.api.auth_configs(&app.slug).await?;
        usable.retain(|config| config.status.as_deref() != Some("DISABLED"));
        match usable.as_slice() {
            [] => Ok(self.api.manage_auth(&app.slug).await?.id),
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
                Err(Fault::Refused { reason })
            }
        }
    }
}
