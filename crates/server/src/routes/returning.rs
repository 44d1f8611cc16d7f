//! `/api/v1/composio/callback`: a person's browser, back from connecting an account. It has no key of ours; the state that
//! the request was given is what lets it in, once. Nothing that it brings is repeated in the answer.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::{IntoResponse, Response};

use crate::door::{Door, Returned};
use crate::problem::Problem;

/// Characters that a state may have.
const STATE_MAX: usize = 200;

pub(crate) async fn callback(State(door): State<Door>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let returning = door.returning.get().ok_or_else(Problem::nothing_here)?;
    let _room = door.room.try_acquire().map_err(|_| Problem::overloaded())?;
    let query = query.unwrap_or_default();
    let state = query.split('&').find_map(|pair| pair.strip_prefix("state=")).unwrap_or_default();
    let is_one = !state.is_empty() && state.len() <= STATE_MAX;
    let returned = if is_one { returning(state.to_owned()).await } else { Returned::Unknown };
    let (status, says) = match returned {
        Returned::Connected => (StatusCode::OK, "The account is connected. You may close this window."),
        Returned::Unfinished => (
            StatusCode::OK,
            "The account is not connected yet. If you did not finish, ask for a new address and sign in there; if you \
             did, it is looked at again within some minutes.",
        ),
        Returned::Unknown => (
            StatusCode::GONE,
            "This address was used before, or is too old. If the account is not connected, ask for a new address.",
        ),
        Returned::Unclear => (
            StatusCode::BAD_GATEWAY,
            "Whether the account is connected cannot be said now; it is looked at again within some minutes.",
        ),
    };
    let headers =
        [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")];
    Ok((status, headers, format!("{says}\n")).into_response())
}
