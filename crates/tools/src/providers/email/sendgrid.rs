//! E-mail through SendGrid's Mail Send (API v3).
//!
//! It accepts no idempotency key, and the status of an e-mail can be read only with an add-on: class `once`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use baton_core::tool::EffectClass;
use lettre::message::Mailbox;
use serde_json::{Value, json};

use super::attachment::EmailAttachment;
use super::composed_email::ComposedEmail;
use super::config::SendGridConfig;
use super::template::EmailTemplates;
use crate::account_binding::ProviderAccount;
use crate::code;
use crate::config::SecretString;
use crate::outbound::{OutboundClient, OutboundResponse};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;
use crate::vendor::{BaseUrl, VendorApi, VendorAuth, VendorError, VendorErrorMeaning};

pub(super) const NAME: &str = "sendgrid";
const BASE: BaseUrl = BaseUrl::documented("https://api.sendgrid.com");

/// The address of the API of an account.
pub(super) fn base(config: &SendGridConfig) -> BaseUrl {
    config.base_url.clone().unwrap_or(BASE)
}

pub(super) struct SendGridClient {
    vendor: VendorApi,
    base: BaseUrl,
    key: SecretString,
    from: Mailbox,
    templates: Arc<EmailTemplates>,
}

impl SendGridClient {
    pub(super) fn new(
        config: &SendGridConfig,
        key: SecretString,
        templates: Arc<EmailTemplates>,
        outbound: Arc<OutboundClient>,
    ) -> Self {
        Self {
            vendor: VendorApi::new(NAME, base(config), outbound, complaint),
            base: base(config),
            key,
            from: config.from.0.clone(),
            templates,
        }
    }

    /// Sends the e-mail and returns SendGrid's id of it, if there is one.
    pub(super) async fn send(
        &self,
        letter: &ComposedEmail<'_>,
        id: &str,
        class: EffectClass,
    ) -> Result<Option<String>, ToolError> {
        let asked = self.vendor.post(&["v3", "mail", "send"]).auth(VendorAuth::Bearer(&self.key));
        let answer = asked.json(&self.body(letter, id)).send(class).await?;
        let theirs = answer.headers.get("x-message-id").and_then(|value| value.to_str().ok());
        Ok(theirs.map(str::to_owned))
    }

    fn body(&self, letter: &ComposedEmail<'_>, id: &str) -> Value {
        // SendGrid refuses an e-mail that names a recipient twice.
        let mut seen = BTreeSet::new();
        let mut addresses = |mailboxes: &[Mailbox]| {
            let new = mailboxes.iter().filter(|mailbox| seen.insert(mailbox.email.to_string().to_lowercase()));
            new.map(address).collect::<Vec<_>>()
        };
        let mut receivers = json!({"to": addresses(&letter.to)});
        for (name, mailboxes) in [("cc", &letter.cc), ("bcc", &letter.bcc)] {
            let addresses = addresses(mailboxes);
            if !addresses.is_empty() {
                receivers[name] = addresses.into();
            }
        }
        // The plain text must come first.
        let text = letter.body.as_deref().map(|text| json!({"type": "text/plain", "value": text}));
        let html = letter.html.as_deref().map(|html| json!({"type": "text/html", "value": html}));
        let mut body = json!({
            "personalizations": [receivers],
            "from": address(&self.from),
            "subject": letter.subject,
            "content": text.into_iter().chain(html).collect::<Vec<_>>(),
            // Returned with every event of this e-mail.
            "custom_args": {"baton_message_id": id},
        });
        if let Some(reply_to) = &letter.reply_to {
            body["reply_to"] = address(reply_to);
        }
        if !letter.attachments.is_empty() {
            body["attachments"] = letter.attachments.iter().map(attached).collect();
        }
        body
    }
}

#[async_trait]
impl ToolHandler for SendGridClient {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let letter = ComposedEmail::read(request, &self.templates)?;
        let id = request.id("msg");
        let theirs = self.send(&letter, &id, request.call.class).await?;
        Ok(json!({
            "message_id": theirs.as_deref().unwrap_or(&id),
            "id": id,
            "status": "sent",
            "delivered": NAME,
            "channel": "email",
            "to": request.argument("to"),
            "provider": NAME,
        }))
    }

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(self.vendor.name()))
    }

    async fn account(&self, _request: &PreparedRequest) -> Option<String> {
        let account = ProviderAccount::of(NAME, &self.base, &self.key).display_name()?;
        Some(format!("{account}, from {}", self.from))
    }
}

fn address(mailbox: &Mailbox) -> Value {
    match &mailbox.name {
        Some(name) => json!({"email": mailbox.email.to_string(), "name": name}),
        None => json!({"email": mailbox.email.to_string()}),
    }
}

fn attached(attachment: &EmailAttachment) -> Value {
    json!({
        "content": STANDARD.encode(&attachment.content),
        "type": attachment.media,
        "filename": attachment.filename,
        "disposition": "attachment",
    })
}

/// Reads an error `{"errors": [{"message", "field", "help"}]}`. An error of the e-mail itself is not a fault of the
/// account.
fn complaint(answer: &OutboundResponse) -> Option<VendorError> {
    let complaint = VendorError::from_response(answer, &["/errors/0/message"])?;
    let field = answer.value().pointer("/errors/0/field").and_then(Value::as_str).unwrap_or_default().to_owned();
    let meaning = match answer.status {
        400 | 413 => VendorErrorMeaning::Refused(code::MESSAGE_REJECTED),
        _ => VendorErrorMeaning::AsStatus,
    };
    let place = if field.is_empty() { String::new() } else { format!(" (`{field}`)") };
    Some(VendorError { message: format!("{}{place}", complaint.message), meaning })
}

#[cfg(test)]
mod tests;
