//! The authenticated caller of a request, within its rate limit and the server's request limit.

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

/// The authenticated caller of one request. Its request permit is released when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Principal {
    key: Arc<AuthenticatedKey>,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Principal {
    pub fn tenant(&self) -> &TenantId {
        &self.key.tenant
    }

    /// The name of the actor for journals, audit rows and approval rules: the name that people gave to the key.
    pub fn actor_name(&self) -> &str {
        &self.key.name
    }

    /// The role of its key.
    pub fn role(&self) -> AccessRole {
        self.key.role
    }

    /// The decision maker of this request: the name and role of its key or token, and the roles and skills of the
    /// human agent with the same name.
    pub async fn decider(&self, state: &AppState) -> Result<DecisionMaker, HttpProblem> {
        let mut decider =
            state.routing_queues.decider(&*state.run_services()?.read, self.tenant(), self.actor_name()).await?;
        decider.roles.insert(self.key.role.word().to_owned());
        Ok(decider)
    }

    /// Checks that the role and scopes of the principal include this scope.
    pub fn require(&self, need: AccessScope) -> Result<(), HttpProblem> {
        self.key.authorize(need).map_err(|barred| HttpProblem::forbidden(&self.key, need, barred))
    }

    /// Refuses scopes that the principal does not have itself, so that it cannot grant them.
    pub fn require_scopes(&self, scopes: Option<&BTreeSet<AccessScope>>) -> Result<(), HttpProblem> {
        self.key
            .missing_scope(scopes)
            .map_or(Ok(()), |need| Err(HttpProblem::forbidden(&self.key, need, AccessRefusal::Scope)))
    }

    /// The id of its key.
    pub fn key_id(&self) -> &str {
        &self.key.id
    }
}

/// Marks a response to an action that only a person takes, as opposed to reading or starting a run.
#[derive(Clone)]
struct HumanActivity;

/// Authenticates a request, and sets the tenant's rate limit headers on the response.
pub(super) async fn authenticate(
    State(state): State<AppState>,
    headers: HeaderMap,
    mut request: Request,
    next: Next,
) -> Result<Response, HttpProblem> {
    let key = state.authenticate(&headers).await?;
    let turn = state.check_rate(&key).await?;
    let place = state.request_permits.clone().try_acquire_owned().map_err(|_| HttpProblem::overloaded())?;
    let principal = Principal { key, _permit: Arc::new(place) };
    request.extensions_mut().insert(state.clone());
    request.extensions_mut().insert(principal.clone());
    let mut response = next.run(request).await;
    if response.status().is_success() && response.extensions().get::<HumanActivity>().is_some() {
        human_agents::record_activity(&state, &principal).await;
    }
    if let Some(standing) = turn {
        rate_limit::set_headers(response.headers_mut(), &standing);
    }
    Ok(response)
}

pub(super) async fn authorize(
    need: AccessScope,
    Extension(principal): Extension<Principal>,
    request: Request,
    next: Next,
) -> Result<Response, HttpProblem> {
    principal.require(need)?;
    let mut response = next.run(request).await;
    match need {
        AccessScope::Look | AccessScope::Run => {}
        AccessScope::Answer | AccessScope::Operate | AccessScope::Build | AccessScope::Administer => {
            response.extensions_mut().insert(HumanActivity);
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
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<CurrentKey>, HttpProblem> {
    let ApiKeyRecord { id, tenant, name, role, .. } = &**principal.key;
    let scripted = state.run_services()?.scripted;
    let (key_id, name, tenant) = (id.clone(), name.clone(), tenant.to_string());
    let scopes = principal.key.scope_words();
    Ok(Json(CurrentKey { key_id, name, role: role.word(), tenant, scopes, scripted }))
}
