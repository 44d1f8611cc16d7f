//! Commands to runs. A command goes into the run's inbox once, and is answered when the run has applied it and is
//! idle.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use baton_core::id::RunId;
use baton_core::run::{
    DecisionMaker, DoubtResolution, EffectId, HumanDecision, HumanTask, IncomingCommand, MESSAGE, NodeAddress, Run,
    Signal,
};
use baton_engine::{DeliveryResult, RunFollower};
use baton_ports::keys::AccessScope;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::find_head;
use super::response::ExecutionResponse;
use crate::api::extractors::PathParams;
use crate::api::idempotency::{IdempotencyKey, RequestFingerprint};
use crate::api::principal::Principal;
use crate::api::schemas::{ExecutionSchema, ProblemSchema};
use crate::api::wait_preference::WaitPreference;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// A request to act on a run.
pub(in crate::api) struct RunCommandRequest<'a> {
    state: &'a AppState,
    services: &'a RunServices,
    principal: Principal,
    run: RunId,
    idempotency: Option<IdempotencyKey>,
    wait: WaitPreference,
}

impl<'a> RunCommandRequest<'a> {
    /// A request on an existing run.
    pub async fn load(
        state: &'a AppState,
        principal: Principal,
        id: &str,
        headers: &HeaderMap,
        asked: RequestFingerprint<'_>,
    ) -> Result<Self, HttpProblem> {
        let services = state.run_services()?;
        let wait_preference = WaitPreference::of(headers)?;
        let once = IdempotencyKey::of(state, &principal, headers, asked).await?;
        let run = find_head(services, &principal, id).await?.run;
        Ok(Self { state, services, principal, run, idempotency: once, wait: wait_preference })
    }

    pub fn actor_name(&self) -> String {
        self.principal.actor_name().to_owned()
    }

    /// The decision maker of this request.
    pub async fn decider(&self) -> Result<DecisionMaker, HttpProblem> {
        self.principal.decider(self.state).await
    }

    /// Responds with the run once it is idle, for a request that was made before.
    pub async fn respond_current(self) -> Result<Response, HttpProblem> {
        let follower = self.follower().await?;
        let limit = self.wait.limit;
        self.respond(follower, limit).await
    }

    /// Submits the command to the run's inbox, and follows the run until it is idle.
    pub async fn submit(mut self, incoming: &IncomingCommand) -> Result<Response, HttpProblem> {
        let began = Instant::now();
        let command = match &mut self.idempotency {
            Some(once) => {
                once.record(self.state, &self.principal, &self.run).await?;
                once.command_id()
            }
            None => uuid::Uuid::now_v7().to_string(),
        };
        let mut follower = self.follower().await?;
        let delivered = follower.deliver_as(&command, &self.run, incoming, self.wait.limit).await?;
        let left = self.wait.limit.saturating_sub(began.elapsed());
        match delivered {
            DeliveryResult::Applied => self.respond(follower, left).await,
            DeliveryResult::Accepted if self.idempotency.as_ref().is_some_and(|once| once.previous_run.is_some()) => {
                self.respond(follower, left).await
            }
            // The process that owns the run will apply the command at a time unknown here, so the response does not
            // wait for it.
            DeliveryResult::Accepted => self.respond(follower, Duration::ZERO).await,
            DeliveryResult::Refused(refusal) => {
                let problem = HttpProblem::from_refusal(&self.run, &refusal);
                if let Some(once) = &self.idempotency {
                    once.record_refusal(self.state, &self.principal, &self.run, &problem).await?;
                }
                Err(problem)
            }
        }
    }

    /// A follower of the run, starting from its recorded entries.
    async fn follower(&self) -> Result<RunFollower, HttpProblem> {
        let mut follower =
            RunFollower::new(&self.services.engine, self.services.read.clone(), self.principal.tenant().clone());
        follower.follow(&self.run).await?;
        Ok(follower)
    }

    /// Follows the run until it is idle or the time limit is reached, and responds.
    async fn respond(self, mut follower: RunFollower, limit: Duration) -> Result<Response, HttpProblem> {
        tokio::select! {
            rested = timeout(limit, follower.wait_idle(&self.run)) => rested.unwrap_or(Ok(()))?,
            () = self.state.shutdown_requested() => {}
        }
        let mut response = self.wait.set_header(ExecutionResponse::of(&follower, &self.run).into_response());
        if let Some(once) = self.idempotency {
            once.set_headers(&mut response);
        }
        Ok(response)
    }

