//! A reply that comes in pieces: server-sent events of chat completion chunks, put together again.

use std::collections::BTreeMap;

use baton_core::model::{ToolCall, Usage};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{self, Answer, Content, Problem, WireCall, WireUsage};
use super::body::Body;
use super::failure;

/// Bytes one event may have.
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// Tool calls one reply may have.
const CALLS_MAX: usize = 256;

pub(super) struct Stream {
    body: Body,
    events: Events,
    reply: Pieces,
}

impl Stream {
    pub fn new(body: Body) -> Self {
        Self { body, events: Events::default(), reply: Pieces::default() }
    }

    /// Waits until the reply has begun.
    pub async fn begin(&mut self) -> Result<(), Problem> {
        while !self.reply.begun && !self.reply.ended {
            self.advance().await?;
        }
        Ok(())
    }

    /// The rest, and what it all comes to.
    pub async fn finish(mut self) -> Result<Answer, Problem> {
        while !self.reply.ended {
            self.advance().await?;
        }
        Ok(self.reply.answer())
    }

    async fn advance(&mut self) -> Result<(), Problem> {
        match self.body.next().await? {
            Some(piece) => {
                for event in self.events.feed(piece.as_ref())? {
                    self.reply.take(&event)?;
                }
                Ok(())
            }
            None => {
                if let Some(event) = self.events.rest()? {
                    self.reply.take(&event)?;
                }
                self.reply.close()
            }
        }
    }
}

/// Cuts bytes into events: the data lines between blank lines.
#[derive(Default)]
struct Events {
    line: Vec<u8>,
    data: String,
}

impl Events {
    fn feed(&mut self, bytes: &[u8]) -> Result<Vec<String>, Problem> {
        let mut events = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len() + self.data.len() + piece.len() > EVENT_BYTES_MAX {
                return Err(Problem::malformed(format!(
                    "an event of the stream has more than {EVENT_BYTES_MAX} bytes"
                )));
            }
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                events.extend(self.line()?);
            }
        }
        Ok(events)
    }

    /// What stands behind the last line break of all.
    fn rest(&mut self) -> Result<Option<String>, Problem> {
        self.line()?;
        let data = std::mem::take(&mut self.data);
        Ok(Some(data).filter(|data| !data.is_empty()))
    }

    /// Ends a line; a blank one ends the event.
    fn line(&mut self) -> Result<Option<String>, Problem> {
        let bytes = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&bytes).map_err(|_| Problem::malformed("the stream is not UTF-8"))?;
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return Ok(Some(data).filter(|data| !data.is_empty()));
        }
        // Comments, names, ids and retry times mean nothing here.
        if let Some(data) = line.strip_prefix("data:") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        }
        Ok(None)
    }
}

#[derive(Deserialize)]
struct Chunk {
    model: Option<String>,
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    usage: Option<WireUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<WireCall>>,
}

/// The reply so far.
#[derive(Default)]
struct Pieces {
    begun: bool,
    ended: bool,
    content: String,
    refusal: String,
    calls: BTreeMap<usize, CallPieces>,
    finish: Option<String>,
    usage: Option<Usage>,
    model: Option<String>,
}

#[derive(Default)]
struct CallPieces {
    id: String,
    name: String,
    arguments: String,
}

impl Pieces {
    fn take(&mut self, event: &str) -> Result<(), Problem> {
        if self.ended {
            return Ok(());
        }
        if event.trim() == "[DONE]" {
            return self.close();
        }
        let chunk: Chunk = serde_json::from_str(event)
            .map_err(|error| Problem::malformed(failure::unreadable("a piece of the reply", &error)))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(Problem::Error(error));
        }
        self.model = self.model.take().or(chunk.model);
        self.usage = chunk.usage.map(WireUsage::ours).or(self.usage);
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        if let Some(delta) = choice.delta {
            self.delta(delta)?;
        }
        if choice.finish_reason.is_some() {
            self.finish = choice.finish_reason;
            self.begun = true;
        }
        Ok(())
    }

    fn delta(&mut self, delta: Delta) -> Result<(), Problem> {
        let content = delta.content.map(Content::into_text).unwrap_or_default();
        let refusal = delta.refusal.unwrap_or_default();
        let calls = delta.tool_calls.unwrap_or_default();
        self.begun |= !content.is_empty() || !refusal.is_empty() || !calls.is_empty();
        self.content.push_str(&content);
        self.refusal.push_str(&refusal);
        for call in calls {
            let index = call.index.unwrap_or(0);
            if index >= CALLS_MAX {
                return Err(Problem::malformed(format!("the reply has more than {CALLS_MAX} tool calls")));
            }
            let pieces = self.calls.entry(index).or_default();
            pieces.id.push_str(&call.id.unwrap_or_default());
            let Some(function) = call.function else { continue };
            pieces.name.push_str(&function.name.unwrap_or_default());
            match function.arguments {
                Some(Value::String(text)) => pieces.arguments.push_str(&text),
                Some(Value::Null) | None => {}
                Some(other) => pieces.arguments.push_str(&other.to_string()),
            }
        }
        Ok(())
    }

    /// The stream is over: whole, if it said how it finished.
    fn close(&mut self) -> Result<(), Problem> {
        if self.finish.is_none() {
            return Err(Problem::malformed("the stream ended before the reply did"));
        }
        self.ended = true;
        Ok(())
    }

    fn answer(self) -> Answer {
        let call = |(index, call): (usize, CallPieces)| ToolCall {
            id: if call.id.is_empty() { format!("call_{index}") } else { call.id },
            name: call.name,
            arguments: answer::read_arguments(call.arguments),
        };
        let tool_calls: Vec<ToolCall> = self.calls.into_iter().map(call).collect();
        let refused = !self.refusal.is_empty();
        Answer {
            finish: answer::finish(self.finish.as_deref(), refused, !tool_calls.is_empty()),
            content: if refused { self.refusal } else { self.content },
            tool_calls,
            usage: self.usage,
            model: self.model,
        }
    }
}

#[cfg(test)]
mod tests;
