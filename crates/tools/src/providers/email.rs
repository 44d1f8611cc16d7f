//! `send_email`: by SMTP or SendGrid where one is configured, else into the outbox.

mod attachment;
mod config;
mod letter;
mod own;
mod sendgrid;
mod smtp;
mod template;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::money::Usd;
use baton_core::tool::{Class, Facts};
use baton_ports::clock::Clock;
use baton_ports::records::Records;
use serde_json::{Value, json};

use super::outbox;
use crate::by_tenant::ByTenant;
use crate::catalogue::{Action, Entry, Offered, Performer, Risk};
use crate::config::{Config as Settings, Secret};
use crate::error::Error;
use crate::failure::Failure;
use crate::outbound::Outbound;
use crate::rate::Rate;
use crate::request::Request;
use crate::tool::Tool;

use self::config::Chosen;
use self::letter::Letter;
use self::sendgrid::SendGrid;
use self::smtp::Smtp;
use self::template::Templates;
pub use config::{Config, Provider, SendGridConfig, Sender, SmtpConfig, Tls};
pub use own::Mailer;
pub use template::Template;

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
const SUBJECT_BYTES_MAX: usize = 998;
const BODY_BYTES_MAX: usize = 256 << 10;
const RECIPIENTS_MAX: usize = 50;

const OFFERED: &[Offered] = &[
    Offered::free("outbox", &[]),
    Offered::free("smtp", &["email.smtp.host", "email.smtp.from"]),
    Offered::free(sendgrid::NAME, &["email.sendgrid.api_key", "email.sendgrid.from"]).at(SENDGRID_USD),
];
/// SendGrid's price of a letter, in US dollars.
const SENDGRID_USD: f64 = 0.0001;

pub(crate) fn entry(
    config: &Settings,
    records: &Arc<dyn Records>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<Outbound>,
) -> Result<Entry, Error> {
    let templates = Templates::read(config)?;
    let names = templates.names();
    let templates = Arc::new(templates);
    let settings = ByTenant::read(config, config.email.clone(), |tenant| tenant.email.clone());
    let performers = settings.map(|place, settings| {
        let templates = templates.clone();
        let wrong = |reason| Error::Setting { place: "email", reason };
        let chosen = settings.chosen().map_err(wrong)?;
        Ok::<_, Error>(match chosen {
            Chosen::Outbox => {
                let tool = ToOutbox { templates, records: records.clone(), clock: clock.clone() };
                Performer::new("outbox", Class::Keyed, Arc::new(tool))
            }
            // SMTP has no idempotency key: what was cut off may have been sent.
            Chosen::Smtp(smtp) => {
                let tool = BySmtp { templates, smtp: Smtp::new(smtp.clone()).map_err(wrong)?, clock: clock.clone() };
                Performer::new("smtp", Class::Once, Arc::new(tool))
            }
            Chosen::SendGrid(account) => {
                let setting = || format!("{place}.email.sendgrid.api_key");
                match Secret::needed(account.api_key.as_ref(), setting, &config.secrets, &sendgrid::base(account)) {
                    Ok(key) => {
                        let tool = SendGrid::new(account, key, templates, outbound.clone());
                        let cost = Usd::from_f64(SENDGRID_USD);
                        Performer::new(sendgrid::NAME, Class::Once, Arc::new(tool)).costing(cost)
                    }
                    Err(setting) => Performer::lacking(sendgrid::NAME, Class::Once, setting),
                }
            }
        })
    })?;
    let facts = Facts {
        description: "Sends an e-mail, as plain text, HTML or both, or by a template".to_owned(),
        irreversible: Some("an e-mail that was sent cannot be taken back; send another that corrects it".to_owned()),
        output_fields: ["message_id", "id", "status", "delivered", "channel", "to", "provider"]
            .map(str::to_owned)
            .into(),
        parameters: parameters(&names),
        // Of the provider that can promise least: `Entry::by`.
        ..Facts::new(Class::Keyed, TIMEOUT)
    };
    let action = Action::new(facts, "notification", Risk::Medium);
    let entry = Entry::by("send_email", "communication", performers, action);
    Ok(entry.offered_by(OFFERED).at_most(Rate::per_minute(20)))
}

fn parameters(templates: &[String]) -> Value {
    let template = match templates {
        [] => json!({"type": "string", "maxLength": 200}),
        names => json!({"enum": names}),
    };
    let address = json!({"type": "string", "minLength": 3, "maxLength": 320});
    let addresses = json!({"oneOf": [address, {"type": "array", "items": address, "maxItems": RECIPIENTS_MAX}]});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["to"],
        "anyOf": [
            {"required": ["subject", "body"]}, {"required": ["subject", "html"]}, {"required": ["template"]},
        ],
        "properties": {
            "to": addresses,
            "cc": addresses,
            "bcc": addresses,
            "reply_to": address,
            "subject": {"type": "string", "maxLength": SUBJECT_BYTES_MAX, "pattern": "^[^\\r\\n]*$"},
            "body": {"type": "string", "maxLength": BODY_BYTES_MAX, "description": "Plain text"},
            "html": {"type": "string", "maxLength": BODY_BYTES_MAX},
            "template": template,
            "variables": {"type": "object", "description": "What the template's names stand for"},
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
    templates: Arc<Templates>,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for ToOutbox {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let message = Letter::read(request, &self.templates)?.summary();
        outbox::put(&*self.records, &*self.clock, request, "email", message).await
    }
}

struct BySmtp {
    templates: Arc<Templates>,
    smtp: Smtp,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Tool for BySmtp {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let letter = Letter::read(request, &self.templates)?;
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

    async fn account(&self, _request: &Request) -> Option<String> {
        Some(self.smtp.account())
    }
}

#[cfg(test)]
mod aiosmtpd;
#[cfg(test)]
mod tests;
