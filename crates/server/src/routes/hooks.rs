//! `POST /hooks/{tenant}/{trigger}`, and `/hooks/{trigger}` for this server's own tenant: a request of another service. It
//! has no key of ours; its signature lets it in.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_core::id::TenantId;
use baton_engine::triggers::hook::{BODY_BYTES_MAX, Rejected};

use crate::api::{Path, accepted};
use crate::body;
use crate::code;
use crate::door::{Door, Limits};
use crate::problem::Problem;

pub(crate) async fn own(
    State(door): State<Door>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let tenant = door.work()?.tenant.clone();
    receive(&door, &tenant, &name, &headers, body).await
}

pub(crate) async fn of_tenant(
    State(door): State<Door>,
    Path((tenant, name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    // What is no tenant's name has no hooks either, and is told the same.
    let tenant = TenantId::parse(&tenant).unwrap_or_else(|_| TenantId::from("-"));
    receive(&door, &tenant, &name, &headers, body).await
}

async fn receive(
    door: &Door,
    tenant: &TenantId,
    name: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let work = door.work()?;
    let _room = door.room.try_acquire().map_err(|_| Problem::overloaded())?;
    let limits = Limits { body_bytes: door.limits.body_bytes.min(BODY_BYTES_MAX), ..door.limits };
    let body = body::read(body, limits).await.map_err(|unread| Problem::unread(&unread, limits))?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match work.triggers().receive(tenant, name, header, &body, door.clock.now()).await {
        Ok(run) => Ok(accepted(&run)),
        Err(rejected @ Rejected::NotSigned) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, code::SIGNATURE_INVALID, rejected.to_string())
                .hint("compare the address, the secret, the form of the signature and the clock with the webhook's"))
        }
        Err(rejected @ Rejected::Disabled(_)) => {
            Err(Problem::new(StatusCode::FORBIDDEN, code::TENANT_DISABLED, rejected.to_string()))
        }
        Err(Rejected::NoJson(error)) => Err(Problem::unfit(&error)),
        Err(Rejected::Begins(error)) => Err(error.into()),
    }
}
