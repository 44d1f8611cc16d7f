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
use baton_core::run::DecisionMaker;
use baton_ports::keys::{AccessRefusal, AccessRole, AccessScope, ApiKeyRecord};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::human_agents;
use crate::auth::AuthenticatedKey;
use crate::problem::HttpProblem;
use crate::rate_limit;
use crate::state::AppState;

/// Somebody who was let in. Their place among those under way is given back with the last clone.
#[derive(Clone)]
pub(crate) struct Principal {
    key: Arc<AuthenticatedKey>,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Principal {
    pub fn tenant(&self) -> &TenantId {
        &self.key.tenant
    }

    /// Who it was, for journals, audit rows and rules about who may decide: the key's name, which people gave it.
    pub fn actor_name(&self) -> &str {
        &self.key.name
    }

    /// The role of its key.
    pub fn role(&self) -> AccessRole {
        self.key.role
    }

    /// Who decides with this key or token: its name and its role, and the roles and skills that the desk knows of somebody
    /// of this name.
    pub async fn decider(&self, door: &AppState) -> Result<DecisionMaker, HttpProblem> {
        let mut decider =
            door.routing_queues.decider(&*door.run_services()?.read, self.tenant(), self.actor_name()).await?;
        decider.roles.insert(self.key.role.word().to_owned());
        Ok(decider)
    }

    /// Refused where its role or its scopes do not let it do this.
    pub fn require(&self, need: AccessScope) -> Result<(), HttpProblem> {
        self.key.authorize(need).map_err(|barred| HttpProblem::forbidden(&self.key, need, barred))
    }

    /// Refused where this would let somebody do what the guest's own scopes do not name.
    pub fn require_scopes(&self, scopes: Option<&BTreeSet<AccessScope>>) -> Result<(), HttpProblem> {
        self.key
            .missing_scope(scopes)
            .map_or(Ok(()), |need| Err(HttpProblem::forbidden(&self.key, need, AccessRefusal::Scope)))
    }

    /// Its key, by its id.
    pub fn key_id(&self) -> &str {
        &self.key.id
    }
}

/// An answer to somebody who did what people do, and did not only look or begin work.
#[derive(Clone)]
struct HumanActivity;

/// Lets a request in, and says in its answer how often the tenant may ask.
pub(super) async fn authenticate(
    State(door): State<AppState>,
    headers: HeaderMap,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpProblem> {
    let key = door.authenticate(&headers).await?;
    let turn = door.check_rate(&key).await?;
    let place = door.request_permits.clone().try_acquire_owned().map_err(|_| HttpProblem::overloaded())?;
    let guest = Principal { key, _permit: Arc::new(place) };
    request.extensions_mut().insert(door.clone());
    request.extensions_mut().insert(guest.clone());
    let mut response = next.run(request).await;
    if response.status().is_success() && response.extensions().get::<HumanActivity>().is_some() {
        human_agents::record_activity(&door, &guest).await;
    }
    if let Some(standing) = turn {
        rate_limit::set_headers(response.headers_mut(), &standing);
    }
    Ok(response)
}

pub(super) async fn authorize(
    need: AccessScope,
    Extension(guest): Extension<Principal>,
    request: Request,
    next: Next,
) -> Result<Response, HttpProblem> {
    guest.require(need)?;
    let mut response = next.run(request).await;
    match need {
        AccessScope::Look | AccessScope::Run => {}
        AccessScope::Answer | AccessScope::Operate | AccessScope::Build | AccessScope::Administer => {
            drop(response.extensions_mut().insert(HumanActivity))
        }
    }
    Ok(response)
}

/// A key, to who brings it.
#[derive(Serialize, ToSchema)]
#[schema(as = Me)]
pub(super) struct CurrentKey {
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
#[utoipa::path(get, path = "/api/v1/me", tag = "keys", responses((status = 200, body = CurrentKey)))]
pub(super) async fn me(
    State(door): State<AppState>,
    Extension(guest): Extension<Principal>,
) -> Result<Json<CurrentKey>, HttpProblem> {
    let ApiKeyRecord { id, tenant, name, role, .. } = &**guest.key;
    let scripted = door.run_services()?.scripted;
    let (key_id, name, tenant) = (id.clone(), name.clone(), tenant.to_string());
    let scopes = guest.key.scope_words();
    Ok(Json(CurrentKey { key_id, name, role: role.word(), tenant, scopes, scripted }))
}
