//! Starts runs for requests: each is accepted once per idempotency key, and followed until it is idle or the
//! caller's wait limit is reached.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::actor;
use baton_core::bundle::ContentHash;
use baton_core::id::{RunId, TenantId};
use baton_core::run::Run;
use baton_core::tool::Caller;
use baton_core::trace;
use baton_engine::{DeliveryResult, EngineError, OneCall, OneChoice, RunFollower, RunFork, RunStart};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::agents;
use super::execute::workflow_not_found;
use super::executions::fork;
use super::executions::response::ExecutionResponse;
use super::idempotency::{IdempotencyKey, RequestFingerprint};
use super::principal::Principal;
use super::wait_preference::WaitPreference;
use super::workflows::edit::in_path;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// What to run.
pub(super) enum RunTarget {
    /// The version of a workflow that applies to the customer named in the context.
    Workflow(String),
    /// One agent, with a task if there is one.
    Agent { name: String, has_task: bool },
}

/// The input of a run.
pub(super) struct RunInput {
    pub input: Value,
    pub context: Value,
}

/// A request to start a run.
pub(super) enum StartRunCommand {
    New(RunTarget, RunInput),
    Forked(fork::ForkCommand),
    /// One call of an existing tool.
    Call {
        tool: String,
        arguments: Map<String, Value>,
        context: Value,
    },
    /// A selection among existing tools, for a message.
    Choice {
        message: String,
        tools: Vec<String>,
        context: Value,
    },
}

/// A started run, as far as it was followed.
pub(super) struct StartedRun {
    id: RunId,
    follower: RunFollower,
    idempotency: Option<IdempotencyKey>,
    wait: WaitPreference,
}

impl StartedRun {
    /// The response in the form of an execution.
    fn into_execution(self) -> Response {
        let answered = ExecutionResponse::of(&self.follower, &self.id).into_response();
        self.with_headers(answered)
    }

    /// A response with a body built by the caller: 200 if the run has ended, else 202 with its address.
    pub fn respond_with(self, tell: impl FnOnce(&Run, &RunFollower) -> Value) -> Response {
        let not_begun = Run::default();
        let run = self.follower.run(&self.id).unwrap_or(&not_begun);
        let answered = ExecutionResponse::with_body(run, &self.id, tell(run, &self.follower)).into_response();
        self.with_headers(answered)
    }

    /// Adds the headers for the wait preference and the idempotency key.
    fn with_headers(self, response: Response) -> Response {
        let mut response = self.wait.set_header(response);
        if let Some(once) = self.idempotency {
            once.set_headers(&mut response);
        }
        response
    }
}

/// The engine's input.
enum EngineStart {
    Start(Box<RunStart>),
    Fork(Box<RunFork>),
}

/// Starts the run once per idempotency key, and responds when it is idle or the wait limit is reached.
pub(super) async fn start_run(
    state: &AppState,
    principal: &Principal,
    headers: &HeaderMap,
    asked: RequestFingerprint<'_>,
    begin: StartRunCommand,
) -> Result<Response, HttpProblem> {
    Ok(start_and_follow(state, principal, headers, asked, begin).await?.into_execution())
}

/// Like [`start_run`], for callers that build their own response.
pub(super) async fn start_and_follow(
    state: &AppState,
    principal: &Principal,
    headers: &HeaderMap,
    asked: RequestFingerprint<'_>,
    begin: StartRunCommand,
) -> Result<StartedRun, HttpProblem> {
    let services = state.run_services()?;
    let wait_preference = WaitPreference::of(headers)?;
    let mut once = IdempotencyKey::of(state, principal, headers, asked).await?;
    let mut id = once.as_ref().and_then(|once| once.previous_run.clone()).unwrap_or_else(new_run_id);
    let mut follower = RunFollower::new(&services.engine, services.read.clone(), principal.tenant().clone());
    // A run that was started before continues as it started, even if the workflow has changed since.
    let has_begun = once.as_ref().is_some_and(|once| once.previous_run.is_some())
        && services.read.run(principal.tenant(), &id).await?.is_some();
    let is_forked = matches!(begin, StartRunCommand::Forked(_)) && !has_begun;
    if !has_begun {
        let mut made = begin.prepare(state, principal, id.clone(), trace_parent(headers)).await?;
        if let Some(once) = &mut once {
            once.record(state, principal, &id).await?;
            // A concurrent request with the same key uses the same run.
            id = once.previous_run.clone().unwrap_or(id);
            made.set_run_id(&id);
        }
        follower.expect(&id);
        match made.submit(services).await {
            Err(EngineError::Exists { .. }) if once.is_some() => follower.follow(&id).await?,
            begun => begun?,
        }
    } else {
        follower.follow(&id).await?;
    }
    let limit = wait_preference.limit;
    let followed = async {
        // This binary may be unable to run the version on which the history was recorded.
        if is_forked && let DeliveryResult::Refused(refusal) = follower.follow_new(&id).await? {
            return Err(HttpProblem::from_refusal(&id, &refusal));
        }
        Ok(follower.wait_idle(&id).await?)
    };
    tokio::select! {
        // A run that is still active is reported in its state at the limit.
        rested = timeout(limit, followed) => rested.unwrap_or(Ok(()))?,
        () = state.shutdown_requested() => {}
    }
    Ok(StartedRun { id, follower, idempotency: once, wait: wait_preference })
}

fn new_run_id() -> RunId {
    RunId::new(uuid::Uuid::now_v7().to_string())
}

