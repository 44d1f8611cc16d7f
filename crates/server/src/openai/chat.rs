//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use baton_core::model::Reply;
use baton_engine::roster::Standing;
use baton_ports::models::{ApiKey, Asker};
use tokio::sync::OwnedSemaphorePermit;

use super::error::Error;
use super::form;
use super::intake::Intake;
use super::once::Answered;
use super::rate;
use super::reply::{Frame, Whole};
use super::request::{self, Asked};
use super::stream::{self, Chunks};
use super::workflow::{PREFIX, Said};
use crate::body::budget::BodyShare;
use crate::door::Door;

const PATH: &str = "/v1/chat/completions";
/// The consumer's own key for the provider: used for this call, never kept.
const PROVIDER_KEY: HeaderName = HeaderName::from_static("x-provider-key");
const COST: HeaderName = HeaderName::from_static("x-baton-cost-usd");
const PROVIDER: HeaderName = HeaderName::from_static("x-baton-provider");
const MODEL: HeaderName = HeaderName::from_static("x-baton-model");
/// The call's own name: what `baton models explain` takes.
const CALL: HeaderName = HeaderName::from_static("x-baton-call");
/// The run that a turn with a workflow went to.
const EXECUTION: HeaderName = HeaderName::from_static("x-baton-execution");
const BUDGET: HeaderName = HeaderName::from_static("x-baton-budget");

/// A request that was let in, and its place among those under way.
pub(super) struct Call {
    pub door: Door,
    pub asker: Asker,
    pub asked: Asked,
    pub frame: Frame,
    /// Given back when the answer is over.
    pub place: OwnedSemaphorePermit,
    /// Of the memory for bodies: given back when nothing that was read is held any more.
    pub share: Option<Arc<BodyShare>>,
}

pub(crate) async fn complete(State(door): State<Door>, request: Request) -> Result<Response, Error> {
    let intake = Intake::of(door, request).await?;
    let asked = request::read(&intake.body)?;
    if asked.model.starts_with(PREFIX) {
        // Boxed, as streams are: what they need would make room in every call.
        return Box::pin(spoken(intake, asked)).await;
    }
    let (call, told) = Call::new(intake, asked, "chatcmpl");
    let mut response = match call.asked.stream {
        true => {
            let chunks = Chunks::new(call.frame.clone(), call.asked.with_usage);
            Box::pin(stream::answer(call, chunks)).await?
        }
        false => {
            let reply = call.reply().await?;
            let mut response = Whole::of(&call.frame, &reply).response();
            told_facts(&mut response, &reply);
            response
        }
    };
    told.say(&mut response);
    Ok(response)
}

/// A turn of a conversation with a workflow. The place among those under way is held until it is answered.
async fn spoken(intake: Intake, asked: Asked) -> Result<Response, Error> {
    let asked = Arc::new(asked);
    let (turn, body, standing) = intake.turn(&asked);
    let answered = Answered::of(turn, PATH, &body, "chatcmpl").await?;
    let mut response = match asked.stream {
        true => stream::whole(Chunks::new(answered.frame.clone(), asked.with_usage), &answered.said.reply),
        false => Whole::of(&answered.frame, &answered.said.reply).response(),
    };
    say_turn(&mut response, standing, &answered);
    Ok(response)
}

impl Call {
    /// A call, and what its answer says in its headers.
    pub fn new(intake: Intake, asked: Asked, prefix: &str) -> (Self, Told) {
        let Intake { door, key, headers, turn, place, share, body: _ } = intake;
        let frame = Frame::new(prefix, &door, &asked.model);
        let asker = Asker {
            key_id: Some(key.id.clone()),
            api_key: own_key(&headers),
            ..Asker::of(key.tenant.clone(), frame.id.as_str())
        };
        let told = Told { door: door.clone(), asker: asker.clone(), turn };
        (Self { door, asker, asked, frame, place, share }, told)
    }

    pub async fn reply(&self) -> Result<Reply, Error> {
        form::ask(&self.door, &self.asker, &self.asked.form, &self.asked.request, None).await
    }
}

/// What the headers of an answer say.
pub(super) struct Told {
    door: Door,
    asker: Asker,
    turn: Option<Standing>,
}

impl Told {
    pub fn say(self, response: &mut Response) {
        // Looked at once it is answered, or has begun to be: this very call may pass the mark.
        let budget = self.door.models.budget_notice(&self.asker);
        if let Some(turn) = self.turn {
            rate::say(response.headers_mut(), &turn);
        }
        insert(response.headers_mut(), [(CALL, Some(self.asker.key)), (BUDGET, budget)]);
    }
}

/// Who answered, and at what price.
pub(super) fn told_facts(response: &mut Response, reply: &Reply) {
    insert(response.headers_mut(), facts(reply).map(|(name, value)| (name, Some(value))));
}

/// How often one may ask, and what is said of a turn that was answered.
pub(super) fn say_turn(response: &mut Response, standing: Option<Standing>, answered: &Answered) {
    if let Some(standing) = standing {
        rate::say(response.headers_mut(), &standing);
    }
    told_run(response, &answered.said);
    answered.say(response);
}

/// Which run said it, and what that has cost.
fn told_run(response: &mut Response, said: &Said) {
    let cost = format!("{:.9}", said.reply.cost.as_f64());
    insert(response.headers_mut(), [(COST, Some(cost)), (EXECUTION, Some(said.run.to_string()))]);
}

/// The consumer's own key at the provider, where they bring one.
pub(super) fn own_key(headers: &HeaderMap) -> Option<ApiKey> {
    let key = headers.get(PROVIDER_KEY).and_then(|key| key.to_str().ok()).filter(|key| !key.is_empty());
    key.map(ApiKey::new)
}

/// What is known once it was answered: who did, and at what price. A streamed answer says so at its end.
pub(super) fn facts(reply: &Reply) -> [(HeaderName, String); 3] {
    let cost = format!("{:.9}", reply.cost.as_f64());
    [(COST, cost), (PROVIDER, reply.provider.clone()), (MODEL, reply.model.clone())]
}

/// Puts in those that are there and may stand in a header.
fn insert(headers: &mut HeaderMap, all: impl IntoIterator<Item = (HeaderName, Option<String>)>) {
    for (name, value) in all {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
}
