//! Assembles a reply that is streamed in chat completion chunks.

use std::collections::BTreeMap;

use baton_core::model::content::MessageContent;
use serde::Deserialize;
use serde_json::Value;

use super::answer::{self, OpenAiContentPart, OpenAiToolCall, OpenAiUsage};
use crate::providers::dialect::{ReplyAssembler, WireError, WireReply};
use crate::providers::draft::ReplyDraft;

#[derive(Deserialize)]
struct OpenAiChunk {
    model: Option<String>,
    choices: Option<Vec<OpenAiChunkChoice>>,
    usage: Option<OpenAiUsage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct OpenAiChunkChoice {
    index: Option<u32>,
    delta: Option<OpenAiDelta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct OpenAiDelta {
    #[serde(default)]
    content: MessageContent<OpenAiContentPart>,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    /// The name of the same field in newer vLLM, Ollama and OpenRouter; they do not require it back.
    reasoning: Option<String>,
    tool_calls: Option<Vec<OpenAiToolCall>>,
}

/// The reply so far.
#[derive(Default)]
pub(crate) struct OpenAiAssembler {
    draft: ReplyDraft,
    /// The call that each index of the wire currently refers to.
    open: BTreeMap<usize, OpenToolCall>,
    begun: bool,
    ended: bool,
    refused: bool,
    reasoning: String,
    sealed: Vec<Value>,
    finish: Option<String>,
}

struct OpenToolCall {
    id: String,
    place: usize,
}

impl ReplyAssembler for OpenAiAssembler {
    fn feed(&mut self, event: &str) -> Result<(), WireError> {
        if self.ended {
            return Ok(());
        }
        if event.trim() == "[DONE]" {
            return self.close();
        }
        let chunk: OpenAiChunk =
            serde_json::from_str(event).map_err(|error| WireError::invalid_json("a piece of the reply", &error))?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(WireError::Error(error));
        }
        let model = chunk.model.filter(|model| !model.is_empty());
        self.draft.model = self.draft.model.take().or(model);
        self.draft.usage = chunk.usage.and_then(OpenAiUsage::to_usage).or(self.draft.usage);
        let choices = chunk.choices.unwrap_or_default().into_iter();
        for choice in choices.filter(|choice| choice.index.unwrap_or(0) == 0) {
            if let Some(delta) = choice.delta {
                self.delta(delta)?;
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish = Some(reason);
                self.begun = true;
            }
        }
        Ok(())
    }

    /// Ends the stream. The reply is complete if it has a finish reason.
    fn close(&mut self) -> Result<(), WireError> {
        if self.finish.is_none() {
            return Err(WireError::malformed("the stream ended before the reply did"));
        }
        self.ended = true;
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.begun
    }

    fn is_whole(&self) -> bool {
        self.ended
    }

    fn draft(&mut self) -> &mut ReplyDraft {
        &mut self.draft
    }

    fn answer(&mut self) -> Result<WireReply, WireError> {
        let tool_calls = self.draft.take_calls()?;
        let mut thinking = answer::reasoning_block(std::mem::take(&mut self.reasoning));
        thinking.append(&mut self.sealed);
        Ok(WireReply {
            finish: answer::finish(self.finish.as_deref(), self.refused, !tool_calls.is_empty())?,
            content: std::mem::take(&mut self.draft.content),
            tool_calls,
            usage: self.draft.usage,
            model: self.draft.model.take(),
            thinking,
        })
    }
}

impl OpenAiAssembler {
    fn delta(&mut self, delta: OpenAiDelta) -> Result<(), WireError> {
        let content = answer::text(delta.content);
        let refusal = delta.refusal.unwrap_or_default();
        let reasoning = delta.reasoning_content.unwrap_or_default();
        let is_thinking = !reasoning.is_empty() || delta.reasoning.is_some_and(|reasoning| !reasoning.is_empty());
        self.refused |= !refusal.is_empty();
        self.begun |= is_thinking || !content.is_empty() || !refusal.is_empty();
        self.draft.text(&content);
        self.draft.text(&refusal);
        self.reasoning.push_str(&reasoning);
        for call in delta.tool_calls.unwrap_or_default() {
            self.begun = true;
            self.call(call)?;
        }
        Ok(())
    }

    fn call(&mut self, call: OpenAiToolCall) -> Result<(), WireError> {
        let id = call.id.unwrap_or_default();
        let (name, arguments) = call.function.map_or((None, None), |function| (function.name, function.arguments));
        let name = name.unwrap_or_default();
        let place = self.place(call.index.unwrap_or(0), &id, &name)?;
        self.draft.name(place, &name);
        match arguments {
            Some(Value::String(text)) => self.draft.arguments(place, &text),
            Some(Value::Null) | None => {}
            Some(other) => self.draft.arguments(place, &other.to_string()),
        }
        if let Some(extra) = call.extra_content.filter(|extra| !extra.is_null()) {
            self.sealed.push(answer::sealed_extra(self.draft.id(place), extra));
        }
        Ok(())
    }

    /// The call that a delta belongs to. A delta with a name begins another call at the same index if it has another
    /// id, or if neither has an id and the call before is complete.
    fn place(&mut self, index: usize, id: &str, name: &str) -> Result<usize, WireError> {
        if let Some(open) = self.open.get(&index) {
            let is_other = if id.is_empty() { self.draft.is_whole(open.place) } else { id != open.id };
            if name.is_empty() || !is_other {
                return Ok(open.place);
            }
        }
        let place = self.draft.call(id, name)?;
        self.open.insert(index, OpenToolCall { id: id.to_owned(), place });
        Ok(place)
    }
}
