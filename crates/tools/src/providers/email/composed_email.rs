//! An e-mail composed from a call's arguments.

use std::borrow::Cow;

use lettre::Message;
use lettre::message::header::ContentTransferEncoding;
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use serde_json::{Value, json};

use super::attachment::{self, EmailAttachment};
use super::template::{EmailTemplates, RenderedEmail};
use crate::code;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

#[derive(Debug)]
pub(super) struct ComposedEmail<'r> {
    pub(super) to: Vec<Mailbox>,
    pub(super) cc: Vec<Mailbox>,
    pub(super) bcc: Vec<Mailbox>,
    pub(super) reply_to: Option<Mailbox>,
    pub(super) subject: Cow<'r, str>,
    pub(super) body: Option<Cow<'r, str>>,
    pub(super) html: Option<Cow<'r, str>>,
    pub(super) attachments: Vec<EmailAttachment>,
}

impl<'r> ComposedEmail<'r> {
    /// Reads the arguments. Fields of the call override those of its template.
    pub(super) fn read(request: &'r PreparedRequest, templates: &EmailTemplates) -> Result<Self, ToolError> {
        let invalid = |reason: String| ToolError::permanent(code::INVALID_PARAMETERS, reason);
        let all = |name: &str| mailboxes(name, request.argument(name)).map_err(invalid);
        let template = match request.text("template") {
            Some(name) => templates.render(name, request)?,
            None => RenderedEmail::default(),
        };
        let or_template =
            |name: &str, rendered: Option<String>| request.text(name).map(Cow::Borrowed).or(rendered.map(Cow::Owned));
        let subject = or_template("subject", template.subject).unwrap_or_default();
        if subject.contains(['\r', '\n']) {
            return Err(invalid("`subject` is more than one line".to_owned()));
        }
        Ok(Self {
            to: all("to")?,
            cc: all("cc")?,
            bcc: all("bcc")?,
            reply_to: all("reply_to")?.pop(),
            subject,
            body: or_template("body", template.body),
            html: or_template("html", template.html),
            attachments: attachment::read(request.argument("attachments")).map_err(invalid)?,
        })
    }

    /// The form stored in the outbox: everything but the contents of attachments.
    pub(super) fn summary(&self) -> Value {
        let shown = |mailboxes: &[Mailbox]| mailboxes.iter().map(Mailbox::to_string).collect::<Vec<_>>();
        let attachments = self
            .attachments
            .iter()
            .map(|attachment| json!({"filename": attachment.filename, "bytes": attachment.content.len()}));
        json!({
            "to": shown(&self.to),
            "cc": shown(&self.cc),
            "bcc": shown(&self.bcc),
            "reply_to": self.reply_to.as_ref().map(Mailbox::to_string),
            "subject": self.subject,
            "body": self.body,
            "html": self.html,
            "attachments": attachments.collect::<Vec<_>>(),
        })
    }

    /// Builds the message in wire format.
    pub(super) fn message(&self, from: &Mailbox, id: &str, at: std::time::SystemTime) -> Result<Message, String> {
        let message_id = format!("<{id}@{}>", from.email.domain());
        let mut builder =
            Message::builder().from(from.clone()).date(at).message_id(Some(message_id)).subject(&*self.subject);
        for mailbox in &self.to {
            builder = builder.to(mailbox.clone());
        }
        for mailbox in &self.cc {
            builder = builder.cc(mailbox.clone());
        }
        for mailbox in &self.bcc {
            builder = builder.bcc(mailbox.clone());
        }
        if let Some(mailbox) = &self.reply_to {
            builder = builder.reply_to(mailbox.clone());
        }
        let message = match (self.attachments.is_empty(), self.text()) {
            (true, EmailBody::Single(part)) => builder.singlepart(part),
            (true, EmailBody::Both(parts)) => builder.multipart(parts),
            (false, text) => {
                let mixed = match text {
                    EmailBody::Single(part) => MultiPart::mixed().singlepart(part),
                    EmailBody::Both(parts) => MultiPart::mixed().multipart(parts),
                };
                builder.multipart(
                    self.attachments.iter().fold(mixed, |mixed, attachment| mixed.singlepart(part(attachment))),
                )
            }
        };
        message.map_err(|error| error.to_string())
    }

    fn text(&self) -> EmailBody {
        match (self.body.as_deref(), self.html.as_deref()) {
            (Some(body), Some(html)) => {
                EmailBody::Both(MultiPart::alternative_plain_html(body.to_owned(), html.to_owned()))
            }
            (None, Some(html)) => EmailBody::Single(SinglePart::html(html.to_owned())),
            (body, None) => EmailBody::Single(SinglePart::plain(body.unwrap_or_default().to_owned())),
        }
    }
}

enum EmailBody {
    Single(SinglePart),
    Both(MultiPart),
}

/// Always uses base64: lettre would send bytes such as NUL, which no 7-bit part may contain, unchanged.
fn part(attachment: &EmailAttachment) -> SinglePart {
    let content = Body::new_with_encoding(attachment.content.clone(), ContentTransferEncoding::Base64);
    let content = content.unwrap_or_else(Body::new);
    lettre::message::Attachment::new(attachment.filename.clone()).body(content, attachment.content_type.clone())
}

/// Parses one address or several; the error names the index of the invalid one.
fn mailboxes(name: &str, given: &Value) -> Result<Vec<Mailbox>, String> {
    let parse = |place: String, text: &str| {
        text.trim().parse::<Mailbox>().map_err(|_| format!("`{place}` is not an e-mail address"))
    };
    match given {
        Value::String(text) => Ok(vec![parse(name.to_owned(), text)?]),
        Value::Array(list) => {
            let each = list.iter().enumerate();
            each.map(|(index, one)| parse(format!("{name}.{index}"), one.as_str().unwrap_or_default())).collect()
        }
        _ => Ok(Vec::new()),
    }
}
