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
/// The consumer's own key for the provider: used for this call, never stored.
const PROVIDER_KEY: HeaderName = HeaderName::from_static("x-provider-key");
const COST: HeaderName = HeaderName::from_static("x-baton-cost-usd");
const PROVIDER: HeaderName = HeaderName::from_static("x-baton-provider");
const MODEL: HeaderName = HeaderName::from_static("x-baton-model");
/// The id of the call, for `baton models explain`.
const CALL: HeaderName = HeaderName::from_static("x-baton-call");
/// The run that handled a workflow turn.
const EXECUTION: HeaderName = HeaderName::from_static("x-baton-execution");
const BUDGET: HeaderName = HeaderName::from_static("x-baton-budget");

/// An admitted request, with its request permit.
pub(super) struct GatewayCall {
    pub state: AppState,
    pub asker: ModelCaller,
    pub request: ChatRequest,
    pub frame: CompletionHead,
    /// Released when the response is complete.
    pub permit: OwnedSemaphorePermit,
    /// The body's share of the memory budget. Released when the body's data is dropped.
    pub body_share: Option<Arc<BodyShare>>,
}

pub(crate) async fn complete(State(state): State<AppState>, request: Request) -> Result<Response, OpenAiError> {
    let intake = AdmittedRequest::of(state, request).await?;
    let asked = request::read(&intake.body)?;
    if asked.model.starts_with(PREFIX) {
        // Boxed, like streams, so that its large future does not take up space in every call.
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

/// Answers a conversation turn with a workflow. The request permit is held until it is answered.
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
    /// A call, and the data for the headers of its response.
    pub fn new(intake: AdmittedRequest, asked: ChatRequest, prefix: &str) -> (Self, GatewayCallHeaders) {
        let AdmittedRequest { state, key, headers, turn, permit: place, body_share: share, body: _ } = intake;
        let frame = CompletionHead::new(prefix, &state, &asked.model);
        let asker = ModelCaller {
            key_id: Some(key.id.clone()),
            api_key: provider_key(&headers),
            ..ModelCaller::of(key.tenant.clone(), frame.id.as_str())
        };
        let told = GatewayCallHeaders { state: state.clone(), asker: asker.clone(), turn };
        (Self { state, asker, request: asked, frame, permit: place, body_share: share }, told)
    }

    pub async fn reply(&self) -> Result<ModelReply, OpenAiError> {
        reply_format::ask_until_valid(&self.state, &self.asker, &self.request.form, &self.request.request, None).await
    }
}

/// The data for the headers of a response.
pub(super) struct GatewayCallHeaders {
    state: AppState,
    asker: ModelCaller,
    turn: Option<QuotaStatus>,
}

impl GatewayCallHeaders {
    pub fn set_headers(self, response: &mut Response) {
        // Read after the response is complete or has started, because this call itself may cross the budget's
        // threshold.
        let budget = self.state.models.budget_notice(&self.asker);
        if let Some(turn) = self.turn {
            rate::set_headers(response.headers_mut(), &turn);
        }
        insert(response.headers_mut(), [(CALL, Some(self.asker.key)), (BUDGET, budget)]);
    }
}

/// Sets the headers with the model, the provider and the cost.
pub(super) fn set_reply_headers(response: &mut Response, reply: &ModelReply) {
    insert(response.headers_mut(), reply_headers(reply).map(|(name, value)| (name, Some(value))));
}

/// Sets the rate limit headers, and those of an answered turn.
pub(super) fn set_turn_headers(response: &mut Response, standing: Option<QuotaStatus>, answered: &AnsweredTurn) {
    if let Some(standing) = standing {
        rate::set_headers(response.headers_mut(), &standing);
    }
    set_run_headers(response, &answered.reply);
    answered.set_headers(response);
}

/// Sets the headers with the run and its cost.
fn set_run_headers(response: &mut Response, said: &TurnReply) {
    let cost = format!("{:.9}", said.reply.cost.as_f64());
    insert(response.headers_mut(), [(COST, Some(cost)), (EXECUTION, Some(said.run.to_string()))]);
}

/// The consumer's own provider key, if they bring one.
pub(super) fn provider_key(headers: &HeaderMap) -> Option<ConsumerKey> {
    let key = headers.get(PROVIDER_KEY).and_then(|key| key.to_str().ok()).filter(|key| !key.is_empty());
    key.map(ConsumerKey::new)
}

/// The headers known after the reply: model, provider and cost. A streamed response carries them as comments at its
/// end.
pub(super) fn reply_headers(reply: &ModelReply) -> [(HeaderName, String); 3] {
    let cost = format!("{:.9}", reply.cost.as_f64());
    [(COST, cost), (PROVIDER, reply.provider.clone()), (MODEL, reply.model.clone())]
}

/// Inserts the values that are present and valid in a header.
fn insert(headers: &mut HeaderMap, all: impl IntoIterator<Item = (HeaderName, Option<String>)>) {
    for (name, value) in all {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
}
