//! Runs, acted on: what is asked goes into the run's inbox, once, and is answered when the run has taken it and rests.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use baton_core::id::RunId;
use baton_core::run::{Address, Ask, Decider, Decision, EffectId, Incoming, MESSAGE, Resolution, Run, Signal};
use baton_engine::{Delivered, Follower};
use baton_ports::keys::Need;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::answer::Answered;
use super::head;
use crate::api::guest::Guest;
use crate::api::once::{Asked, Once};
use crate::api::patience::Patience;
use crate::api::query::Path;
use crate::api::shapes::{Execution, Problem as Refusal};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// A request to act on a run.
pub(in crate::api) struct Act<'a> {
    door: &'a Door,
    work: &'a Work,
    guest: Guest,
    run: RunId,
    once: Option<Once>,
    patience: Patience,
}

impl<'a> Act<'a> {
    /// On a run that is there.
    pub async fn on(
        door: &'a Door,
        guest: Guest,
        id: &str,
        headers: &HeaderMap,
        asked: Asked<'_>,
    ) -> Result<Self, Problem> {
        let work = door.work()?;
        let patience = Patience::of(headers)?;
        let once = Once::of(door, &guest, headers, asked).await?;
        let run = head(work, &guest, id).await?.run;
        Ok(Self { door, work, guest, run, once, patience })
    }

    pub fn by(&self) -> String {
        self.guest.by().to_owned()
    }

    /// Who decides by it.
    pub async fn decider(&self) -> Result<Decider, Problem> {
        self.guest.decider(self.door).await
    }

    /// The run by when it rests, where it was asked before.
    pub async fn stands(self) -> Result<Response, Problem> {
        let follower = self.follower().await?;
        let limit = self.patience.limit;
        self.answered(follower, limit).await
    }

    /// Into its inbox, and with it until it rests.
    pub async fn give(mut self, incoming: &Incoming) -> Result<Response, Problem> {
        let began = Instant::now();
        let command = match &mut self.once {
            Some(once) => {
                once.note(self.door, &self.guest, &self.run).await?;
                once.command()
            }
            None => uuid::Uuid::now_v7().to_string(),
        };
        let mut follower = self.follower().await?;
        let delivered = follower.deliver_as(&command, &self.run, incoming, self.patience.limit).await?;
        let left = self.patience.limit.saturating_sub(began.elapsed());
        match delivered {
            Delivered::Taken => self.answered(follower, left).await,
            Delivered::Accepted if self.once.as_ref().is_some_and(|once| once.before.is_some()) => {
                self.answered(follower, left).await
            }
            // Whoever moves the run takes it: nobody here knows when.
            Delivered::Accepted => self.answered(follower, Duration::ZERO).await,
            Delivered::Refused(refusal) => {
                let problem = Problem::refused(&self.run, &refusal);
                if let Some(once) = &self.once {
                    once.note_refused(self.door, &self.guest, &self.run, &problem).await?;
                }
                Err(problem)
            }
        }
    }

    /// From what is recorded of the run on.
    async fn follower(&self) -> Result<Follower, Problem> {
        let mut follower = Follower::new(&self.work.engine, self.work.read.clone(), self.guest.tenant().clone());
        follower.follow(&self.run).await?;
        Ok(follower)
    }

    /// With it until it rests, for so long.
    async fn answered(self, mut follower: Follower, limit: Duration) -> Result<Response, Problem> {
        tokio::select! {
            rested = timeout(limit, follower.until_rest(&self.run)) => rested.unwrap_or(Ok(()))?,
            () = self.door.stopped() => {}
        }
        let mut response = self.patience.say(Answered::of(&follower, &self.run).into_response());
        if let Some(once) = self.once {
            once.say(&mut response);
        }
        Ok(response)
    }

    /// Whether this is leave to spend more than a budget has.
    async fn lifts_a_budget(&self, effect: &EffectId) -> Result<bool, Problem> {
        let follower = self.follower().await?;
        let asks = follower.run(&self.run).map(Run::asks).unwrap_or_default();
        Ok(asks.iter().any(|ask| matches!(ask, Ask::Budget(open) if open == effect)))
    }
}

/// A body that says nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Nothing {}

/// Pauses an execution
///
/// What is out comes back and is recorded; nothing new goes out.
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/pause", tag = "executions",
    params(("execution_id" = String, Path)), request_body = Nothing, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn pause(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Nothing {}) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("pause", &id, &said)).await?;
    let incoming = Incoming::Pause { by: act.by() };
    act.give(&incoming).await
}

/// Resumes a paused execution
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/resume", tag = "executions",
    params(("execution_id" = String, Path)), request_body = Nothing, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn resume(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Nothing {}) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("resume", &id, &said)).await?;
    let incoming = Incoming::Resume { by: act.by() };
    act.give(&incoming).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Cancel {
    /// Undo what it did, newest first.
    #[serde(default)]
    compensate: bool,
}

/// Cancels an execution
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/cancel", tag = "executions",
    params(("execution_id" = String, Path)), request_body = Cancel, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn cancel(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Cancel { compensate }) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("cancel", &id, &said)).await?;
    let incoming = Incoming::Cancel { by: act.by(), compensate, asked_by: Vec::new() };
    act.give(&incoming).await
}

