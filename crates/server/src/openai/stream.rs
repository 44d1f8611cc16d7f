//! A streamed answer: server-sent events, in the form of the path that was asked.
//!
//! Nothing is sent before the first piece, so an answer that fails before it is an HTTP error and not a broken stream.
//! The call to the model lives in the response: a caller who hangs up ends it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use baton_core::model::{Finish, Reply};
use baton_ports::models::{PIECES_WAITING_MAX, Piece};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::chat::{self, Call};
use super::error::Error;
use super::form;
use super::reply::{self, Frame};
use crate::body::budget::BodyShare;
use crate::problem::Problem;

const DONE: &str = "[DONE]";

type Asking = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

/// How pieces of a reply are told.
pub(super) trait EventFormat: Send + 'static {
    fn take(&mut self, piece: Piece);

    /// The reply is whole. Nothing that was told in pieces is told again.
    fn end(&mut self, reply: &Reply);

    /// The stream has begun, so the error is its last event.
    fn fail(&mut self, error: &Error);

    /// The next event that is ready to be sent.
    fn next(&mut self) -> Option<Event>;

    fn is_ready(&self) -> bool;

    /// Whether nothing comes any more.
    fn is_over(&self) -> bool;
}

/// An answer on its way.
struct Answer<F> {
    format: F,
    asking: Option<Asking>,
    pieces: mpsc::Receiver<Piece>,
    /// What was asked is held until the stream ends, by whoever asks and by what repeats it; so its bytes count as long.
    _share: Option<Arc<BodyShare>>,
}

/// What happens next in a call that is under way.
enum Next {
    Piece(Piece),
    End(Result<Reply, Error>),
}

pub(super) async fn answer(call: Call, format: impl EventFormat) -> Result<Response, Error> {
    let (sender, pieces) = mpsc::channel(PIECES_WAITING_MAX);
    let share = call.share.clone();
    let asking: Asking = Box::pin(async move {
        let Call { door, asker, asked, place: _place, .. } = call;
        // What nobody holds to its form is only told once it has it.
        let is_told = asked.form.is_free() || door.models.holds(&asker, &asked.request);
        form::ask(&door, &asker, &asked.form, &asked.request, is_told.then_some(&sender)).await
    });
    let mut answer = Answer { format, asking: Some(asking), pieces, _share: share };
    while !answer.format.is_ready() {
        match answer.next().await {
            Next::Piece(piece) => answer.format.take(piece),
            Next::End(reply) => answer.format.end(&reply?),
        }
    }
    let events = stream::unfold(answer, async |mut answer| {
        let event = answer.event().await?;
        Some((Ok::<_, Infallible>(event), answer))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// An answer that is there already, as a stream.
pub(super) fn whole(mut format: impl EventFormat, reply: &Reply) -> Response {
    format.end(reply);
    let events = std::iter::from_fn(move || format.next());
    Sse::new(stream::iter(events.map(Ok::<_, Infallible>))).into_response()
}

/// What a caller is told whose reply was taken back after it had begun.
pub(super) fn broken_off() -> Error {
    let message = "the reply broke off after it had begun; ask again";
    Problem::new(StatusCode::BAD_GATEWAY, "REPLY_BROKEN", message).into()
}

impl<F: EventFormat> Answer<F> {
    /// The next event, or none once all are sent.
    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.format.next() {
                return Some(event);
            }
            if self.format.is_over() {
                return None;
            }
            match self.next().await {
                Next::Piece(piece) => self.format.take(piece),
                Next::End(Ok(reply)) => self.format.end(&reply),
                Next::End(Err(fault)) => self.format.fail(&fault),
            }
            if self.format.is_over() {
                self.asking = None;
            }
        }
    }

    async fn next(&mut self) -> Next {
        let Some(asking) = self.asking.as_mut() else {
            // Only after the end is there nobody to ask, and nobody asks then.
            return std::future::pending().await;
        };
        tokio::select! {
            biased;
            Some(piece) = self.pieces.recv() => Next::Piece(piece),
            reply = asking => {
                self.asking = None;
                self.drain();
                Next::End(reply)
            }
        }
    }

    /// Pieces that came in the same instant as the end come before it.
    fn drain(&mut self) {
        while let Ok(piece) = self.pieces.try_recv() {
            self.format.take(piece);
        }
    }
}

/// Chunks of a chat completion.
pub(super) struct Chunks {
    frame: Frame,
    with_usage: bool,
    /// Events that are ready to be sent.
    ready: VecDeque<Event>,
    /// Pieces were sent: what comes at the end does not repeat them.
    begun: bool,
    over: bool,
}

impl EventFormat for Chunks {
    fn take(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) => self.delta(json!({ "content": text })),
            Piece::ToolCall { index, id, name, arguments } => {
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
            // Only what nobody has seen can be taken back.
            Piece::Reset if !self.begun => {}
            Piece::Reset => self.fail(&broken_off()),
        }
    }

    fn end(&mut self, reply: &Reply) {
        if self.over {
            return;
        }
        if !self.begun {
            self.tell_whole(reply);
        }
        let finish =
            if reply.finish == Finish::Stop && !reply.tool_calls.is_empty() { Finish::ToolCalls } else { reply.finish };
        self.push(&reply::chunk(&self.frame, &json!({}), Some(finish)));
        if self.with_usage {
            self.push(&reply::usage_chunk(&self.frame, &reply.usage));
        }
        for (name, value) in chat::facts(reply) {
            // A comment has one line, and clients pass it over.
            let value = value.replace(['\n', '\r'], " ");
            self.ready.push_back(Event::default().comment(format!("{name}: {value}")));
        }
        self.ready.push_back(Event::default().data(DONE));
        self.over = true;
    }

    fn fail(&mut self, error: &Error) {
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

impl Chunks {
    pub fn new(frame: Frame, with_usage: bool) -> Self {
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

    /// A provider that does not stream gives everything at its end.
    fn tell_whole(&mut self, reply: &Reply) {
        self.delta(json!({ "content": reply.content }));
        for (index, call) in reply.tool_calls.iter().enumerate() {
            let (id, name) = (Some(call.id.clone()), Some(call.name.clone()));
            self.take(Piece::ToolCall { index, id, name, arguments: reply::arguments(call).into_owned() });
        }
    }

    fn push(&mut self, event: &Value) {
        self.ready.push_back(Event::default().data(event.to_string()));
    }
}
