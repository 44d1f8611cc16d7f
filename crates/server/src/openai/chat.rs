//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use baton_core::model::ModelReply;
use baton_engine::agent_registry::QuotaStatus;
use baton_ports::models::{ConsumerKey, ModelCaller};
use tokio::sync::OwnedSemaphorePermit;

use super::admission::AdmittedRequest;
use super::answered_turn::AnsweredTurn;
use super::error::OpenAiError;
use super::rate;
use super::reply::{ChatCompletion, CompletionHead};
use super::reply_format;
use super::request::{self, ChatRequest};
use super::stream::{self, CompletionChunks};
use super::workflow::{PREFIX, TurnReply};
use crate::body::body_budget::BodyShare;
use crate::state::AppState;

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
pub(super) struct GatewayCall {
    pub door: AppState,
    pub asker: ModelCaller,
    pub request: ChatRequest,
    pub frame: CompletionHead,
    /// Given back when the answer is over.
    pub permit: OwnedSemaphorePermit,
    /// Of the memory for bodies: given back when nothing that was read is held any more.
    pub body_share: Option<Arc<BodyShare>>,
}

pub(crate) async fn complete(State(door): State<AppState>, request: Request) -> Result<Response, OpenAiError> {
    let intake = AdmittedRequest::of(door, request).await?;
    let asked = request::read(&intake.body)?;
    if asked.model.starts_with(PREFIX) {
        // Boxed, as streams are: what they need would make room in every call.
        return Box::pin(complete_workflow(intake, asked)).await;
    }
    let (call, told) = GatewayCall::new(intake, asked, "chatcmpl");
    let mut response = match call.request.stream {
        true => {
            let chunks = CompletionChunks::new(call.frame.clone(), call.request.with_usage);
            Box::pin(stream::stream_reply(call, chunks)).await?
        }
        false => {
            let reply = call.reply().await?;
            let mut response = ChatCompletion::of(&call.frame, &reply).response();
            set_reply_headers(&mut response, &reply);
            response
        }
    };
    told.set_headers(&mut response);
    Ok(response)
}

/// A turn of a conversation with a workflow. The place among those under way is held until it is answered.
async fn complete_workflow(intake: AdmittedRequest, asked: ChatRequest) -> Result<Response, OpenAiError> {
    let asked = Arc::new(asked);
    let (turn, body, standing) = intake.into_turn(&asked);
    let answered = AnsweredTurn::of(turn, PATH, &body, "chatcmpl").await?;
    let mut response = match asked.stream {
        true => stream::replay_stream(
            CompletionChunks::new(answered.frame.clone(), asked.with_usage),
            &answered.reply.reply,
        ),
        false => ChatCompletion::of(&answered.frame, &answered.reply.reply).response(),
    };
    set_turn_headers(&mut response, standing, &answered);
    Ok(response)
}

impl GatewayCall {
    /// A call, and what its answer says in its headers.
    pub fn new(intake: AdmittedRequest, asked: ChatRequest, prefix: &str) -> (Self, GatewayCallHeaders) {
        let AdmittedRequest { door, key, headers, turn, permit: place, body_share: share, body: _ } = intake;
        let frame = CompletionHead::new(prefix, &door, &asked.model);
        let asker = ModelCaller {
            key_id: Some(key.id.clone()),
            api_key: provider_key(&headers),
            ..ModelCaller::of(key.tenant.clone(), frame.id.as_str())
        };
        let told = GatewayCallHeaders { door: door.clone(), asker: asker.clone(), turn };
        (Self { door, asker, request: asked, frame, permit: place, body_share: share }, told)
    }

    pub async fn reply(&self) -> Result<ModelReply, OpenAiError> {
        reply_format::ask_until_valid(&self.door, &self.asker, &self.request.form, &self.request.request, None).await
    }
}

/// What the headers of an answer say.
pub(super) struct GatewayCallHeaders {
    door: AppState,
    asker: ModelCaller,
    turn: Option<QuotaStatus>,
}

impl GatewayCallHeaders {
    pub fn set_headers(self, response: &mut Response) {
        // Looked at once it is answered, or has begun to be: this very call may pass the mark.
        let budget = self.door.models.budget_notice(&self.asker);
        if let Some(turn) = self.turn {
            rate::set_headers(response.headers_mut(), &turn);
        }
        insert(response.headers_mut(), [(CALL, Some(self.asker.key)), (BUDGET, budget)]);
    }
}

/// Who answered, and at what price.
pub(super) fn set_reply_headers(response: &mut Response, reply: &ModelReply) {
    insert(response.headers_mut(), reply_headers(reply).map(|(name, value)| (name, Some(value))));
}

/// How often one may ask, and what is said of a turn that was answered.
pub(super) fn set_turn_headers(response: &mut Response, standing: Option<QuotaStatus>, answered: &AnsweredTurn) {
    if let Some(standing) = standing {
        rate::set_headers(response.headers_mut(), &standing);
    }
    set_run_headers(response, &answered.reply);
    answered.set_headers(response);
}

/// Which run said it, and what that has cost.
fn set_run_headers(response: &mut Response, said: &TurnReply) {
    let cost = format!("{:.9}", said.reply.cost.as_f64());
    insert(response.headers_mut(), [(COST, Some(cost)), (EXECUTION, Some(said.run.to_string()))]);
}

/// The consumer's own key at the provider, where they bring one.
pub(super) fn provider_key(headers: &HeaderMap) -> Option<ConsumerKey> {
    let key = headers.get(PROVIDER_KEY).and_then(|key| key.to_str().ok()).filter(|key| !key.is_empty());
    key.map(ConsumerKey::new)
}

/// What is known once it was answered: who did, and at what price. A streamed answer says so at its end.
pub(super) fn reply_headers(reply: &ModelReply) -> [(HeaderName, String); 3] {
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