/// Undoes what an ended execution did, newest first
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/compensate", tag = "executions",
    params(("execution_id" = String, Path)), request_body = Nothing, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn compensate(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Nothing {}) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("compensate", &id, &said)).await?;
    let incoming = Incoming::Rollback { by: act.by(), asked_by: Vec::new() };
    act.give(&incoming).await
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Retry {
    /// On the version it is on, though a newer one is active.
    #[serde(default)]
    same_version: bool,
}

/// Goes on from a failure, on the workflow's active version
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/retry", tag = "executions",
    params(("execution_id" = String, Path)), request_body = Retry, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn retry(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Retry { same_version }) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("retry", &id, &said)).await?;
    let record = super::Record::read(act.work, &act.guest, &id).await?;
    let newest = match record.run.workflow().filter(|_| !same_version) {
        Some(workflow) => act.work.registry.active(act.guest.tenant(), &workflow.name).await?,
        None => None,
    };
    let bundle = newest.map(|version| version.bundle).or_else(|| record.run.bundle().cloned());
    let Some(bundle) = bundle else {
        return Err(Problem::refused(&act.run, &baton_core::run::Refusal::NotStarted));
    };
    let incoming = Incoming::Retry { by: act.by(), bundle };
    act.give(&incoming).await
}

/// A signal: the customer's words in `message`, or a `name` with what comes with it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Signalled {
    /// What the customer says.
    message: Option<String>,
    name: Option<String>,
    /// What comes with the name.
    #[serde(default)]
    payload: Value,
}

impl Signalled {
    fn read(self) -> Result<(String, Value), Problem> {
        match self {
            Self { message: Some(message), name: None, payload: Value::Null } => {
                Ok((MESSAGE.to_owned(), json!({ "text": message })))
            }
            Self { message: None, name: Some(name), payload } => Ok((name, payload)),
            _ => {
                let detail =
                    "say `message`, the customer's words, or `name`, a signal's, with its `payload`: one of both";
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail))
            }
        }
    }
}

/// Gives an execution a signal, or the customer's words
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/signal", tag = "executions",
    params(("execution_id" = String, Path)), request_body = Signalled, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn signal(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, signalled): (Value, Signalled) = body::said(body, door.limits).await?;
    let (name, payload) = signalled.read()?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("signal", &id, &said)).await?;
    let incoming = Incoming::Signal(Signal {
        name,
        payload: Arc::new(payload),
        source: String::new(),
        sequence: None,
        after_gap: false,
    });
    act.give(&incoming).await
}

/// What a person says to a `human` node, or to what a call asks.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Said {
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

impl Said {
    fn incoming(self, by: Decider) -> Result<Incoming, Problem> {
        let Self { to, approve, form, note } = self;
        if to.contains('#') {
            let effect = call(&to)?;
            return match (approve, form) {
                (Some(approved), None) => Ok(Incoming::Approve { effect, by, approved, note }),
                (None, Some(form)) => Ok(Incoming::Fill { effect, by: by.name, form }),
                (None, None) | (Some(_), Some(_)) => Err(neither()),
            };
        }
        let decision = match (approve, form) {
            (Some(true), None) => Decision::Approve { note },
            (Some(false), None) => Decision::Reject { note },
            (None, Some(form)) => Decision::Fill { form },
            (None, None) | (Some(_), Some(_)) => return Err(neither()),
        };
        Ok(Incoming::Answer { node: Address::parse(&to), by, decision })
    }
}

fn neither() -> Problem {
    let detail = "say one of `approve` (true or false) and `form`";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail)
}

/// Answers what waits for a person
///
/// A `human` node; a call that needs leave, or that asks something. What a call asks is declined with `approve: false`.
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/answer", tag = "executions",
    params(("execution_id" = String, Path)), request_body = Said, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn answer(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, answer): (Value, Said) = body::said(body, door.limits).await?;
    let act = Act::on(&door, guest, &id, &headers, Asked::new("answer", &id, &said)).await?;
    let incoming = answer.incoming(act.decider().await?)?;
    if let Incoming::Approve { effect, approved: true, .. } = &incoming
        && act.lifts_a_budget(effect).await?
    {
        act.guest.must(Need::Operate)?;
    }
    act.give(&incoming).await
}

/// What became of a call in doubt.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum Became {
    /// It acted, and answered this.
    Done(Value),
    /// It certainly did not act.
    NotDone,
    /// It is sent again.
    Repeat,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Resolve {
    /// As `waits_for` names it.
    #[schema(min_length = 1)]
    effect: String,
    /// `{"done": OUTPUT}`, `"not_done"` or `"repeat"`.
    became: Became,
}

/// Says what became of a call that nobody knows the outcome of
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/resolve", tag = "executions",
    params(("execution_id" = String, Path)), request_body = Resolve, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn resolve(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, Resolve { effect, became }) = body::said(body, door.limits).await?;
    let effect = call(&effect)?;
    let resolution = match became {
        Became::Done(output) => Resolution::Done { output },
        Became::NotDone => Resolution::NotDone,
        Became::Repeat => Resolution::Repeat,
    };
    let act = Act::on(&door, guest, &id, &headers, Asked::new("resolve", &id, &said)).await?;
    let incoming = Incoming::Resolve { effect, by: act.by(), resolution };
    act.give(&incoming).await
}

fn call(text: &str) -> Result<EffectId, Problem> {
    EffectId::parse(text).ok_or_else(|| {
        let detail = format!("`{text}` names no call");
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail)
            .hint("calls are written `node#0.0`, as `waits_for` names them")
    })
}
