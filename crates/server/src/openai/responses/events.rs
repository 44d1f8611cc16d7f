//! The event stream of a response. Each item is added, streamed and completed before the next one starts.

use std::collections::VecDeque;

use axum::response::sse::Event;
use baton_core::model::{FinishReason, ModelReply};
use baton_ports::models::ReplyDelta;
use serde_json::{Value, json};

use super::super::chat;
use super::super::error::OpenAiError;
use super::super::reply;
use super::super::stream::{EventFormat, interrupted};
use super::output::{ResponseEnvelope, function_call, message, message_status, text};

pub(super) struct ResponseEvents {
    shell: ResponseEnvelope,
    /// The sequence number of the next event.
    sequence: u64,
    /// Completed items.
    items: Vec<Value>,
    open: Option<OpenOutputItem>,
    ready: VecDeque<Event>,
    begun: bool,
    over: bool,
}

/// The item that is being streamed.
enum OpenOutputItem {
    Message { id: String, said: String },
    Call { id: String, index: usize, call: String, name: String, arguments: String },
}

impl EventFormat for ResponseEvents {
    fn push_piece(&mut self, piece: ReplyDelta) {
        if self.over {
            return;
        }
        match piece {
            ReplyDelta::Text(text) => self.push_text(&text),
            ReplyDelta::ToolCall { index, id, name, arguments } => self.push_call(index, id, name, &arguments),
            // Only a reply that was not sent yet can be withdrawn.
            ReplyDelta::Reset if !self.begun => {}
            ReplyDelta::Reset => self.fail(&interrupted()),
        }
    }

    fn finish(&mut self, reply: &ModelReply) {
        if self.over {
            return;
        }
        // A provider that does not stream delivers the whole reply at the end.
        if !self.begun {
            if !reply.content.is_empty() || reply.tool_calls.is_empty() {
                self.push_text(&reply.content);
            }
            for (index, call) in reply.tool_calls.iter().enumerate() {
                self.push_call(index, Some(call.id.clone()), Some(call.name.clone()), &reply::arguments(call));
            }
        }
        self.finish_item(message_status(reply.finish));
        let response = self.shell.finished(reply, &self.items);
        let kind = match reply.finish {
            FinishReason::Stop | FinishReason::ToolCalls => "response.completed",
            FinishReason::Length | FinishReason::Filtered => "response.incomplete",
        };
        self.push(kind, json!({ "response": response }));
        for (name, value) in chat::reply_headers(reply) {
            // A comment must be a single line; clients ignore it.
            let value = value.replace(['\n', '\r'], " ");
            self.ready.push_back(Event::default().comment(format!("{name}: {value}")));
        }
        self.over = true;
    }

    fn fail(&mut self, error: &OpenAiError) {
        self.begin();
        let response = self.shell.failed(&self.items, error.code(), error.message());
        self.push("response.failed", json!({ "response": response }));
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

impl ResponseEvents {
    pub fn new(shell: ResponseEnvelope) -> Self {
        Self { shell, sequence: 0, items: Vec::new(), open: None, ready: VecDeque::new(), begun: false, over: false }
    }

    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            let response = self.shell.in_progress();
            self.push("response.created", json!({ "response": response }));
            self.push("response.in_progress", json!({ "response": response }));
        }
    }

    fn push_text(&mut self, piece: &str) {
        self.begin();
        if !matches!(self.open, Some(OpenOutputItem::Message { .. })) {
            self.finish_item("completed");
            let id = self.shell.id_of("msg", self.items.len());
            self.push_item("response.output_item.added", message(&id, "in_progress", None));
            self.push_part("response.content_part.added", &id, text(""));
            self.open = Some(OpenOutputItem::Message { id, said: String::new() });
        }
        let Some(OpenOutputItem::Message { id, said }) = &mut self.open else { return };
        said.push_str(piece);
        let delta = json!({ "item_id": id, "content_index": 0, "delta": piece, "logprobs": [] });
        self.push_of_item("response.output_text.delta", delta);
    }

