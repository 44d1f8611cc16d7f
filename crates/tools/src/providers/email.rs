//! `send_email`: by SMTP or SendGrid if configured, otherwise into the outbox.

mod attachment;
mod composed_email;
mod config;
mod sendgrid;
mod smtp;
mod system_mailer;
mod template;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::money::Usd;
use baton_core::tool::{EffectClass, ToolContract};
use baton_ports::clock::Clock;
use baton_ports::records::RecordStore;
use serde_json::{Value, json};

use super::outbox;
use crate::by_tenant::ByTenant;
use crate::catalogue::{ActionSpec, ProviderOption, ToolEntry, ToolPerformer, ToolRisk};
use crate::config::{SecretString, ToolsConfig};
use crate::error::ToolSetupError;
use crate::outbound::OutboundClient;
use crate::rate::CallRate;
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

use self::composed_email::ComposedEmail;
use self::config::EmailTransport;
use self::sendgrid::SendGridClient;
use self::smtp::SmtpClient;
use self::template::EmailTemplates;
pub use config::{EmailConfig, EmailProvider, EmailSender, SendGridConfig, SmtpConfig, SmtpTls};
pub use system_mailer::SystemMailer;
pub use template::EmailTemplate;

/// Time-out of one attempt.
const TIMEOUT: Duration = Duration::from_secs(10);
const SUBJECT_BYTES_MAX: usize = 998;
const BODY_BYTES_MAX: usize = 256 << 10;
const RECIPIENTS_MAX: usize = 50;

const OFFERED: &[ProviderOption] = &[
    ProviderOption::free("outbox", &[]),
    ProviderOption::free("smtp", &["email.smtp.host", "email.smtp.from"]),
    ProviderOption::free(sendgrid::NAME, &["email.sendgrid.api_key", "email.sendgrid.from"]).at(SENDGRID_USD),
];
/// SendGrid's price of an e-mail, in US dollars.
const SENDGRID_USD: f64 = 0.0001;

pub(crate) fn entry(
    config: &ToolsConfig,
    records: &Arc<dyn RecordStore>,
    clock: &Arc<dyn Clock>,
    outbound: &Arc<OutboundClient>,
) -> Result<ToolEntry, ToolSetupError> {
    let templates = EmailTemplates::read(config)?;
    let names = templates.names();
    let templates = Arc::new(templates);
    let settings = ByTenant::read(config, config.email.clone(), |tenant| tenant.email.clone());
    let performers = settings.try_map(|place, settings| {
        let templates = templates.clone();
        let wrong = |reason| ToolSetupError::Setting { place: "email", reason };
        let chosen = settings.transport().map_err(wrong)?;
        Ok::<_, ToolSetupError>(match chosen {
            EmailTransport::Outbox => {
                let tool = EmailOutboxTool { templates, records: records.clone(), clock: clock.clone() };
                ToolPerformer::new("outbox", EffectClass::Keyed, Arc::new(tool))
            }
            // SMTP has no idempotency key: an interrupted e-mail may have been sent.
            EmailTransport::Smtp(smtp) => {
                let tool = SmtpEmailTool {
                    templates,
                    smtp: SmtpClient::new(smtp.clone()).map_err(wrong)?,
                    clock: clock.clone(),
                };
                ToolPerformer::new("smtp", EffectClass::Once, Arc::new(tool))
            }
            EmailTransport::SendGrid(account) => {
                let setting = || format!("{place}.email.sendgrid.api_key");
                match SecretString::required(
                    account.api_key.as_ref(),
                    setting,
                    &config.secrets,
                    &sendgrid::base(account),
                ) {
                    Ok(key) => {
                        let tool = SendGridClient::new(account, key, templates, outbound.clone());
                        let cost = Usd::from_f64(SENDGRID_USD);
                        ToolPerformer::new(sendgrid::NAME, EffectClass::Once, Arc::new(tool)).with_cost(cost)
                    }
                    Err(setting) => ToolPerformer::unavailable(sendgrid::NAME, EffectClass::Once, setting),
                }
            }
        })
    })?;
    let facts = ToolContract {
        description: "Sends an e-mail, as plain text, HTML or both, or by a template".to_owned(),
        irreversible: Some("an e-mail that was sent cannot be taken back; send another that corrects it".to_owned()),
        output_fields: ["message_id", "id", "status", "delivered", "channel", "to", "provider"]
            .map(str::to_owned)
            .into(),
        parameters: parameters(&names),
        // Uses the provider with the weakest promise: `ToolEntry::with_performers`.
        ..ToolContract::new(EffectClass::Keyed, TIMEOUT)
    };
    let action = ActionSpec::new(facts, "notification", ToolRisk::Medium);
    let entry = ToolEntry::with_performers("send_email", "communication", performers, action);
    Ok(entry.with_offers(OFFERED).with_rate(CallRate::per_minute(20)))
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

struct EmailOutboxTool {
    templates: Arc<EmailTemplates>,
    records: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for EmailOutboxTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let message = ComposedEmail::read(request, &self.templates)?.summary();
        outbox::put(&*self.records, &*self.clock, request, "email", message).await
    }
}

struct SmtpEmailTool {
    templates: Arc<EmailTemplates>,
    smtp: SmtpClient,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ToolHandler for SmtpEmailTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let letter = ComposedEmail::read(request, &self.templates)?;
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

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed("smtp"))
    }

    async fn account(&self, _request: &PreparedRequest) -> Option<String> {
        Some(self.smtp.account())
    }
}

#[cfg(test)]
mod aiosmtpd;
#[cfg(test)]
mod tests;
