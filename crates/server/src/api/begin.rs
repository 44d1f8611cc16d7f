//! Runs begun by a request: accepted once under a key, and followed until they rest or the caller's patience ends.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::actor;
use baton_core::bundle::Hash;
use baton_core::id::{RunId, TenantId};
use baton_core::run::Run;
use baton_core::tool::Caller;
use baton_core::trace;
use baton_engine::{Delivered, Error, Follower, Fork, OneCall, OneChoice, Start};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::agents;
use super::execute::no_workflow;
use super::executions::answer::Answered;
use super::executions::fork;
use super::guest::Guest;
use super::once::{Asked, Once};
use super::patience::Patience;
use super::workflows::edit::in_path;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// What is to be run.
pub(super) enum Wanted {
    /// The version of a workflow that runs for whom the context names.
    Workflow(String),
    /// One agent, with a task where it is given one.
    Agent { name: String, has_task: bool },
}

/// What a run is begun with.
pub(super) struct Given {
    pub input: Value,
    pub context: Value,
}

/// A run that is asked for.
pub(super) enum Begin {
    New(Wanted, Given),
    Forked(fork::Wanted),
    /// One call of a tool that there is.
    Call {
        tool: String,
        arguments: Map<String, Value>,
        context: Value,
    },
    /// A choice among tools that there are, for a message.
    Choice {
        message: String,
        tools: Vec<String>,
        context: Value,
    },
}

/// A run that was begun, as far as it was followed.
pub(super) struct Begun {
    id: RunId,
    follower: Follower,
    once: Option<Once>,
    patience: Patience,
}

impl Begun {
    /// As executions are answered.
    fn into_execution(self) -> Response {
        let answered = Answered::of(&self.follower, &self.id).into_response();
        self.said(answered)
    }

    /// As whoever knows the run tells it: 200 where it has ended, else 202 with its address.
    pub fn told(self, tell: impl FnOnce(&Run, &Follower) -> Value) -> Response {
        let not_begun = Run::default();
        let run = self.follower.run(&self.id).unwrap_or(&not_begun);
        let answered = Answered::as_told(run, &self.id, tell(run, &self.follower)).into_response();
        self.said(answered)
    }

    /// With what headers say of how it was asked.
    fn said(self, response: Response) -> Response {
        let mut response = self.patience.say(response);
        if let Some(once) = self.once {
            once.say(&mut response);
        }
        response
    }
}

/// What the engine takes.
enum Made {
    Start(Box<Start>),
    Fork(Box<Fork>),
}

/// Begins it once under the request's key, and answers with how it stands when it rests or the patience is over.
pub(super) async fn begin(
    door: &Door,
    guest: &Guest,
    headers: &HeaderMap,
    asked: Asked<'_>,
    begin: Begin,
) -> Result<Response, Problem> {
    Ok(begun(door, guest, headers, asked, begin).await?.into_execution())
}

/// The same, for whoever answers otherwise.
pub(super) async fn begun(
    door: &Door,
    guest: &Guest,
    headers: &HeaderMap,
    asked: Asked<'_>,
    begin: Begin,
) -> Result<Begun, Problem> {
    let work = door.work()?;
    let patience = Patience::of(headers)?;
    let mut once = Once::of(door, guest, headers, asked).await?;
    let mut id = once.as_ref().and_then(|once| once.before.clone()).unwrap_or_else(new);
    let mut follower = Follower::new(&work.engine, work.read.clone(), guest.tenant().clone());
    // One that was asked for before goes on as it began, whatever the workflow is by now.
    let has_begun =
        once.as_ref().is_some_and(|once| once.before.is_some()) && work.read.run(guest.tenant(), &id).await?.is_some();
    let is_forked = matches!(begin, Begin::Forked(_)) && !has_begun;
    if !has_begun {
        let mut made = begin.make(door, guest, id.clone(), told(headers)).await?;
        if let Some(once) = &mut once {
            once.note(door, guest, &id).await?;
            // Asked twice at once: there is one run.
            id = once.before.clone().unwrap_or(id);
            made.call(&id);
        }
        follower.expect(&id);
        match made.begin(work).await {
            Err(Error::Exists { .. }) if once.is_some() => follower.follow(&id).await?,
            begun => begun?,
        }
    } else {
        follower.follow(&id).await?;
    }
    let limit = patience.limit;
    let followed = async {
        // The version a past was recorded on may be one that this binary cannot run.
        if is_forked && let Delivered::Refused(refusal) = follower.follow_new(&id).await? {
            return Err(Problem::refused(&id, &refusal));
        }
        Ok(follower.until_rest(&id).await?)
    };
    tokio::select! {
        // One that goes on is told as it stands by then.
        rested = timeout(limit, followed) => rested.unwrap_or(Ok(()))?,
        () = door.stopped() => {}
    }
    Ok(Begun { id, follower, once, patience })
}

fn new() -> RunId {
    RunId::new(uuid::Uuid::now_v7().to_string())
}