    fn push_call(&mut self, place: usize, call: Option<String>, name: Option<String>, piece: &str) {
        self.begin();
        if !matches!(&self.open, Some(OpenOutputItem::Call { index, .. }) if *index == place) {
            self.finish_item("completed");
            let id = |prefix| self.shell.id_of(prefix, self.items.len());
            let (item, call, name) = (id("fc"), call.unwrap_or_else(|| id("call")), name.unwrap_or_default());
            self.push_item("response.output_item.added", function_call(&item, "in_progress", &call, &name, ""));
            self.open = Some(OpenOutputItem::Call { id: item, index: place, call, name, arguments: String::new() });
        }
        let Some(OpenOutputItem::Call { id, arguments, .. }) = &mut self.open else { return };
        arguments.push_str(piece);
        let delta = json!({ "item_id": id, "delta": piece });
        self.push_of_item("response.function_call_arguments.delta", delta);
    }

    /// Completes the item that is being streamed. `status` applies if it is a message.
    fn finish_item(&mut self, status: &str) {
        let item = match self.open.take() {
            None => return,
            Some(OpenOutputItem::Message { id, said }) => {
                let done = json!({ "item_id": id, "content_index": 0, "text": said, "logprobs": [] });
                self.push_of_item("response.output_text.done", done);
                self.push_part("response.content_part.done", &id, text(&said));
                message(&id, status, Some(&said))
            }
            Some(OpenOutputItem::Call { id, call, name, arguments, .. }) => {
                let done = json!({ "item_id": id, "name": name, "arguments": arguments });
                self.push_of_item("response.function_call_arguments.done", done);
                function_call(&id, "completed", &call, &name, &arguments)
            }
        };
        self.push_item("response.output_item.done", item.clone());
        self.items.push(item);
    }

    fn push_item(&mut self, kind: &str, item: Value) {
        self.push_of_item(kind, json!({ "item": item }));
    }

    fn push_part(&mut self, kind: &str, id: &str, part: Value) {
        self.push_of_item(kind, json!({ "item_id": id, "content_index": 0, "part": part }));
    }

    /// Sends an event of the item that is being streamed, whose index follows the completed ones.
    fn push_of_item(&mut self, kind: &str, mut event: Value) {
        event["output_index"] = self.items.len().into();
        self.push(kind, event);
    }

    fn push(&mut self, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        self.ready.push_back(Event::default().event(kind).data(event.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use baton_core::model::TokenUsage;
    use baton_core::money::Usd;

    use super::super::super::reply::CompletionHead;
    use super::super::output::EchoedParameters;
    use super::*;

    #[test]
    fn a_message_that_was_cut_off_is_told_as_incomplete_streamed_as_well_as_whole() {
        for (finish, expect) in [(FinishReason::Length, "incomplete"), (FinishReason::Stop, "completed")] {
            let reply = ModelReply {
                content: "Hello".to_owned(),
                tool_calls: Vec::new(),
                thinking: None,
                finish,
                usage: TokenUsage::default(),
                model: "m".to_owned(),
                provider: "p".to_owned(),
                cost: Usd::from_nanos(0),
                latency_ms: 1,
            };
            let echo = EchoedParameters {
                instructions: None,
                tools: Vec::new(),
                tool_choice: json!("auto"),
                format: None,
                temperature: Value::Null,
                top_p: Value::Null,
                metadata: Value::Null,
                user: Value::Null,
                max_output_tokens: None,
                parallel_tool_calls: true,
            };
            let frame = CompletionHead { id: "resp-1".to_owned(), created: 0, model: "m".to_owned() };
            let mut events = ResponseEvents::new(ResponseEnvelope::new(frame, echo));
            events.push_piece(ReplyDelta::Text("Hel".to_owned()));
            events.push_piece(ReplyDelta::Text("lo".to_owned()));
            events.finish(&reply);
            for items in [&events.items, &events.shell.items(&reply)] {
                assert_eq!(items.len(), 1);
                assert_eq!((&items[0]["status"], &items[0]["content"][0]["text"]), (&json!(expect), &json!("Hello")));
            }
        }
    }
}
