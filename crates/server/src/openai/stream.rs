//! Streamed responses: server-sent events, in the format of the requested path.
//!
//! Nothing is sent before the first piece, so a request that fails earlier gets an HTTP error and not a broken
//! stream. The response owns the call to the model: if the caller disconnects, the call is cancelled.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use baton_core::model::{FinishReason, ModelReply};
use baton_ports::models::{DELTAS_WAITING_MAX, ReplyDelta};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::chat::{self, GatewayCall};
use super::error::OpenAiError;
use super::reply::{self, CompletionHead};
use super::reply_format;
use crate::body::body_budget::BodyShare;
use crate::problem::HttpProblem;

const DONE: &str = "[DONE]";

type PendingReply = Pin<Box<dyn Future<Output = Result<ModelReply, OpenAiError>> + Send>>;

/// The event format of a streamed reply.
pub(super) trait EventFormat: Send + 'static {
    fn push_piece(&mut self, piece: ReplyDelta);

    /// The reply is complete. Content that was sent in pieces is not repeated.
    fn finish(&mut self, reply: &ModelReply);

    /// The stream has started, so the error is its last event.
    fn fail(&mut self, error: &OpenAiError);

    /// The next event that is ready to be sent.
    fn next(&mut self) -> Option<Event>;

    fn is_ready(&self) -> bool;

    /// Whether the stream has ended.
    fn is_over(&self) -> bool;
}

/// A streamed response.
struct ReplyStream<F> {
    format: F,
    asking: Option<PendingReply>,
    pieces: mpsc::Receiver<ReplyDelta>,
    /// The request is held until the stream ends, by the call and by the response that repeats its parameters. Its
    /// bytes count for as long.
    _share: Option<Arc<BodyShare>>,
}

/// The next step of a call in progress.
enum ReplyStreamStep {
    Piece(ReplyDelta),
    End(Result<ModelReply, OpenAiError>),
}