    /// Whether this approves spending above a budget.
    async fn approves_over_budget(&self, effect: &EffectId) -> Result<bool, HttpProblem> {
        let follower = self.follower().await?;
        let asks = follower.run(&self.run).map(Run::human_tasks).unwrap_or_default();
        Ok(asks.iter().any(|ask| matches!(ask, HumanTask::Budget(open) if open == effect)))
    }
}

/// A body that says nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Nothing)]
pub(in crate::api) struct EmptyRunRequest {}

/// Pauses an execution
///
/// What is out comes back and is recorded; nothing new goes out.
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/pause", tag = "executions",
    params(("execution_id" = String, Path)), request_body = EmptyRunRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn pause(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, EmptyRunRequest {}) = body::json_with_raw(body, state.limits).await?;
    let act =
        RunCommandRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("pause", &id, &said)).await?;
    let incoming = IncomingCommand::Pause { by: act.actor_name() };
    act.submit(&incoming).await
}

/// Resumes a paused execution
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/resume", tag = "executions",
    params(("execution_id" = String, Path)), request_body = EmptyRunRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn resume(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, EmptyRunRequest {}) = body::json_with_raw(body, state.limits).await?;
    let act = RunCommandRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("resume", &id, &said))
        .await?;
    let incoming = IncomingCommand::Resume { by: act.actor_name() };
    act.submit(&incoming).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Cancel)]
pub(in crate::api) struct CancelRequest {
    /// Undo what it did, newest first.
    #[serde(default)]
    compensate: bool,
}

/// Cancels an execution
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/cancel", tag = "executions",
    params(("execution_id" = String, Path)), request_body = CancelRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn cancel(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, CancelRequest { compensate }) = body::json_with_raw(body, state.limits).await?;
    let act = RunCommandRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("cancel", &id, &said))
        .await?;
    let incoming = IncomingCommand::Cancel { by: act.actor_name(), compensate, asked_by: Vec::new() };
    act.submit(&incoming).await
}

/// Undoes what an ended execution did, newest first
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/compensate", tag = "executions",
    params(("execution_id" = String, Path)), request_body = EmptyRunRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn compensate(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, EmptyRunRequest {}) = body::json_with_raw(body, state.limits).await?;
    let act =
        RunCommandRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("compensate", &id, &said))
            .await?;
    let incoming = IncomingCommand::Rollback { by: act.actor_name(), asked_by: Vec::new() };
    act.submit(&incoming).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Retry)]
pub(in crate::api) struct RetryRequest {
    /// On the version it is on, though a newer one is active.
    #[serde(default)]
    same_version: bool,
}

/// Goes on from a failure, on the workflow's active version
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/retry", tag = "executions",
    params(("execution_id" = String, Path)), request_body = RetryRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn retry(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, RetryRequest { same_version }) = body::json_with_raw(body, state.limits).await?;
    let act =
        RunCommandRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("retry", &id, &said)).await?;
    let record = super::LoadedExecution::read(act.services, &act.principal, &id).await?;
    let newest = match record.run.workflow().filter(|_| !same_version) {
        Some(workflow) => act.services.registry.active(act.principal.tenant(), &workflow.name).await?,
        None => None,
    };
    let bundle = newest.map(|version| version.bundle).or_else(|| record.run.bundle().cloned());
    let Some(bundle) = bundle else {
        return Err(HttpProblem::from_refusal(&act.run, &baton_core::run::RunRefusal::NotStarted));
    };
    let incoming = IncomingCommand::Retry { by: act.actor_name(), bundle };
    act.submit(&incoming).await
}

/// A signal: the customer's words in `message`, or a `name` with what comes with it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Signalled)]
pub(in crate::api) struct SignalRequest {
    /// What the customer says.
    message: Option<String>,
    name: Option<String>,
    /// What comes with the name.
    #[serde(default)]
    payload: Value,
}

impl SignalRequest {
    fn into_signal(self) -> Result<(String, Value), HttpProblem> {
        match self {
            Self { message: Some(message), name: None, payload: Value::Null } => {
                Ok((MESSAGE.to_owned(), json!({ "text": message })))
            }
            Self { message: None, name: Some(name), payload } => Ok((name, payload)),
            _ => {
                let detail =
                    "say `message`, the customer's words, or `name`, a signal's, with its `payload`: one of both";
                Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail))
            }
        }
    }
}

