//! One attempt: sends the request, reads a complete or streamed reply, and determines the cost of a failure.

use std::future::Future;
use std::time::Duration;

use baton_core::run::ModelCallError;
use baton_ports::models::ConsumerKey;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Request, Response};
use tokio::time::{Instant, timeout, timeout_at};

use super::body::ResponseBody;
use super::failure::ErrorContext;
use super::stream_reader::StreamReader;
use super::{HttpProvider, failure, rate_limits};
use crate::fault::{code, lasting, transient};
use crate::providers::dialect::{ApiDialect, ReplyAssembler, WireError, WireReply, WireRequest};
use crate::providers::listener::PieceListener;
use crate::providers::{AttemptSpend, ProviderError};

/// The header that carries the caller's span to the provider (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";

/// How long to wait for the end of a stream once the reply is complete. A connection that was read to its end can be
/// reused.
const END_MAX: Duration = Duration::from_millis(20);

/// Statuses of a proxy that stopped waiting: the provider may still be writing.
const TIMED_OUT: [u16; 3] = [408, 504, 524];

pub(super) struct HttpAttempt<'a, D: ApiDialect> {
    remote: &'a HttpProvider<D>,
    query: &'a WireRequest<'a>,
    key: Option<&'a ConsumerKey>,
    listener: PieceListener<'a>,
    reading: StreamReader<D::Assembly>,
    is_accepted: bool,
    /// The rate-limit headers of the provider.
    pub exhausted_for: Option<Duration>,
}

impl<'a, D: ApiDialect> HttpAttempt<'a, D> {
    pub fn new(remote: &'a HttpProvider<D>, query: &'a WireRequest<'a>) -> Self {
        Self {
            remote,
            query,
            key: query.ask.key.or(remote.key.as_ref()),
            listener: PieceListener::new(query.ask.pieces, &query.names),
            reading: StreamReader::new(remote.dialect.new_assembler(query)),
            is_accepted: false,
            exhausted_for: None,
        }
    }

    pub async fn run(&mut self) -> Result<WireReply, ModelCallError> {
        // A reply that is not streamed has its first token only at its end.
        let first_token = self.query.ask.first_token.filter(|_| self.query.stream);
        let deadline = first_token.map(|limit| Instant::now() + limit);
        let response = match by(deadline, self.send()).await {
            Some(sent) => sent?,
            None => return Err(self.no_first_token()),
        };
        if self.query.stream && !is_whole(&response) {
            // Boxed, like all rare paths: its state would enlarge the future of every call.
            Box::pin(self.streamed(response, deadline)).await
        } else {
            self.whole(response).await
        }
    }

    /// Returns the response, if its status is a success.
    async fn send(&mut self) -> Result<Response, ModelCallError> {
        let model = self.query.ask.model;
        let dialect = &self.remote.dialect;
        let body = dialect.body(self.query).and_then(|body| serde_json::to_vec(&body).map_err(|why| why.to_string()));
        let body = body.map_err(|problem| lasting(code::INVALID_REQUEST, format!("model `{model}`: {problem}")))?;
        let mut request = Request::new(Method::POST, dialect.endpoint(model));
        *request.headers_mut() = self.headers()?;
        *request.body_mut() = Some(body.into());
        // From here on the provider may have begun, whatever happens to the answer.
        self.is_accepted = true;
        let response = self.remote.client.execute(request).await.map_err(|error| {
            self.is_accepted = !error.is_connect();
            failure::send_fault(error, &dialect.endpoint(model))
        })?;
        let now = self.remote.clock.now();
        self.exhausted_for = rate_limits::exhausted_for(response.headers(), now);
        if response.status().is_success() {
            return Ok(response);
        }
        self.is_accepted = TIMED_OUT.contains(&response.status().as_u16());
        Err(Box::pin(failure::status_fault(response, &self.error_context(), now)).await)
    }

    fn headers(&self) -> Result<HeaderMap, ModelCallError> {
        let mut headers = self.remote.headers.clone();
        if let Some(key) = self.query.ask.key {
            self.remote.dialect.authorize(&mut headers, key.secret().trim()).map_err(|_| {
                let model = self.query.ask.model;
                let problem = "the API key has characters that cannot be sent; copy it again";
                lasting(code::AUTHENTICATION_FAILED, format!("model `{model}`: {problem}"))
            })?;
        }
        // A value that cannot be a header is ignored.
        let told = self.query.ask.asker.traceparent.as_deref();
        if let Some(value) = told.and_then(|told| HeaderValue::from_str(told).ok()) {
            headers.insert(TRACEPARENT, value);
        }
        Ok(headers)
    }

    async fn whole(&mut self, response: Response) -> Result<WireReply, ModelCallError> {
        let mut body = ResponseBody::of(response);
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await.map_err(|cut| self.fault(cut.into()))? {
            bytes.extend_from_slice(piece.as_ref());
        }
        let answer = self.remote.dialect.read(self.query, &bytes).map_err(|problem| self.fault(problem))?;
        if self.listener.is_active() {
            self.listener.send(answer.pieces()).await;
        }
        Ok(answer)
    }

    async fn streamed(&mut self, response: Response, deadline: Option<Instant>) -> Result<WireReply, ModelCallError> {
        let mut body = ResponseBody::of(response);
        while !self.reading.assembly.is_whole() {
            let until = deadline.filter(|_| !self.reading.assembly.has_begun());
            let Some(piece) = by(until, body.next()).await else { return Err(self.no_first_token()) };
            let piece = piece.map_err(|cut| self.fault(cut.into()))?;
            let taken = self.reading.take(piece.as_ref().map(AsRef::as_ref));
            // Deltas received before an unreadable event are still sent.
            let untold = self.reading.assembly.draft().take_pieces();
            self.listener.send(untold).await;
            taken.map_err(|problem| self.fault(problem))?;
        }
        let _ = timeout(END_MAX, async { while let Ok(Some(_)) = body.next().await {} }).await;
        self.reading.assembly.answer().map_err(|problem| self.fault(problem))
    }

    fn error_context(&self) -> ErrorContext<'_> {
        ErrorContext {
            model: self.query.ask.model,
            place: &self.remote.place,
            key: self.key.map(|key| key.secret().trim()),
            is_consumers: self.query.ask.key.is_some(),
            key_variable: D::KEY_VARIABLE,
        }
    }

    fn fault(&self, problem: WireError) -> ModelCallError {
        match problem {
            WireError::Malformed(why) => {
                transient(code::MALFORMED_REPLY, format!("model `{}`: {why}", self.query.ask.model))
            }
            WireError::Error(error) => failure::embedded_fault(&error, &self.error_context()),
        }
    }

    fn no_first_token(&self) -> ModelCallError {
        let ask = self.query.ask;
        let limit = ask.first_token.unwrap_or_default().as_millis();
        transient(code::TIMEOUT, format!("model `{}`: no first token within {limit} ms", ask.model))
    }

    /// The error of a reply that was not complete in time.
    pub fn timeout_fault(&self) -> ModelCallError {
        self.listener.timeout_fault(&format!("model `{}`", self.query.ask.model), self.query.ask.limit)
    }

    pub fn failure(&self, fault: ModelCallError) -> ProviderError {
        // Counts from before the break-off do not include what the provider generates afterwards.
        let spent = if self.is_accepted { AttemptSpend::Unknown } else { AttemptSpend::NOTHING };
        ProviderError { fault, has_streamed: self.listener.has_received(), spent }
    }
}

/// The result of a future; `None` if it is not ready in time.
async fn by<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

/// Some servers send a complete reply although they were asked to stream.
fn is_whole(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}
