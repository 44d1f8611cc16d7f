//! `POST /v1/chat/completions`.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use baton_core::model::Reply;
use baton_engine::roster::Standing;
use baton_ports::keys::{Key, Need};
use baton_ports::models::{ApiKey, Asker};
use tokio::sync::OwnedSemaphorePermit;

use super::error::Error;
use super::form;
use super::rate;
use super::reply::{Frame, Whole};
use super::request::{self, Asked};
use super::stream;
use super::workflow::{PREFIX, Turn};
use crate::auth::Bearer;
use crate::body;
use crate::door::Door;
use crate::problem::Problem;

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
}

pub(crate) async fn complete(State(door): State<Door>, request: Request) -> Result<Response, Error> {
    let (head, body) = request.into_parts();
    let headers = head.headers;
    let key = door.bearer(&headers).await?;
    key.may(Need::Run).map_err(|barred| Error::barred(&key, Need::Run, barred))?;
    let turn = door.turn(&key).await?;
    let place = door.room.clone().try_acquire_owned().map_err(|_| Problem::overloaded())?;
    // Only now, or anybody's connections would fill the memory.
    let body = body::read(body, door.limits).await.map_err(|unread| Error::unread(&unread, door.limits))?;
    let asked = request::read(&body)?;
    if asked.model.starts_with(PREFIX) {
        // Boxed, as streams are: what they need would make room in every call.
        return Box::pin(spoken(door, &key, &headers, &asked, turn)).await;
    }
    let call = Call::new(door, &key, &headers, asked, place);
    let (door, asker) = (call.door.clone(), call.asker.clone());
    let mut response = match call.asked.stream {
        true => Box::pin(stream::answer(call)).await?,
        false => call.answer().await?,
    };
    // Looked at once it is answered, or has begun to be: this very call may pass the mark.
    let budget = door.models.budget_notice(&asker);
    if let Some(turn) = turn {
        rate::say(response.headers_mut(), &turn);
    }
    insert(response.headers_mut(), [(CALL, Some(asker.key)), (BUDGET, budget)]);
    Ok(response)
}

/// A turn of a conversation with a workflow. The place among those under way is held until it is answered.
async fn spoken(
    door: Door,
    key: &Key,
    headers: &HeaderMap,
    asked: &Asked,
    turn: Option<Standing>,
) -> Result<Response, Error> {
    let said = Turn { door: &door, key, asked, headers }.take().await?;
    let id = format!("chatcmpl-{}", uuid::Uuid::now_v7().simple());
    let frame = Frame { id, created: door.clock.now().as_ms() / 1_000, model: asked.model.clone() };
    let mut response = match asked.stream {
        true => stream::whole(frame, asked.with_usage, &said.reply),
        false => Whole::of(&frame, &said.reply).response(),
    };
    if let Some(turn) = turn {
        rate::say(response.headers_mut(), &turn);
    }
    let cost = format!("{:.9}", said.reply.cost.as_f64());
    insert(response.headers_mut(), [(COST, Some(cost)), (EXECUTION, Some(said.run.to_string()))]);
    Ok(response)
}

impl Call {
    fn new(door: Door, key: &Bearer, headers: &HeaderMap, asked: Asked, place: OwnedSemaphorePermit) -> Self {
        let id = format!("chatcmpl-{}", uuid::Uuid::now_v7().simple());
        let asker = Asker {
            key_id: Some(key.id.clone()),
            api_key: own_key(headers),
            ..Asker::of(key.tenant.clone(), id.as_str())
        };
        let created = door.clock.now().as_ms() / 1_000;
        let frame = Frame { id, created, model: asked.model.clone() };
        Self { door, asker, asked, frame, place }
    }

    async fn answer(self) -> Result<Response, Error> {
        let reply = form::ask(&self.door, &self.asker, &self.asked.form, &self.asked.request, None).await?;
        let mut response = Whole::of(&self.frame, &reply).response();
        insert(response.headers_mut(), facts(&reply).map(|(name, value)| (name, Some(value))));
        Ok(response)
    }
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
