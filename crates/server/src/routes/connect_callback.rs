//! `/api/v1/composio/callback`, also without `/api/v1`: a browser that returns from connecting an account. It has
//! no API key; the state of the connection request authenticates it, once. Nothing that it sends is repeated in the
//! response.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::body;
use crate::problem::HttpProblem;
use crate::state::{AppState, ConnectOutcome, ServerLimits};

/// Maximum length of a state, in characters.
const STATE_MAX: usize = 200;
/// Maximum size of a submitted form, in bytes.
const FORM_BYTES_MAX: usize = 16 << 10;

pub(crate) async fn callback(
    State(app_state): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, HttpProblem> {
    let state = state_of(query.as_deref().unwrap_or_default());
    finish_connection(&app_state, state).await
}

/// The same for a form posted by a browser or a service. The state is in the address or in the body.
pub(crate) async fn callback_posted(
    State(app_state): State<AppState>,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, HttpProblem> {
    let mut state = state_of(query.as_deref().unwrap_or_default());
    if state.is_empty() {
        app_state.connect_callback.get().ok_or_else(HttpProblem::not_found)?;
        let _room = app_state.request_permits.try_acquire().map_err(|_| HttpProblem::overloaded())?;
        let limits = ServerLimits { body_bytes: FORM_BYTES_MAX, ..app_state.limits };
        let said = body::read(body, limits).await.map_err(|unread| HttpProblem::unreadable_body(&unread, limits))?;
        state = match serde_json::from_slice::<CallbackBody>(&said) {
            Ok(form) => form.state,
            Err(_) => state_of(std::str::from_utf8(&said).unwrap_or_default()),
        };
    }
    finish_connection(&app_state, state).await
}

/// The JSON body that a service may send. Other fields are ignored.
#[derive(Deserialize)]
struct CallbackBody {
    #[serde(default)]
    state: String,
}

/// The state in a query or a form. A state has only letters and digits, so it is never percent-encoded.
fn state_of(pairs: &str) -> String {
    pairs.split('&').find_map(|pair| pair.strip_prefix("state=")).unwrap_or_default().to_owned()
}

async fn finish_connection(app_state: &AppState, state: String) -> Result<Response, HttpProblem> {
    let returning = app_state.connect_callback.get().ok_or_else(HttpProblem::not_found)?;
    let _room = app_state.request_permits.try_acquire().map_err(|_| HttpProblem::overloaded())?;
    let is_one = !state.is_empty() && state.len() <= STATE_MAX;
    let returned = if is_one { returning(state).await } else { ConnectOutcome::Unknown };
    let (status, says) = match returned {
        ConnectOutcome::Connected => (StatusCode::OK, "The account is connected. You may close this window."),
        ConnectOutcome::Unfinished => (
            StatusCode::OK,
            "The account is not connected yet. If you did not finish, ask for a new address and sign in there; if you \
             did, it is looked at again within some minutes.",
        ),
        ConnectOutcome::Unknown => (
            StatusCode::GONE,
            "This address was used before, or is too old. If the account is not connected, ask for a new address.",
        ),
        ConnectOutcome::Unconfirmed => (
            StatusCode::BAD_GATEWAY,
            "Whether the account is connected cannot be said now; it is looked at again within some minutes.",
        ),
    };
    let headers =
        [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
    Ok((status, headers, format!("{says}\n")).into_response())
}
