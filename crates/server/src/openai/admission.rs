//! Authenticates and reads requests to the OpenAI-compatible endpoints.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use baton_engine::agent_registry::QuotaStatus;
use baton_ports::keys::AccessScope;
use tokio::sync::OwnedSemaphorePermit;

use super::error::OpenAiError;
use super::rate;
use super::request::ChatRequest;
use super::workflow::WorkflowTurn;
use crate::auth::AuthenticatedKey;
use crate::body;
use crate::body::body_budget::BodyShare;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// A request with its key, its rate limit quota and its request permit.
pub(super) struct AdmittedRequest {
    pub state: AppState,
    pub key: Arc<AuthenticatedKey>,
    pub headers: HeaderMap,
    pub turn: Option<QuotaStatus>,
    /// Released when the response is complete.
    pub permit: OwnedSemaphorePermit,
    /// The body's share of the memory budget. Released when the body's data is dropped.
    pub body_share: Option<Arc<BodyShare>>,
    pub body: Bytes,
}

impl AdmittedRequest {
    pub async fn of(state: AppState, request: Request) -> Result<Self, OpenAiError> {
        let (mut head, body) = request.into_parts();
        let share = head.extensions.remove();
        let headers = head.headers;
        let key = state.authenticate(&headers).await?;
        key.authorize(AccessScope::Run).map_err(|barred| OpenAiError::forbidden(&key, AccessScope::Run, barred))?;
        let turn = state.check_rate(&key).await?;
        let place = state.request_permits.clone().try_acquire_owned().map_err(|_| HttpProblem::overloaded())?;
        // Read only after authentication; otherwise unauthenticated connections could fill the memory.
        let body = body::read(body, state.limits)
            .await
            .map_err(|unread| OpenAiError::unreadable_body(&unread, state.limits))?;
        Ok(Self { state, key, headers, turn, permit: place, body_share: share, body })
    }

    /// Converts the request into a conversation turn with a workflow. Also returns the raw body and the rate limit
    /// quota.
    pub fn into_turn(self, asked: &Arc<ChatRequest>) -> (WorkflowTurn, Bytes, Option<QuotaStatus>) {
        let Self { state, key, headers, turn, permit: place, body_share: share, body } = self;
        (
            WorkflowTurn {
                state,
                key,
                request: asked.clone(),
                headers,
                permits: (place, share),
                started_run: OnceLock::new(),
            },
            body,
            turn,
        )
    }

    /// Sets the rate limit headers.
    pub fn set_rate_headers(&self, response: &mut Response) {
        if let Some(turn) = &self.turn {
            rate::set_headers(response.headers_mut(), turn);
        }
    }
}
