//! Converts messages to Anthropic's turns: the user's and the assistant's in alternation, each made of blocks.

use std::borrow::Cow;

use baton_core::model::{ModelImage, ModelMessage, ModelToolCall};
use serde_json::{Value, json};

use super::blocks;
use crate::providers::dialect::WireRequest;

/// The text of a user turn that the API requires and the messages do not contain.
const CONTINUE_PROMPT: &str = "Go on.";

/// The system text, and the turns.
pub(super) fn of(query: &WireRequest<'_>) -> Result<(String, Vec<Value>), String> {
    let mut system: Vec<Cow<'_, str>> = Vec::new();
    let mut turns = AnthropicTurns::default();
    for message in &query.ask.request.messages {
        match message {
            ModelMessage::System { content, name } => system.push(with_speaker(name.as_deref(), content)),
            ModelMessage::User { content, images, name } => {
                turns.extend("user", text(&with_speaker(name.as_deref(), content)));
                for image in images {
                    turns.extend("user", Some(image_block(image)?));
                }
            }
            ModelMessage::Tool { tool_call_id, content } => turns.answer(tool_call_id, content),
            // With its name in the text, the model would continue to write it.
            ModelMessage::Assistant { content, tool_calls, thinking, name: _ } => {
                let thought = query.thought(thinking.as_ref());
                match blocks::unchanged_thinking(thought, content, tool_calls) {
                    Some(blocks) => turns.extend("assistant", blocks.to_vec()),
                    None => {
                        turns.extend("assistant", text(content));
                        turns.extend("assistant", tool_calls.iter().map(|call| tool_use_block(call, query)));
                    }
                }
            }
        }
    }
    Ok((system.join("\n\n"), turns.whole()))
}

#[derive(Default)]
struct AnthropicTurns(Vec<(&'static str, Vec<Value>)>);

impl AnthropicTurns {
    /// Appends blocks to the last turn if it has the same role, else begins a turn.
    fn extend(&mut self, role: &'static str, blocks: impl IntoIterator<Item = Value>) {
        let mut blocks = blocks.into_iter().peekable();
        if blocks.peek().is_none() {
            return;
        }
        match self.0.last_mut() {
            Some((last, said)) if *last == role => said.extend(blocks),
            _ => self.0.push((role, blocks.collect())),
        }
    }

    /// The results of a turn's calls come before any other content of the user.
    fn answer(&mut self, id: &str, content: &str) {
        let result = json!({"type": "tool_result", "tool_use_id": blocks::safe_id(id), "content": content});
        self.extend("user", Some(result));
        if let Some((_, said)) = self.0.last_mut() {
            said.sort_by_key(|block| block["type"] != "tool_result");
        }
    }

    /// Ensures that the first and the last turn are the user's.
    fn whole(mut self) -> Vec<Value> {
        let go_on = || ("user", vec![json!({"type": "text", "text": CONTINUE_PROMPT})]);
        if self.0.first().is_none_or(|(role, _)| *role != "user") {
            self.0.insert(0, go_on());
        }
        if self.0.last().is_some_and(|(role, _)| *role != "user") {
            self.0.push(go_on());
        }
        self.0.into_iter().map(|(role, content)| json!({"role": role, "content": content})).collect()
    }
}

/// The text with the speaker's name; the API has no field for it.
fn with_speaker<'t>(name: Option<&str>, content: &'t str) -> Cow<'t, str> {
    match name {
        Some(name) if !content.trim().is_empty() => Cow::Owned(format!("{name}: {content}")),
        Some(_) | None => Cow::Borrowed(content),
    }
}

/// The API refuses blocks of blank text.
fn text(content: &str) -> Option<Value> {
    (!content.trim().is_empty()).then(|| json!({"type": "text", "text": content}))
}

fn tool_use_block(call: &ModelToolCall, query: &WireRequest<'_>) -> Value {
    // The API requires an object; arguments that never were one were answered with an error.
    let input = if call.arguments.is_object() { call.arguments.clone() } else { json!({"arguments": call.arguments}) };
    json!({"type": "tool_use", "id": blocks::safe_id(&call.id), "name": query.names.wire_name(&call.name), "input": input})
}

fn image_block(image: &ModelImage) -> Result<Value, String> {
    let source = match image.url.strip_prefix("data:") {
        None => json!({"type": "url", "url": image.url}),
        Some(data) => {
            let parts = data.split_once(',').and_then(|(kind, data)| Some((kind.strip_suffix(";base64")?, data)));
            let Some((media_type, data)) = parts else {
                return Err("an image's data URL is not in base64; write data:image/png;base64,…".to_owned());
            };
            json!({"type": "base64", "media_type": media_type, "data": data})
        }
    };
    Ok(json!({"type": "image", "source": source}))
}
