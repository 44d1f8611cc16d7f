//! Attachments of an e-mail.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::ContentType;
use serde_json::Value;

/// Maximum number of attachments of one e-mail, and their total size in bytes.
pub(super) const COUNT_MAX: usize = 10;
const BYTES_MAX: usize = 5 << 20;

#[derive(Debug)]
pub(super) struct EmailAttachment {
    pub(super) filename: String,
    pub(super) content_type: ContentType,
    /// The media type as written: `application/pdf`.
    pub(super) media: String,
    pub(super) content: Vec<u8>,
}

/// Reads all attachments; the error names the invalid one.
pub(super) fn read(given: &Value) -> Result<Vec<EmailAttachment>, String> {
    let mut attachments = Vec::new();
    let mut left = BYTES_MAX;
    for (index, given) in given.as_array().into_iter().flatten().enumerate() {
        let attachment = one(given).map_err(|reason| format!("`attachments.{index}`: {reason}"))?;
        let rest = left.checked_sub(attachment.content.len());
        left = rest.ok_or_else(|| format!("the attachments are more than {} MB", BYTES_MAX >> 20))?;
        attachments.push(attachment);
    }
    Ok(attachments)
}

fn one(given: &Value) -> Result<EmailAttachment, String> {
    let text = |name: &str| given.get(name).and_then(Value::as_str);
    let (content, usual) = match (text("content"), text("content_base64")) {
        (Some(content), _) => (content.as_bytes().to_vec(), "text/plain; charset=utf-8"),
        (None, Some(encoded)) => {
            let content = STANDARD.decode(encoded.trim_ascii());
            (content.map_err(|error| format!("`content_base64` is not base64: {error}"))?, "application/octet-stream")
        }
        (None, None) => return Err("it has neither `content` nor `content_base64`".to_owned()),
    };
    let content_type = text("content_type").unwrap_or(usual);
    let media = content_type.to_owned();
    let content_type = ContentType::parse(content_type).map_err(|_| format!("`{content_type}` is no content type"))?;
    Ok(EmailAttachment { filename: text("filename").unwrap_or("attachment").to_owned(), content_type, media, content })
}
