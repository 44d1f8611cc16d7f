//! A reply that comes in events of blocks, put together again.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{self, WireUsage};
use super::blocks;
use super::structured::ANSWER;
use crate::providers::dialect::{Answer, Assembly, Problem};
use crate::providers::draft::{Draft, read_arguments};

/// Blocks one reply may have.
const BLOCKS_MAX: usize = 1_024;

/// Events, and deltas in them, that are not named here say nothing we read: pings, and what is yet to come.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Started,
    },
    ContentBlockStart {
        index: usize,
        content_block: Map<String, Value>,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta,
    },
    ContentBlockStop {
        index: usize,
    },
    MessageDelta {
        delta: Stopped,
        usage: Option<WireUsage>,
    },
    MessageStop,
    Error {
        error: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Started {
    model: Option<String>,
    usage: Option<WireUsage>,
}

#[derive(Deserialize)]
struct Stopped {
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Delta {
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
pub(crate) struct Blocks {
    forced: bool,
    draft: Draft,
    blocks: BTreeMap<usize, Block>,
    begun: bool,
    ended: bool,
    /// The whole reply has been counted.
    is_counted: bool,
    stopped: Option<String>,
}

struct Block {
    /// As it began, with the text and the thoughts that came since.
    value: Map<String, Value>,
    /// JSON of a tool's input.
    input: String,
    kind: Kind,
    open: bool,
}

enum Kind {
    Text,
    /// A call, by its place in the draft.
    Call(usize),
    /// The call whose input is the answer.
    Answer,
    Thought,
    Other,
}

impl Assembly for Blocks {
    fn take(&mut self, event: &str) -> Result<(), Problem> {
        if self.ended {
            return Ok(());
        }
        let event: Event =
            serde_json::from_str(event).map_err(|error| Problem::unreadable("a piece of the reply", &error))?;
        match event {
            Event::MessageStart { message } => {
                self.draft.model = message.model;
                self.count(message.usage);
                Ok(())
            }
            Event::ContentBlockStart { index, content_block } => self.open(index, content_block),
            Event::ContentBlockDelta { index, delta } => self.delta(index, delta),
            Event::ContentBlockStop { index } => self.shut(index),
            Event::MessageDelta { delta, usage } => {
                self.is_counted |= usage.is_some_and(|usage| usage.counts_reply());
                self.count(usage);
                self.stopped = delta.stop_reason.or(self.stopped.take());
                self.begun |= self.stopped.is_some();
                Ok(())
            }
            Event::MessageStop => self.close(),
            Event::Error { error } => Err(Problem::Error(error)),
            Event::Other => Ok(()),
        }
    }

    /// The stream is over: whole, if it said why it stopped and every block came to its end.
    fn close(&mut self) -> Result<(), Problem> {
        if self.stopped.is_none() || self.blocks.values().any(|block| block.open) {
            return Err(Problem::malformed("the stream ended before the reply did"));
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

    fn draft(&mut self) -> &mut Draft {
        &mut self.draft
    }

    fn answer(&mut self) -> Result<Answer, Problem> {
        let tool_calls = self.draft.take_calls()?;
        let content: Vec<Value> = std::mem::take(&mut self.blocks).into_values().map(Block::whole).collect();
        Ok(Answer {
            finish: answer::finish(self.stopped.as_deref().unwrap_or_default(), !tool_calls.is_empty()),
            content: std::mem::take(&mut self.draft.content),
            tool_calls,
            // What was counted at the beginning is not the whole.
            usage: self.draft.usage.filter(|_| self.is_counted),
            model: self.draft.model.take(),
            thinking: if blocks::is_thoughtful(&content) { content } else { Vec::new() },
        })
    }
}

impl Blocks {
    pub fn new(forced: bool) -> Self {
        Self {
            forced,
            draft: Draft::default(),
            blocks: BTreeMap::new(),
            begun: false,
            ended: false,
            is_counted: false,
            stopped: None,
        }
    }

    fn count(&mut self, usage: Option<WireUsage>) {
        if let Some(usage) = usage {
            self.draft.usage = Some(usage.over(self.draft.usage.unwrap_or_default()));
        }
    }

    fn open(&mut self, index: usize, value: Map<String, Value>) -> Result<(), Problem> {
        if self.blocks.len() >= BLOCKS_MAX {
            return Err(Problem::malformed(format!("the reply has more than {BLOCKS_MAX} blocks")));
        }
        let field = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = match field("type") {
            "text" => {
                let text = field("text").to_owned();
                self.begun |= !text.is_empty();
                self.draft.text(&text);
                Kind::Text
            }
            "tool_use" if self.forced && field("name") == ANSWER => Kind::Answer,
            "tool_use" => Kind::Call(self.draft.call(field("id"), field("name"))?),
            "thinking" | "redacted_thinking" => Kind::Thought,
            _ => Kind::Other,
        };
        self.begun |= !matches!(kind, Kind::Text);
        let block = Block { value, input: String::new(), kind, open: true };
        match self.blocks.insert(index, block) {
            None => Ok(()),
            Some(_) => Err(Problem::malformed("a block of the reply begins twice")),
        }
    }

    fn delta(&mut self, index: usize, delta: Delta) -> Result<(), Problem> {
        let Some(block) = self.blocks.get_mut(&index).filter(|block| block.open) else {
            return Err(Problem::malformed("a piece of the reply belongs to no block of it"));
        };
        self.begun = true;
        match delta {
            Delta::Text { text } => {
                block.add("text", &text);
                self.draft.text(&text);
            }
            Delta::Input { partial_json } => {
                let json = partial_json.unwrap_or_default();
                block.input.push_str(&json);
                match block.kind {
                    Kind::Call(place) => self.draft.arguments(place, &json),
                    Kind::Answer => self.draft.text(&json),
                    Kind::Text | Kind::Thought | Kind::Other => {}
                }
            }
            Delta::Thinking { thinking } => block.add("thinking", &thinking),
            Delta::Signature { signature } => block.add("signature", &signature),
            Delta::Other => {}
        }
        Ok(())
    }

    fn shut(&mut self, index: usize) -> Result<(), Problem> {
        let Some(block) = self.blocks.get_mut(&index).filter(|block| block.open) else {
            return Err(Problem::malformed("a block of the reply ends that did not begin"));
        };
        block.open = false;
        // A tool without parameters may have its whole input at the beginning.
        let early = block.value.get("input").filter(|input| block.input.is_empty() && has_fields(input));
        if let Some(input) = early.map(Value::to_string) {
            match block.kind {
                Kind::Call(place) => self.draft.arguments(place, &input),
                Kind::Answer => self.draft.text(&input),
                Kind::Text | Kind::Thought | Kind::Other => {}
            }
        }
        Ok(())
    }
}

fn has_fields(input: &Value) -> bool {
    input.as_object().is_some_and(|fields| !fields.is_empty())
}

impl Block {
    fn add(&mut self, field: &str, text: &str) {
        match self.value.get_mut(field) {
            Some(Value::String(so_far)) => so_far.push_str(text),
            _ => drop(self.value.insert(field.to_owned(), json!(text))),
        }
    }

    /// As a message that came whole has it.
    fn whole(mut self) -> Value {
        if !self.input.is_empty() {
            self.value.insert("input".to_owned(), read_arguments(self.input));
        }
        Value::Object(self.value)
    }
}
