//! The response for an execution that has ended or is still running.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION};
use axum::response::{IntoResponse, Response};
use baton_core::id::RunId;
use baton_core::run::{self as runs, Run};
use baton_engine::RunFollower;
use serde_json::Value;

pub(in crate::api) struct ExecutionResponse {
    id: RunId,
    has_ended: bool,
    body: Value,
}

impl ExecutionResponse {
    /// The run as far as it was followed.
    pub fn of(follower: &RunFollower, id: &RunId) -> Self {
        let not_begun = Run::default();
        let run = follower.run(id).unwrap_or(&not_begun);
        Self::with_body(run, id, runs::response(run, &follower.open_waits()))
    }

    /// A response with a body built by the caller.
    pub fn with_body(run: &Run, id: &RunId, mut body: Value) -> Self {
        // A run that has not started does not know its own id.
        body["execution_id"] = id.as_str().into();
        Self { id: id.clone(), has_ended: run.state().is_end(), body }
    }
}

impl IntoResponse for ExecutionResponse {
    fn into_response(self) -> Response {
        let status = if self.has_ended { StatusCode::OK } else { StatusCode::ACCEPTED };
        let mut response = (status, Json(self.body)).into_response();
        let address = HeaderValue::try_from(format!("/api/v1/executions/{}", self.id));
        if let (false, Ok(address)) = (self.has_ended, address) {
            response.headers_mut().insert(LOCATION, address);
        }
        response
    }
}
