//! `POST /hooks/{tenant}/{trigger}`, and `/hooks/{trigger}` for this server's own tenant: a webhook from another
//! service. It has no API key; its signature authenticates it.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_core::id::TenantId;
use baton_engine::triggers::webhook::{BODY_BYTES_MAX, WebhookError};

use crate::api::{PathParams, accepted};
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, ServerLimits};

pub(crate) async fn receive_own(
    State(state): State<AppState>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let tenant = state.run_services()?.tenant.clone();
    receive(&state, &tenant, &name, &headers, body).await
}

pub(crate) async fn receive_for_tenant(
    State(state): State<AppState>,
    PathParams((tenant, name)): PathParams<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    // An invalid tenant name gets the same response as a tenant without webhooks.
    let tenant = TenantId::parse(&tenant).unwrap_or_else(|_| TenantId::from("-"));
    receive(&state, &tenant, &name, &headers, body).await
}

async fn receive(
    state: &AppState,
    tenant: &TenantId,
    name: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let services = state.run_services()?;
    let _room = state.request_permits.try_acquire().map_err(|_| HttpProblem::overloaded())?;
    let limits = ServerLimits { body_bytes: state.limits.body_bytes.min(BODY_BYTES_MAX), ..state.limits };
    let body = body::read(body, limits).await.map_err(|unread| HttpProblem::unreadable_body(&unread, limits))?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match services.triggers().receive(tenant, name, header, &body, state.clock.now()).await {
        Ok(run) => Ok(accepted(&run)),
        Err(rejected @ WebhookError::NotSigned) => {
            Err(HttpProblem::new(StatusCode::UNAUTHORIZED, code::SIGNATURE_INVALID, rejected.to_string()).with_hint(
                "compare the address, the secret, the form of the signature and the clock with the webhook's",
            ))
        }
        Err(rejected @ WebhookError::Disabled(_)) => {
            Err(HttpProblem::new(StatusCode::FORBIDDEN, code::TENANT_DISABLED, rejected.to_string()))
        }
        Err(WebhookError::InvalidJson(error)) => Err(HttpProblem::invalid_json(&error)),
        Err(WebhookError::Trigger(error)) => Err(error.into()),
    }
}
