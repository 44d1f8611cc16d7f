//! What a request requires of a model, derived from its size and its parts without a tokenizer. An estimate is enough
//! for routing; the provider's own count determines the cost.

use std::io;

use baton_core::model::{ModelMessage, ModelRequest, ModelToolCall};
use serde::Serialize;

/// Bytes per token, for English and Spanish prose.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens of a message's role and delimiters.
const MESSAGE_TOKENS: u64 = 4;
/// Tokens of an image: a square of some 1,000 pixels, by the usual formulas.
const IMAGE_TOKENS: u64 = 1_000;
/// Maximum tokens of an image: the smallest of OpenAI's models count some 48,000 for a large one.
const IMAGE_TOKENS_MAX: u64 = 50_000;
/// Maximum tokens that providers add: around each message, and around the tool descriptions.
const MESSAGE_TOKENS_MAX: u64 = 16;
const FRAME_TOKENS_MAX: u64 = 1_024;
/// Expected tokens of a reply if the request allows more.
pub(crate) const REPLY_TOKENS: u64 = 250;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelRequirements {
    /// Estimated tokens of the input.
    pub tokens: u64,
    /// Upper bound of the tokens of the input: a token is at least one byte, whatever the tokenizer.
    pub tokens_max: u64,
    /// Maximum tokens of the reply, if the request sets a limit.
    pub reply_max: Option<u64>,
    pub tools: bool,
    pub vision: bool,
    pub schema: bool,
    /// A listener receives the reply as a stream.
    pub streaming: bool,
}

impl ModelRequirements {
    pub fn of(request: &ModelRequest, streaming: bool) -> Self {
        let mut size = RequestSize::default();
        request.messages.iter().for_each(|message| size.message(message));
        for tool in &request.tools {
            size.text(&tool.name);
            size.text(&tool.description);
            size.json(&tool.parameters);
        }
        if let Some(schema) = &request.schema {
            size.json(schema);
        }
        Self {
            tokens: size.tokens(),
            tokens_max: size.tokens_max(),
            reply_max: request.max_tokens.map(u64::from),
            tools: !request.tools.is_empty(),
            vision: size.images > 0,
            schema: request.schema.is_some(),
            streaming,
        }
    }

    /// The requirements of a text of this number of tokens, without any other.
    pub fn of_text(tokens: u64) -> Self {
        Self {
            tokens,
            tokens_max: tokens.saturating_mul(BYTES_PER_TOKEN),
            reply_max: None,
            tools: false,
            vision: false,
            schema: false,
            streaming: false,
        }
    }

    /// Expected tokens of the reply.
    pub fn expected_reply_tokens(&self) -> u64 {
        self.reply_max.map_or(REPLY_TOKENS, |max| max.min(REPLY_TOKENS))
    }
}

/// Tokens of one message with this text.
pub(crate) fn tokens_of(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES_PER_TOKEN) + MESSAGE_TOKENS
}

#[derive(Default)]
struct RequestSize {
    bytes: u64,
    /// Earlier thinking of models: each model gets its own back.
    thought: u64,
    messages: u64,
    images: u64,
}

impl RequestSize {
    fn tokens(&self) -> u64 {
        self.bytes.div_ceil(BYTES_PER_TOKEN) + self.messages * MESSAGE_TOKENS + self.images * IMAGE_TOKENS
    }

    fn tokens_max(&self) -> u64 {
        let text = self.bytes + self.thought + FRAME_TOKENS_MAX;
        text + self.messages * MESSAGE_TOKENS_MAX + self.images * IMAGE_TOKENS_MAX
    }

    fn message(&mut self, message: &ModelMessage) {
        self.messages += 1;
        match message {
            ModelMessage::System { content, name } => {
                self.text(content);
                self.name(name.as_deref());
            }
            ModelMessage::Tool { content, .. } => self.text(content),
            // An image in a data URL is not counted as text.
            ModelMessage::User { content, images, name } => {
                self.text(content);
                self.images += images.len() as u64;
                self.name(name.as_deref());
            }
            ModelMessage::Assistant { content, tool_calls, thinking, name } => {
                self.text(content);
                self.name(name.as_deref());
                tool_calls.iter().for_each(|call| self.call(call));
                if let Some(thinking) = thinking {
                    let mut thought = Self::default();
                    thought.json(&thinking.parts);
                    self.thought += thought.bytes;
                }
            }
        }
    }

    fn call(&mut self, call: &ModelToolCall) {
        self.text(&call.name);
        self.json(&call.arguments);
    }

    fn name(&mut self, name: Option<&str>) {
        self.text(name.unwrap_or_default());
    }

    fn text(&mut self, text: &str) {
        self.bytes += text.len() as u64;
    }

    /// Counts the bytes that would be written.
    fn json(&mut self, value: &impl Serialize) {
        // Counting cannot fail; a value that cannot be serialized counts as empty.
        let _ = serde_json::to_writer(self, value);
    }
}

impl io::Write for &mut RequestSize {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use baton_core::model::{ModelImage, ToolOffer};
    use serde_json::json;

    use super::*;
    use crate::providers::test_support::request;

    #[test]
    fn tokens_are_about_a_quarter_of_the_bytes() {
        let need = ModelRequirements::of(&request("a", &["u: ", &format!("u: {}", "word ".repeat(80))]), false);
        assert_eq!(need.tokens, 100 + 2 * MESSAGE_TOKENS);
        assert_eq!((need.tools, need.vision, need.schema, need.streaming), (false, false, false, false));
    }

    #[test]
    fn an_images_bytes_are_no_text() {
        let image = ModelImage::from_url(format!("data:image/png;base64,{}", "A".repeat(1 << 20)));
        let message = ModelMessage::User { content: "look".into(), images: vec![image], name: None };
        let need = ModelRequirements::of(&ModelRequest { messages: vec![message], ..ModelRequest::default() }, true);
        assert_eq!((need.tokens, need.vision, need.streaming), (1 + MESSAGE_TOKENS + IMAGE_TOKENS, true, true));
    }

    #[test]
    fn tools_and_schemas_are_counted_as_they_are_written() {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let offer = ToolOffer {
            name: "weather".into(),
            description: String::new(),
            parameters: parameters.clone(),
            strict: None,
        };
        let asked = ModelRequest { tools: vec![offer], schema: Some(parameters.clone()), ..ModelRequest::default() };
        let need = ModelRequirements::of(&asked, false);
        let bytes = 2 * parameters.to_string().len() as u64 + 7;
        assert_eq!((need.tokens, need.tools, need.schema), (bytes.div_ceil(4), true, true));
    }

    #[test]
    fn a_short_reply_is_expected_where_no_longer_one_is_allowed() {
        let expected = |max_tokens| {
            ModelRequirements::of(&ModelRequest { max_tokens, ..ModelRequest::default() }, false)
                .expected_reply_tokens()
        };
        assert_eq!([expected(None), expected(Some(10)), expected(Some(10_000))], [REPLY_TOKENS, 10, REPLY_TOKENS]);
    }
}
