//! Assembles a reply that is streamed in block events.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{self, AnthropicUsage};
use super::blocks;
use super::structured::ANSWER_TOOL_NAME;
use crate::providers::dialect::{ReplyAssembler, WireError, WireReply};
use crate::providers::draft::{ReplyDraft, read_arguments};

/// Maximum number of blocks in one reply.
const BLOCKS_MAX: usize = 1_024;

/// Events and deltas that are not listed here are ignored: pings, and future additions.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum AnthropicEvent {
    MessageStart {
        message: AnthropicMessageStart,
    },
    ContentBlockStart {
        index: usize,
        content_block: Map<String, Value>,
    },
    ContentBlockDelta {
        index: usize,
        delta: AnthropicDelta,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta {
        delta: AnthropicMessageEnd,
        usage: Option<AnthropicUsage>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct AnthropicMessageStart {
    model: Option<String>,
    usage: Option<AnthropicUsage>,
}

#[derive(Deserialize)]
struct AnthropicMessageEnd {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum AnthropicDelta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    Input { partial_json: Option<String> },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(other)]
    Other,
}

/// The reply so far.
pub(crate) struct AnthropicAssembler {
    forced: bool,
    draft: ReplyDraft,
    blocks: BTreeMap<usize, ContentBlock>,
    has_begun: bool,
    ended: bool,
    /// The whole reply has been counted.
    is_counted: bool,
    stop_reason: Option<String>,
}

struct ContentBlock {
    /// The block as it began, with the text and thinking received since.
    value: Map<String, Value>,
    /// JSON of a tool's input.
    input: String,
    kind: ContentBlockKind,
    open: bool,
}

enum ContentBlockKind {
    Text,
    /// A call, by its index in the draft.
    Call(usize),
    /// The call whose input is the answer.
    Answer,
    Thought,
    Other,
}

impl ReplyAssembler for AnthropicAssembler {
    fn feed(&mut self, event: &str) -> Result<(), WireError> {
        if self.ended {
            return Ok(());
        }
        let event: AnthropicEvent =
            serde_json::from_str(event).map_err(|error| WireError::invalid_json("a piece of the reply", &error))?;
        match event {
            AnthropicEvent::MessageStart { message } => {
                self.draft.model = message.model;
                self.count(message.usage);
                Ok(())
            }
            AnthropicEvent::ContentBlockStart { index, content_block } => self.open(index, content_block),
            AnthropicEvent::ContentBlockDelta { index, delta } => self.delta(index, delta),
            AnthropicEvent::ContentBlockStop { index } => self.close_block(index),
            AnthropicEvent::MessageDelta { delta, usage } => {
                self.is_counted |= usage.is_some_and(|usage| usage.counts_reply());
                self.count(usage);
                self.stop_reason = delta.stop_reason.or(self.stop_reason.take());
                self.has_begun |= self.stop_reason.is_some();
                Ok(())
            }
            AnthropicEvent::MessageStop => self.close(),
            AnthropicEvent::Error { error } => Err(WireError::Error(error)),
            AnthropicEvent::Other => Ok(()),
        }
    }

    /// Ends the stream. The reply is complete if it has a stop reason and every block was closed.
    fn close(&mut self) -> Result<(), WireError> {
        if self.stop_reason.is_none() || self.blocks.values().any(|block| block.open) {
            return Err(WireError::malformed("the stream ended before the reply did"));
        }
        self.ended = true;
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.has_begun
    }

    fn is_whole(&self) -> bool {
        self.ended
    }

    fn draft(&mut self) -> &mut ReplyDraft {
        &mut self.draft
    }

    fn answer(&mut self) -> Result<WireReply, WireError> {
        let tool_calls = self.draft.take_calls()?;
        let content: Vec<Value> = std::mem::take(&mut self.blocks).into_values().map(ContentBlock::whole).collect();
        Ok(WireReply {
            finish: answer::finish(self.stop_reason.as_deref().unwrap_or_default(), !tool_calls.is_empty()),
            content: std::mem::take(&mut self.draft.content),
            tool_calls,
            // The counts at the beginning do not cover the whole reply.
            usage: self.draft.usage.filter(|_| self.is_counted),
            model: self.draft.model.take(),
            thinking: if blocks::has_thinking(&content) { content } else { Vec::new() },
        })
    }
}

impl AnthropicAssembler {
    pub fn new(forced: bool) -> Self {
        Self {
            forced,
            draft: ReplyDraft::default(),
            blocks: BTreeMap::new(),
            has_begun: false,
            ended: false,
            is_counted: false,
            stop_reason: None,
        }
    }

    fn count(&mut self, usage: Option<AnthropicUsage>) {
        if let Some(usage) = usage {
            self.draft.usage = Some(usage.merged_over(self.draft.usage.unwrap_or_default()));
        }
    }

    fn open(&mut self, index: usize, value: Map<String, Value>) -> Result<(), WireError> {
        if self.blocks.len() >= BLOCKS_MAX {
            return Err(WireError::malformed(format!("the reply has more than {BLOCKS_MAX} blocks")));
        }
        let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = match field("type") {
            "text" => {
                let text = field("text").to_owned();
                self.has_begun |= !text.is_empty();
                self.draft.text(&text);
                ContentBlockKind::Text
            }
            "tool_use" if self.forced && field("name") == ANSWER_TOOL_NAME => ContentBlockKind::Answer,
            "tool_use" => ContentBlockKind::Call(self.draft.call(field("id"), field("name"))?),
            "thinking" | "redacted_thinking" => ContentBlockKind::Thought,
            _ => ContentBlockKind::Other,
        };
        self.has_begun |= !matches!(kind, ContentBlockKind::Text);
        let block = ContentBlock { value, input: String::new(), kind, open: true };
        match self.blocks.insert(index, block) {
            None => Ok(()),
            Some(_) => Err(WireError::malformed("a block of the reply begins twice")),
        }
    }

    fn delta(&mut self, index: usize, delta: AnthropicDelta) -> Result<(), WireError> {
        let Some(block) = self.blocks.get_mut(&index).filter(|block| block.open) else {
            return Err(WireError::malformed("a piece of the reply belongs to no block of it"));
        };
        self.has_begun = true;
        match delta {
            AnthropicDelta::Text { text } => {
                block.add("text", &text);
                self.draft.text(&text);
            }
            AnthropicDelta::Input { partial_json } => {
                let json = partial_json.unwrap_or_default();
                block.input.push_str(&json);
                match block.kind {
                    ContentBlockKind::Call(place) => self.draft.arguments(place, &json),
                    ContentBlockKind::Answer => self.draft.text(&json),
                    ContentBlockKind::Text | ContentBlockKind::Thought | ContentBlockKind::Other => {}
                }
            }
            AnthropicDelta::Thinking { thinking } => block.add("thinking", &thinking),
            AnthropicDelta::Signature { signature } => block.add("signature", &signature),
            AnthropicDelta::Other => {}
        }
        Ok(())
    }

    fn close_block(&mut self, index: usize) -> Result<(), WireError> {
        let Some(block) = self.blocks.get_mut(&index).filter(|block| block.open) else {
            return Err(WireError::malformed("a block of the reply ends that did not begin"));
        };
        block.open = false;
        // A tool without parameters may have its whole input at the beginning.
        let early = block.value.get("input").filter(|input| block.input.is_empty() && has_fields(input));
        if let Some(input) = early.map(Value::to_string) {
            match block.kind {
                ContentBlockKind::Call(place) => self.draft.arguments(place, &input),
                ContentBlockKind::Answer => self.draft.text(&input),
                ContentBlockKind::Text | ContentBlockKind::Thought | ContentBlockKind::Other => {}
            }
        }
        Ok(())
    }
}

fn has_fields(input: &Value) -> bool {
    input.as_object().is_some_and(|fields| !fields.is_empty())
}

impl ContentBlock {
    fn add(&mut self, field: &str, text: &str) {
        match self.value.get_mut(field) {
            Some(Value::String(so_far)) => so_far.push_str(text),
            _ => drop(self.value.insert(field.to_owned(), json!(text))),
        }
    }

    /// The block as a complete message contains it.
    fn whole(mut self) -> Value {
        if !self.input.is_empty() {
            self.value.insert("input".to_owned(), read_arguments(self.input));
        }
        Value::Object(self.value)
    }
}
