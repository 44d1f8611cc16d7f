//! `send_whatsapp` and `send_sms`: short messages to a phone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::tool::{Class, Facts};
use baton_ports::clock::Clock;
use baton_ports::records::Records;
use serde_json::{Value, json};

use super::outbox;
use crate::catalogue::{Action, Entry, Risk};
use crate::failure::Failure;
use crate::rate::Rate;
use crate::request::Request;
use crate::tool::Tool;

/// Bytes of one message; WhatsApp takes 4,096 characters.
const MESSAGE_BYTES_MAX: usize = 4_096;

/// A channel to a phone.
struct Channel {
    tool: &'static str,
    name: &'static str,
    description: &'static str,
    timeout: Duration,
    rate: Rate,
}

const CHANNELS: &[Channel] = &[
    Channel {
        tool: "send_whatsapp",
        name: "whatsapp",
        description: "Sends a WhatsApp message to a phone",
        timeout: Duration::from_secs(5),
        rate: Rate::per_minute(10),
    },
    Channel {
        tool: "send_sms",
        name: "sms",
        description: "Sends a text message to a phone",
        timeout: Duration::from_secs(30),
        rate: Rate::Free,
    },
];

pub(crate) fn entries(records: &Arc<dyn Records>, clock: &Arc<dyn Clock>) -> Vec<Entry> {
    let entry = |channel: &'static Channel| {
        let tool = Message { channel: channel.name, records: records.clone(), clock: clock.clone() };
        let action = Action::new(facts(channel), "notification", Risk::Medium);
        Entry::new(channel.tool, "communication", "outbox", action, Arc::new(tool)).at_most(channel.rate)
    };
    CHANNELS.iter().map(entry).collect()
}

fn facts(channel: &Channel) -> Facts {
    Facts {
        description: channel.description.to_owned(),
        irreversible: Some("a message that was read cannot be unread; send another that corrects it".to_owned()),
        output_fields: ["message_id", "id", "status", "delivered", "channel", "to", "provider"]
            .map(str::to_owned)
            .into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["to", "message"],
            "properties": {
                "to": {
                    "type": "string", "pattern": "^\\+?[0-9 ()./-]{5,30}$",
                    "description": "The phone number, best with its country: +34 612 345 678",
                },
                "message": {"type": "string", "minLength": 1, "maxLength": MESSAGE_BYTES_MAX},
                "user_id": {"type": ["string", "null"], "maxLength": 200},
            },
        }),
        ..Facts::new(Class::Keyed, channel.timeout)
    }
}

struct Message {
    channel: &'static str,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for Message {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let message = request.call.arguments.clone();
        outbox::put(&*self.records, &*self.clock, request, self.channel, message).await
    }
}

#[cfg(test)]
mod tests;