pub(super) async fn stream_reply(call: GatewayCall, format: impl EventFormat) -> Result<Response, OpenAiError> {
    let (sender, pieces) = mpsc::channel(DELTAS_WAITING_MAX);
    let share = call.body_share.clone();
    let asking: PendingReply = Box::pin(async move {
        let GatewayCall { state, asker, request: asked, permit: _place, .. } = call;
        // A reply whose format the provider does not enforce is sent only after it was checked.
        let is_told = asked.form.is_unconstrained() || state.models.enforces_schema(&asker, &asked.request);
        reply_format::ask_until_valid(&state, &asker, &asked.form, &asked.request, is_told.then_some(&sender)).await
    });
    let mut answer = ReplyStream { format, asking: Some(asking), pieces, _share: share };
    while !answer.format.is_ready() {
        match answer.next().await {
            ReplyStreamStep::Piece(piece) => answer.format.push_piece(piece),
            ReplyStreamStep::End(reply) => answer.format.finish(&reply?),
        }
    }
    let events = stream::unfold(answer, async |mut answer| {
        let event = answer.event().await?;
        Some((Ok::<_, Infallible>(event), answer))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// Streams a reply that is already complete.
pub(super) fn replay_stream(mut format: impl EventFormat, reply: &ModelReply) -> Response {
    format.finish(reply);
    let events = std::iter::from_fn(move || format.next());
    Sse::new(stream::iter(events.map(Ok::<_, Infallible>))).into_response()
}

/// The error for a reply that was withdrawn after it had started.
pub(super) fn interrupted() -> OpenAiError {
    let message = "the reply broke off after it had begun; ask again";
    HttpProblem::new(StatusCode::BAD_GATEWAY, "REPLY_BROKEN", message).into()
}

impl<F: EventFormat> ReplyStream<F> {
    /// The next event, or `None` once all are sent.
    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.format.next() {
                return Some(event);
            }
            if self.format.is_over() {
                return None;
            }
            match self.next().await {
                ReplyStreamStep::Piece(piece) => self.format.push_piece(piece),
                ReplyStreamStep::End(Ok(reply)) => self.format.finish(&reply),
                ReplyStreamStep::End(Err(fault)) => self.format.fail(&fault),
            }
            if self.format.is_over() {
                self.asking = None;
            }
        }
    }

    async fn next(&mut self) -> ReplyStreamStep {
        let Some(asking) = self.asking.as_mut() else {
            // Not reached: after the end of the call, no further step is requested.
            return std::future::pending().await;
        };
        tokio::select! {
            biased;
            Some(piece) = self.pieces.recv() => ReplyStreamStep::Piece(piece),
            reply = asking => {
                self.asking = None;
                self.drain();
                ReplyStreamStep::End(reply)
            }
        }
    }

    /// Pieces that arrived together with the end are sent before it.
    fn drain(&mut self) {
        while let Ok(piece) = self.pieces.try_recv() {
            self.format.push_piece(piece);
        }
    }
}

/// The chunks of a chat completion.
pub(super) struct CompletionChunks {
    frame: CompletionHead,
    with_usage: bool,
    /// Events that are ready to be sent.
    ready: VecDeque<Event>,
    /// Pieces were sent, so the end does not repeat them.
    begun: bool,
    over: bool,
}

impl EventFormat for CompletionChunks {
    fn push_piece(&mut self, piece: ReplyDelta) {
        match piece {
            ReplyDelta::Text(text) => self.delta(json!({ "content": text })),
            ReplyDelta::ToolCall { index, id, name, arguments } => {
                let mut function = json!({ "arguments": arguments });
                if let Some(name) = name {
                    function["name"] = Value::String(name);
                }
                let mut call = json!({ "index": index, "function": function });
                if let Some(id) = id {
                    call["id"] = Value::String(id);
                    call["type"] = json!("function");
                }
                self.delta(json!({ "tool_calls": [call] }));
            }
            // Only a reply that was not sent yet can be withdrawn.
            ReplyDelta::Reset if !self.begun => {}
            ReplyDelta::Reset => self.fail(&interrupted()),
        }
    }

    fn finish(&mut self, reply: &ModelReply) {
        if self.over {
            return;
        }
        if !self.begun {
            self.push_reply(reply);
        }
        let finish = if reply.finish == FinishReason::Stop && !reply.tool_calls.is_empty() {
            FinishReason::ToolCalls
        } else {
            reply.finish
        };
        self.push(&reply::chunk(&self.frame, &json!({}), Some(finish)));
        if self.with_usage {
            self.push(&reply::usage_chunk(&self.frame, &reply.usage));
        }
        for (name, value) in chat::reply_headers(reply) {
            // A comment must be a single line; clients ignore it.
            let value = value.replace(['\n', '\r'], " ");
            self.ready.push_back(Event::default().comment(format!("{name}: {value}")));
        }
        self.ready.push_back(Event::default().data(DONE));
        self.over = true;
    }

    fn fail(&mut self, error: &OpenAiError) {
        self.push(&error.body());
        self.over = true;
    }

    fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

impl CompletionChunks {
    pub fn new(frame: CompletionHead, with_usage: bool) -> Self {
        Self { frame, with_usage, ready: VecDeque::new(), begun: false, over: false }
    }

    fn delta(&mut self, mut delta: Value) {
        if self.over {
            return;
        }
        if !self.begun {
            self.begun = true;
            delta["role"] = json!("assistant");
        }
        self.push(&reply::chunk(&self.frame, &delta, None));
    }

    /// A provider that does not stream delivers the whole reply at the end.
    fn push_reply(&mut self, reply: &ModelReply) {
        self.delta(json!({ "content": reply.content }));
        for (index, call) in reply.tool_calls.iter().enumerate() {
            let (id, name) = (Some(call.id.clone()), Some(call.name.clone()));
            self.push_piece(ReplyDelta::ToolCall { index, id, name, arguments: reply::arguments(call).into_owned() });
        }
    }

    fn push(&mut self, event: &Value) {
        self.ready.push_back(Event::default().data(event.to_string()));
    }
}
