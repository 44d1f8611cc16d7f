//! `POST /v1/chat/completions`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use baton_core::model::Reply;
use baton_ports::keys::Key;
use baton_ports::models::{ApiKey, Asker};
use tokio::sync::OwnedSemaphorePermit;

use super::error::Error;
use super::reply::{self, Frame};
use super::request::{self, Asked};
use super::stream;
use crate::door::Door;
use crate::problem::Problem;

/// The consumer's own key for the provider: used for this call, never kept.
const PROVIDER_KEY: HeaderName = HeaderName::from_static("x-provider-key");
const COST: HeaderName = HeaderName::from_static("x-baton-cost-usd");
const PROVIDER: HeaderName = HeaderName::from_static("x-baton-provider");

/// A request that was let in, and its place among those under way.
pub(super) struct Call {
    pub door: Door,
    pub asker: Asker,
    pub asked: Asked,
    pub frame: Frame,
    /// Given back when the answer is over.
    pub place: OwnedSemaphorePermit,
}

pub(crate) async fn complete(
    State(door): State<Door>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Error> {
    let key = door.keys.bearer(&headers).await?;
    let place = door.room.clone().try_acquire_owned().map_err(|_| Problem::overloaded())?;
    let limit = door.limits.body_bytes;
    let body = body.map_err(|_| Error::too_large(format!("the body is larger than {limit} bytes, or was cut off")))?;
    let asked = request::read(&body)?;
    let call = Call::new(door, &key, &headers, asked, place);
    if call.asked.stream { stream::answer(call).await } else { call.answer().await }
}

impl Call {
    fn new(door: Door, key: &Arc<Key>, headers: &HeaderMap, asked: Asked, place: OwnedSemaphorePermit) -> Self {
        let id = format!("chatcmpl-{}", uuid::Uuid::now_v7().simple());
        let own = headers.get(PROVIDER_KEY).and_then(|key| key.to_str().ok()).filter(|key| !key.is_empty());
        let asker = Asker {
            tenant: key.tenant.clone(),
            run: None,
            key: id.clone(),
            workflow: None,
            key_id: Some(key.id.clone()),
            api_key: own.map(ApiKey::new),
            lost_key: false,
            tab: None,
            resets: false,
        };
        let created = door.clock.now().as_ms() / 1_000;
        let frame = Frame { id, created, model: asked.model.clone() };
        Self { door, asker, asked, frame, place }
    }

    async fn answer(self) -> Result<Response, Error> {
        let limit = self.door.limits.answer;
        let reply = self.door.models.ask(&self.asker, &self.asked.request, limit, None).await?;
        let mut response = Json(reply::whole(&self.frame, &reply)).into_response();
        annotate(&reply, response.headers_mut());
        Ok(response)
    }
}

/// Says what it cost and who answered.
fn annotate(reply: &Reply, headers: &mut HeaderMap) {
    if let Ok(cost) = HeaderValue::try_from(format!("{:.9}", reply.cost.as_f64())) {
        headers.insert(COST, cost);
    }
    if let Ok(provider) = HeaderValue::try_from(&reply.provider) {
        headers.insert(PROVIDER, provider);
    }
}