impl Begin {
    /// `told`: the span of the caller's that it is part of.
    async fn make(self, door: &Door, guest: &Guest, run: RunId, told: Option<String>) -> Result<Made, Problem> {
        let work = door.work()?;
        match &self {
            Self::New(_, Given { context, .. }) | Self::Call { context, .. } | Self::Choice { context, .. } => {
                check_customer(context)?;
            }
            Self::Forked(_) => {}
        }
        match self {
            Self::New(wanted, given) => {
                Ok(Made::Start(Box::new(start(door, work, guest, run, wanted, given, told).await?)))
            }
            Self::Forked(wanted) => Ok(Made::Fork(Box::new(wanted.make(work, guest, run).await?))),
            Self::Call { tool, arguments, context } => {
                let (tenant, caller) = (guest.tenant().clone(), caller(work, guest, &context, told));
                let call = OneCall { run, tenant, tool, arguments, context, caller };
                let begins = call.begin(&*door.house()?.tools, &*work.registry, door.clock.now());
                Ok(Made::Start(Box::new(begins.await?.0)))
            }
            Self::Choice { message, tools, context } => {
                let (tenant, caller) = (guest.tenant().clone(), caller(work, guest, &context, told));
                let choice = OneChoice { run, tenant, message, tools, context, caller };
                let begins = choice.begin(&*door.house()?.tools, &*work.registry, door.clock.now());
                Ok(Made::Start(Box::new(begins.await?.0)))
            }
        }
    }
}

impl Made {
    fn call(&mut self, run: &RunId) {
        match self {
            Self::Start(start) => start.run = run.clone(),
            Self::Fork(fork) => fork.forked.run = run.clone(),
        }
    }

    async fn begin(self, work: &Work) -> Result<(), Error> {
        match self {
            Self::Start(start) => work.engine.start(*start).await,
            Self::Fork(fork) => work.engine.fork(*fork).await,
        }
    }
}

/// The span that the caller says this is part of (W3C Trace Context); one that cannot be read is none.
fn told(headers: &HeaderMap) -> Option<String> {
    let parent: trace::Parent = headers.get("traceparent")?.to_str().ok()?.trim().parse().ok()?;
    Some(parent.to_string())
}

/// Whom a context names as the customer is told from everybody else by looking. One that is empty is nobody.
pub(super) fn check_customer(context: &Value) -> Result<(), Problem> {
    for name in ["user_id", "customer_id"] {
        if let Some(customer) = context.get(name).and_then(Value::as_str) {
            actor::check_seen(customer).map_err(|why| Problem::field(&format!("context.{name}"), why))?;
        }
    }
    Ok(())
}

/// On whose behalf a run is.
fn caller(work: &Work, guest: &Guest, context: &Value, told: Option<String>) -> Caller {
    Caller {
        traceparent: told,
        key_id: Some(guest.key_id().to_owned()),
        begun_by: Some(guest.by().to_owned()),
        ..Caller::of(context, work.zone.as_deref())
    }
}

/// What the engine is to begin. An input that the workflow does not take is refused here, before anything is written down.
async fn start(
    door: &Door,
    work: &Work,
    guest: &Guest,
    run: RunId,
    wanted: Wanted,
    Given { input, context }: Given,
    told: Option<String>,
) -> Result<Start, Problem> {
    let (workflow, bundle) = match wanted {
        Wanted::Workflow(name) => {
            let said = |name: &str| context.get(name).and_then(Value::as_str).filter(|word| !word.is_empty());
            let whom = said("user_id").or_else(|| said("customer_id")).or_else(|| said("conversation_id"));
            // Unless the context says for whom, every run is somebody else's.
            match version_for(work, guest.tenant(), &name, whom.unwrap_or(run.as_str())).await? {
                Some(bundle) => (name, bundle),
                None => return Err(no_workflow(work, guest, &name).await),
            }
        }
        Wanted::Agent { name, has_task } => {
            let version = agents::alone(door, work, guest, &name, has_task).await?;
            (version.workflow, version.bundle)
        }
    };
    work.engine.library().version(&bundle).await?.input.complete(&input).map_err(Error::Input)?;
    let caller = caller(work, guest, &context, told);
    Ok(Start { run, tenant: guest.tenant().clone(), workflow, bundle, input, context, caller })
}

/// The version of a workflow that runs for somebody; nothing where there is no such workflow.
///
/// # Errors
/// [`code::WORKFLOW_INACTIVE`] where none of its versions is active.
pub(crate) async fn version_for(
    work: &Work,
    tenant: &TenantId,
    workflow: &str,
    whom: &str,
) -> Result<Option<Hash>, Problem> {
    let Some(standing) = work.registry.standing(tenant, workflow).await? else { return Ok(None) };
    // Of two workflows, the same people are not always the first to try what is new.
    let version = standing.version_for(&format!("{workflow}\n{whom}")).ok_or_else(|| {
        let detail = match standing.archived_at {
            Some(at) => format!("`{workflow}` was put away at {at}"),
            None => format!("no version of `{workflow}` is active yet"),
        };
        let hint = format!("POST /api/v1/workflows/{}/activate makes one active", in_path(workflow));
        Problem::new(StatusCode::CONFLICT, code::WORKFLOW_INACTIVE, detail).hint(hint)
    })?;
    Ok(Some(version.bundle.clone()))
}
