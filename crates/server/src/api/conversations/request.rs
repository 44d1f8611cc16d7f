//! Actions on conversations. A command goes into the conversation's inbox once, and is answered when the
//! conversation is idle.

use std::time::Duration;

use axum::Json;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use baton_core::conversation::{ConversationCommand, InboundMessage, NewConversation, PinnedVersion};
use baton_core::id::RunId;
use baton_engine::{ConversationHandle, SubmitResult};
use tokio::time::{Instant, timeout};

use super::{active_version, conversation_json, find};
use crate::api::idempotency::{IdempotencyKey, RequestFingerprint};
use crate::api::principal::Principal;
use crate::api::wait_preference::WaitPreference;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// The command ids for the start of a conversation and for its first message.
const START: &str = "start";
const FIRST: &str = "first";
/// Minimum time to wait for the start of a conversation, even if the caller does not wait for a result: an
/// acknowledged conversation must accept messages.
const START_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct ConversationRequest<'a> {
    state: &'a AppState,
    services: &'a RunServices,
    principal: Principal,
    conversation: ConversationHandle,
    idempotency: Option<IdempotencyKey>,
    wait: WaitPreference,
    started_at: Instant,
    fallback_id: String,
}

impl<'a> ConversationRequest<'a> {
    /// A request on an existing conversation.
    pub async fn load(
        state: &'a AppState,
        principal: Principal,
        id: &str,
        headers: &HeaderMap,
        asked: RequestFingerprint<'_>,
    ) -> Result<Self, HttpProblem> {
        let (wait, once) = (WaitPreference::of(headers)?, IdempotencyKey::of(state, &principal, headers, asked).await?);
        let handle = find(state.run_services()?, &principal, id).await?;
        Self::of(state, principal, handle, once, wait)
    }

    /// A request that starts a conversation, or finds the one that an earlier request under the same key started.
    pub async fn new(
        state: &'a AppState,
        principal: Principal,
        headers: &HeaderMap,
        asked: RequestFingerprint<'_>,
    ) -> Result<Self, HttpProblem> {
        let (wait, mut once) =
            (WaitPreference::of(headers)?, IdempotencyKey::of(state, &principal, headers, asked).await?);
        let services = state.run_services()?;
        let mut id = RunId::new(uuid::Uuid::now_v7().to_string());
        if let Some(once) = &mut once {
            if once.previous_run.is_none() {
                once.record(state, &principal, &id).await?;
            }
            // A concurrent request with the same key uses the same conversation.
            id = once.previous_run.clone().unwrap_or(id);
        }
        let handle = ConversationHandle::new(&services.engine, services.read.clone(), principal.tenant().clone(), id);
        Self::of(state, principal, handle, once, wait)
    }

    fn of(
        state: &'a AppState,
        principal: Principal,
        handle: ConversationHandle,
        once: Option<IdempotencyKey>,
        wait: WaitPreference,
    ) -> Result<Self, HttpProblem> {
        let fresh = once.as_ref().map_or_else(|| uuid::Uuid::now_v7().to_string(), IdempotencyKey::command_id);
        Ok(Self {
            state,
            services: state.run_services()?,
            principal,
            conversation: handle,
            idempotency: once,
            wait,
            started_at: Instant::now(),
            fallback_id: fresh,
        })
    }

    pub fn id(&self) -> &RunId {
        self.conversation.id()
    }

    pub fn guest(&self) -> &Principal {
        &self.principal
    }

    pub fn actor_name(&self) -> String {
        self.principal.actor_name().to_owned()
    }

    /// The command id in the inbox: derived from the idempotency key, or a new one.
    pub fn command_id(&self) -> String {
        self.fallback_id.clone()
    }

    /// The version on which the next run starts: the active version of the workflow, or else the conversation's
    /// last one.
    pub async fn version(&self) -> Result<PinnedVersion, HttpProblem> {
        let head = self.services.read.conversation(self.principal.tenant(), self.conversation.id()).await?;
        let workflow = head.map(|head| head.workflow).unwrap_or_default();
        if let Some(version) = active_version(self.services, &self.principal, &workflow).await? {
            return Ok(version);
        }
        let mut handle = find(self.services, &self.principal, self.conversation.id().as_str()).await?;
        handle.catch_up().await?;
        let last = handle.conversation().version().cloned();
        match last {
            Some(version) => Ok(version),
            None => Err(super::workflow_not_found(self.services, &self.principal, &workflow).await),
        }
    }

    pub async fn begin(
        mut self,
        begun: NewConversation,
        first: Option<InboundMessage>,
    ) -> Result<Response, HttpProblem> {
        let limit = self.wait.limit;
        self.deliver(START, &ConversationCommand::Begin(Box::new(begun)), limit.max(START_TIMEOUT)).await?;
        if let Some(first) = first {
            let left = limit.saturating_sub(self.started_at.elapsed());
            self.deliver(FIRST, &ConversationCommand::Message(first), left).await?;
        }
        self.respond().await
    }

    /// Submits the command under the request's own id.
    pub async fn submit(self, command: &ConversationCommand) -> Result<Response, HttpProblem> {
        let id = self.command_id();
        self.submit_as(&id, command).await
    }

    pub async fn submit_as(mut self, command_id: &str, command: &ConversationCommand) -> Result<Response, HttpProblem> {
        if let Some(once) = &mut self.idempotency {
            let id = self.conversation.id().clone();
            once.record(self.state, &self.principal, &id).await?;
        }
        let limit = self.wait.limit;
        self.deliver(command_id, command, limit).await?;
        self.respond().await
    }

    async fn deliver(
        &mut self,
        command_id: &str,
        command: &ConversationCommand,
        limit: Duration,
    ) -> Result<(), HttpProblem> {
        match self.conversation.submit(command_id, command, limit).await? {
            SubmitResult::Applied | SubmitResult::Duplicate | SubmitResult::Accepted => Ok(()),
            SubmitResult::Refused { code, message } => {
                let status = match code {
                    "CONV-002" => StatusCode::NOT_FOUND,
                    "CONV-006" | "CONV-008" => StatusCode::UNPROCESSABLE_ENTITY,
                    _ => StatusCode::CONFLICT,
                };
                let problem = HttpProblem::new(status, code, message);
                if let Some(once) = &self.idempotency {
                    once.record_refusal(self.state, &self.principal, self.conversation.id(), &problem).await?;
                }
                Err(problem)
            }
        }
    }

    /// Responds with the conversation's state when it is idle, or when the caller's wait limit is reached.
    async fn respond(mut self) -> Result<Response, HttpProblem> {
        let left = self.wait.limit.saturating_sub(self.started_at.elapsed());
        let rests = tokio::select! {
            rested = timeout(left, self.conversation.wait_idle()) => match rested {
                Ok(rested) => {
                    rested?;
                    true
                }
                Err(_elapsed) => false,
            },
            () = self.state.shutdown_requested() => false,
        };
        self.conversation.catch_up().await?;
        let status = if rests { StatusCode::OK } else { StatusCode::ACCEPTED };
        let mut response = (status, Json(conversation_json(&self.conversation))).into_response();
        if let Ok(address) = HeaderValue::try_from(format!("/api/v1/conversations/{}", self.conversation.id())) {
            response.headers_mut().insert(LOCATION, address);
        }
        let mut response = self.wait.set_header(response);
        if let Some(once) = &self.idempotency {
            once.set_headers(&mut response);
        }
        Ok(response)
    }
}