/// Gives an execution a signal, or the customer's words
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/signal", tag = "executions",
    params(("execution_id" = String, Path)), request_body = SignalRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn signal(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, signalled): (Value, SignalRequest) = body::json_with_raw(body, state.limits).await?;
    let (name, payload) = signalled.into_signal()?;
    let act = RunCommandRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("signal", &id, &said))
        .await?;
    let incoming = IncomingCommand::Signal(Signal {
        name,
        payload: Arc::new(payload),
        source: String::new(),
        sequence: None,
        after_gap: false,
    });
    act.submit(&incoming).await
}

/// What a person says to a `human` node, or to what a call asks.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Said)]
pub(in crate::api) struct HumanAnswerRequest {
    /// The node or the call, as `waits_for` names it: its `node`, or its `effect`.
    #[schema(min_length = 1)]
    to: String,
    /// To a question for a yes or a no.
    approve: Option<bool>,
    /// To a form.
    #[schema(value_type = Option<Object>)]
    form: Option<Value>,
    #[serde(default)]
    note: String,
}

impl HumanAnswerRequest {
    fn incoming(self, by: DecisionMaker) -> Result<IncomingCommand, HttpProblem> {
        let Self { to, approve, form, note } = self;
        if to.contains('#') {
            let effect = parse_effect_id(&to)?;
            return match (approve, form) {
                (Some(approved), None) => Ok(IncomingCommand::Approve { effect, by, approved, note }),
                (None, Some(form)) => Ok(IncomingCommand::Fill { effect, by: by.name, form }),
                (None, None) | (Some(_), Some(_)) => Err(answer_missing()),
            };
        }
        let decision = match (approve, form) {
            (Some(true), None) => HumanDecision::Approve { note },
            (Some(false), None) => HumanDecision::Reject { note },
            (None, Some(form)) => HumanDecision::Fill { form },
            (None, None) | (Some(_), Some(_)) => return Err(answer_missing()),
        };
        Ok(IncomingCommand::Answer { node: NodeAddress::parse(&to), by, decision })
    }
}

fn answer_missing() -> HttpProblem {
    let detail = "say one of `approve` (true or false) and `form`";
    HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail)
}

/// Answers what waits for a person
///
/// A `human` node; a call that needs leave, or that asks something. What a call asks is declined with `approve: false`.
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/answer", tag = "executions",
    params(("execution_id" = String, Path)), request_body = HumanAnswerRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn answer(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, answer): (Value, HumanAnswerRequest) = body::json_with_raw(body, state.limits).await?;
    let act = RunCommandRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("answer", &id, &said))
        .await?;
    let incoming = answer.incoming(act.decider().await?)?;
    if let IncomingCommand::Approve { effect, approved: true, .. } = &incoming
        && act.approves_over_budget(effect).await?
    {
        act.principal.require(AccessScope::Operate)?;
    }
    act.submit(&incoming).await
}

/// What became of a call in doubt.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Became)]
pub(in crate::api) enum CallResolution {
    /// It acted, and answered this.
    Done(Value),
    /// It certainly did not act.
    NotDone,
    /// It is sent again.
    Repeat,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Resolve)]
pub(in crate::api) struct ResolveCallRequest {
    /// As `waits_for` names it.
    #[schema(min_length = 1)]
    effect: String,
    /// `{"done": OUTPUT}`, `"not_done"` or `"repeat"`.
    became: CallResolution,
}

/// Says what became of a call that nobody knows the outcome of
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/resolve", tag = "executions",
    params(("execution_id" = String, Path)), request_body = ResolveCallRequest, responses(
    (status = 200, body = ExecutionSchema), (status = 202, body = ExecutionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn resolve(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let (said, ResolveCallRequest { effect, became }) = body::json_with_raw(body, state.limits).await?;
    let effect = parse_effect_id(&effect)?;
    let resolution = match became {
        CallResolution::Done(output) => DoubtResolution::Done { output },
        CallResolution::NotDone => DoubtResolution::NotDone,
        CallResolution::Repeat => DoubtResolution::Repeat,
    };
    let act = RunCommandRequest::load(&state, principal, &id, &headers, RequestFingerprint::new("resolve", &id, &said))
        .await?;
    let incoming = IncomingCommand::Resolve { effect, by: act.actor_name(), resolution };
    act.submit(&incoming).await
}

fn parse_effect_id(text: &str) -> Result<EffectId, HttpProblem> {
    EffectId::parse(text).ok_or_else(|| {
        let detail = format!("`{text}` names no call");
        HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail)
            .with_hint("calls are written `node#0.0`, as `waits_for` names them")
    })
}
