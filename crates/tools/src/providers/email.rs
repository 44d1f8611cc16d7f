//! `send_email`: by SMTP where it is configured, else into the outbox.

mod attachment;
mod config;
mod letter;
mod smtp;

use std::borrow::Cow;
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

use self::letter::Letter;
use self::smtp::Smtp;
pub use config::{Config, Sender, SmtpConfig, Tls};

/// Seed 000's time-out for e-mail.
const TIMEOUT: Duration = Duration::from_secs(10);
const SUBJECT_BYTES_MAX: usize = 998;
const BODY_BYTES_MAX: usize = 256 << 10;
const RECIPIENTS_MAX: usize = 50;

pub(crate) fn entry(config: &Config, records: &Arc<dyn Records>, clock: &Arc<dyn Clock>) -> Entry {
    let (records, clock) = (records.clone(), clock.clone());
    let (class, provider, tool): (_, _, Arc<dyn Tool>) = match &config.smtp {
        // SMTP has no idempotency key: what was cut off may have been sent.
        Some(smtp) => (Class::Once, "smtp", Arc::new(BySmtp { smtp: Smtp::new(smtp.clone()), clock })),
        None => (Class::Keyed, "outbox", Arc::new(ToOutbox { records, clock })),
    };
    let facts = Facts {
        description: "Sends an e-mail, as plain text, HTML or both".to_owned(),
        irreversible: Some("an e-mail that was sent cannot be taken back; send another that corrects it".to_owned()),
        output_fields: ["message_id", "id", "status", "delivered", "channel", "to", "provider"]
            .map(str::to_owned)
            .into(),
        parameters: parameters(),
        ..Facts::new(class, TIMEOUT)
    };
    Entry::new("send_email", "communication", provider, Action::new(facts, "notification", Risk::Medium), tool)
        .at_most(Rate::per_minute(20))
}

fn parameters() -> Value {
    let address = json!({"type": "string", "minLength": 3, "maxLength": 320});
    let addresses = json!({"oneOf": [address, {"type": "array", "items": address, "maxItems": RECIPIENTS_MAX}]});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["to", "subject"],
        "anyOf": [{"required": ["body"]}, {"required": ["html"]}],
        "properties": {
            "to": addresses,
            "cc": addresses,
            "bcc": addresses,
            "reply_to": address,
            "subject": {"type": "string", "maxLength": SUBJECT_BYTES_MAX, "pattern": "^[^\\r\\n]*$"},
            "body": {"type": "string", "maxLength": BODY_BYTES_MAX, "description": "Plain text"},
            "html": {"type": "string", "maxLength": BODY_BYTES_MAX},
            "attachments": {
                "type": "array", "maxItems": attachment::COUNT_MAX,
                "items": {
                    "type": "object", "additionalProperties": false, "required": ["filename"],
                    "oneOf": [{"required": ["content"]}, {"required": ["content_base64"]}],
                    "properties": {
                        "filename": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[^/\\\\\\r\\n\"]*$"},
                        "content_type": {"type": "string", "maxLength": 200},
                        "content": {"type": "string", "description": "Text"},
                        "content_base64": {"type": "string"},
                    },
                },
            },
            "user_id": {"type": ["string", "null"], "maxLength": 200},
        },
    })
}

struct ToOutbox {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for ToOutbox {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let message = Letter::read(request)?.summary();
        outbox::put(&*self.records, &*self.clock, request, "email", message).await
    }
}

struct BySmtp {
    smtp: Smtp,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for BySmtp {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let letter = Letter::read(request)?;
        let id = request.id("msg");
        let answer = self.smtp.send(&letter, &id, self.clock.now()).await?;
        Ok(json!({
            "message_id": id,
            "id": id,
            "status": "sent",
            "delivered": "smtp",
            "channel": "email",
            "to": request.argument("to"),
            "server": answer,
            "provider": "smtp",
        }))
    }

    fn service<'a>(&'a self, _request: &'a Request) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed("smtp"))
    }
}

#[cfg(test)]
mod tests;
