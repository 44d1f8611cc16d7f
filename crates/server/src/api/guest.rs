//! Who asks, let in: with a good key, in turn, and while there is room.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use baton_core::id::TenantId;
use baton_core::run::Decider;
use baton_ports::keys::{Barred, Key, Need, Role};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::people;
use crate::auth::Bearer;
use crate::door::Door;
use crate::problem::Problem;
use crate::rate;

/// Somebody who was let in. Their place among those under way is given back with the last clone.
#[derive(Clone)]
pub(crate) struct Guest {
    key: Arc<Bearer>,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Guest {
    pub fn tenant(&self) -> &TenantId {
        &self.key.tenant
    }

    /// Who it was, for journals, audit rows and rules about who may decide: the key's name, which people gave it.
    pub fn by(&self) -> &str {
        &self.key.name
    }

    /// The role of its key.
    pub fn role(&self) -> Role {
        self.key.role
    }

    /// Who decides with this key or token: its name and its role, and the roles and skills that the desk knows of somebody
    /// of this name.
    pub async fn decider(&self, door: &Door) -> Result<Decider, Problem> {
        let mut decider = door.desks.decider(&*door.work()?.read, self.tenant(), self.by()).await?;
        decider.roles.insert(self.key.role.word().to_owned());
        Ok(decider)
    }

    /// Refused where its role or its scopes do not let it do this.
    pub fn must(&self, need: Need) -> Result<(), Problem> {
        self.key.may(need).map_err(|barred| Problem::barred(&self.key, need, barred))
    }

    /// Refused where this would let somebody do what the guest's own scopes do not name.
    pub fn must_have(&self, scopes: Option<&BTreeSet<Need>>) -> Result<(), Problem> {
        self.key.lacks(scopes).map_or(Ok(()), |need| Err(Problem::barred(&self.key, need, Barred::Scope)))
    }

    /// Its key, by its id.
    pub fn key_id(&self) -> &str {
        &self.key.id
    }
}

/// An answer to somebody who did what people do, and did not only look or begin work.
#[derive(Clone)]
struct Acted;

/// Lets a request in, and says in its answer how often the tenant may ask.
pub(super) async fn enter(
    State(door): State<Door>,
    headers: HeaderMap,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = door.bearer(&headers).await?;
    let turn = door.turn(&key).await?;
    let place = door.room.clone().try_acquire_owned().map_err(|_| Problem::overloaded())?;
    let guest = Guest { key, _place: Arc::new(place) };
    request.extensions_mut().insert(door.clone());
    request.extensions_mut().insert(guest.clone());
    let mut response = next.run(request).await;
    if response.status().is_success() && response.extensions().get::<Acted>().is_some() {
        people::hear(&door, &guest).await;
    }
    if let Some(standing) = turn {
        rate::say(response.headers_mut(), &standing);
    }
    Ok(response)
}

pub(super) async fn may(
    need: Need,
    Extension(guest): Extension<Guest>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    guest.must(need)?;
    let mut response = next.run(request).await;
    match need {
        Need::Look | Need::Run => {}
        Need::Answer | Need::Operate | Need::Build | Need::Administer => drop(response.extensions_mut().insert(Acted)),
    }
    Ok(response)
}

/// A key, to who brings it.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    key_id: String,
    name: String,
    /// `admin`, `builder`, `operator`, `human_agent` or `service`.
    role: &'static str,
    tenant: String,
    /// What of all that its role may it may: `read`, `run`, `answer`, `build`, `operate`, `administer`; nothing: all of it.
    scopes: Option<Vec<&'static str>>,
    /// Replies of models come from files.
    scripted: bool,
}

/// Who am I?
#[utoipa::path(get, path = "/api/v1/me", tag = "keys", responses((status = 200, body = Me)))]
pub(super) async fn me(State(door): State<Door>, Extension(guest): Extension<Guest>) -> Result<Json<Me>, Problem> {
    let Key { id, tenant, name, role, .. } = &**guest.key;
    let scripted = door.work()?.scripted;
    let (key_id, name, tenant) = (id.clone(), name.clone(), tenant.to_string());
    let scopes = guest.key.scope_words();
    Ok(Json(Me { key_id, name, role: role.word(), tenant, scopes, scripted }))
}