impl StartRunCommand {
    /// `told` is the caller's span that this request is part of.
    async fn prepare(
        self,
        state: &AppState,
        principal: &Principal,
        run: RunId,
        told: Option<String>,
    ) -> Result<EngineStart, HttpProblem> {
        let services = state.run_services()?;
        match &self {
            Self::New(_, RunInput { context, .. }) | Self::Call { context, .. } | Self::Choice { context, .. } => {
                check_customer(context)?;
            }
            Self::Forked(_) => {}
        }
        match self {
            Self::New(wanted, given) => Ok(EngineStart::Start(Box::new(
                prepare_start(state, services, principal, run, wanted, given, told).await?,
            ))),
            Self::Forked(wanted) => Ok(EngineStart::Fork(Box::new(wanted.prepare(services, principal, run).await?))),
            Self::Call { tool, arguments, context } => {
                let (tenant, caller) = (principal.tenant().clone(), caller(services, principal, &context, told));
                let call = OneCall { run, tenant, tool, arguments, context, caller };
                let begins = call.begin(&*state.admin_services()?.tools, &*services.registry, state.clock.now());
                Ok(EngineStart::Start(Box::new(begins.await?.0)))
            }
            Self::Choice { message, tools, context } => {
                let (tenant, caller) = (principal.tenant().clone(), caller(services, principal, &context, told));
                let choice = OneChoice { run, tenant, message, tools, context, caller };
                let begins = choice.begin(&*state.admin_services()?.tools, &*services.registry, state.clock.now());
                Ok(EngineStart::Start(Box::new(begins.await?.0)))
            }
        }
    }
}

impl EngineStart {
    fn set_run_id(&mut self, run: &RunId) {
        match self {
            Self::Start(start) => start.run = run.clone(),
            Self::Fork(fork) => fork.forked.run = run.clone(),
        }
    }

    async fn submit(self, services: &RunServices) -> Result<(), EngineError> {
        match self {
            Self::Start(start) => services.engine.start(*start).await,
            Self::Fork(fork) => services.engine.fork(*fork).await,
        }
    }
}

/// The parent span of the request (W3C Trace Context). An invalid header is ignored.
fn trace_parent(headers: &HeaderMap) -> Option<String> {
    let parent: trace::SpanContext = headers.get("traceparent")?.to_str().ok()?.trim().parse().ok()?;
    Some(parent.to_string())
}

/// Checks that the customer ids in the context have no surrounding white space and no invisible characters, so that
/// no two of them look alike. An empty id means no customer.
pub(super) fn check_customer(context: &Value) -> Result<(), HttpProblem> {
    for name in ["user_id", "customer_id"] {
        if let Some(customer) = context.get(name).and_then(Value::as_str) {
            actor::check_visible(customer)
                .map_err(|why| HttpProblem::invalid_field(&format!("context.{name}"), why))?;
        }
    }
    Ok(())
}

/// On whose behalf the run acts.
fn caller(services: &RunServices, principal: &Principal, context: &Value, told: Option<String>) -> Caller {
    Caller {
        traceparent: told,
        key_id: Some(principal.key_id().to_owned()),
        begun_by: Some(principal.actor_name().to_owned()),
        ..Caller::of(context, services.zone.as_deref())
    }
}

/// Builds the engine's input. An input that does not match the workflow's schema is refused here, before anything
/// is stored.
async fn prepare_start(
    state: &AppState,
    services: &RunServices,
    principal: &Principal,
    run: RunId,
    wanted: RunTarget,
    RunInput { input, context }: RunInput,
    told: Option<String>,
) -> Result<RunStart, HttpProblem> {
    let (workflow, bundle) = match wanted {
        RunTarget::Workflow(name) => {
            let said = |name: &str| context.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
            let whom = said("user_id").or_else(|| said("customer_id")).or_else(|| said("conversation_id"));
            // Without a customer in the context, each run is assigned a version on its own.
            match version_for(services, principal.tenant(), &name, whom.unwrap_or(run.as_str())).await? {
                Some(bundle) => (name, bundle),
                None => return Err(workflow_not_found(services, principal, &name).await),
            }
        }
        RunTarget::Agent { name, has_task } => {
            let version = agents::single_agent_workflow(state, services, principal, &name, has_task).await?;
            (version.workflow, version.bundle)
        }
    };
    services.engine.workflows().version(&bundle).await?.input.validate(&input).map_err(EngineError::Input)?;
    let caller = caller(services, principal, &context, told);
    Ok(RunStart { run, tenant: principal.tenant().clone(), workflow, bundle, input, context, caller })
}

/// The version of a workflow that applies to this customer; `None` if the workflow does not exist.
///
/// # Errors
/// [`code::WORKFLOW_INACTIVE`] if none of its versions is active.
pub(crate) async fn version_for(
    services: &RunServices,
    tenant: &TenantId,
    workflow: &str,
    whom: &str,
) -> Result<Option<ContentHash>, HttpProblem> {
    let Some(standing) = services.registry.workflow_status(tenant, workflow).await? else { return Ok(None) };
    // The workflow's name is part of the hash, so that the same customers are not the first to get a new version of
    // every workflow.
    let version = standing.version_for(&format!("{workflow}\n{whom}")).ok_or_else(|| {
        let detail = match standing.archived_at {
            Some(at) => format!("`{workflow}` was put away at {at}"),
            None => format!("no version of `{workflow}` is active yet"),
        };
        let hint = format!("POST /api/v1/workflows/{}/activate makes one active", in_path(workflow));
        HttpProblem::new(StatusCode::CONFLICT, code::WORKFLOW_INACTIVE, detail).with_hint(hint)
    })?;
    Ok(Some(version.bundle.clone()))
}
