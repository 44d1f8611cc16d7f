//! Removes a request's secrets from its response. Some services echo parts of the request, such as headers and query,
//! most of all in error responses.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use reqwest::Url;
use serde_json::Value;

use super::OutboundRequest;
use crate::kinds::http::encode;

/// Replaces a secret.
const HIDDEN: &str = "[REDACTED]";
/// Minimum size of a redacted text, in bytes: a shorter one occurs in responses by chance.
const SECRET_BYTES_MIN: usize = 4;
/// Minimum size of a redacted path segment, in bytes: a shorter one is a word of the service's own, such as `hooks`.
const SEGMENT_BYTES_MIN: usize = 8;

/// The texts to redact, in every encoding that a response may contain, longest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecretRedactor(Arc<[String]>);

impl SecretRedactor {
    /// Collects the secrets of a request: those it lists, and its headers that are marked as sensitive.
    pub(super) fn of(outgoing: &OutboundRequest) -> Self {
        let marked = outgoing.headers.values().filter(|value| value.is_sensitive());
        let marked = marked.filter_map(|value| value.to_str().ok()).map(str::to_owned);
        // `Bearer abc`: a response may repeat the token without the scheme.
        let alone = |text: &str| text.split_once(' ').map(|(_, rest)| rest.to_owned());
        let marked = marked.flat_map(|text| alone(&text).into_iter().chain([text]));
        Self::new(outgoing.secrets.iter().cloned().chain(marked))
    }

    /// Creates a redactor of these texts.
    pub(crate) fn new(texts: impl Iterator<Item = String>) -> Self {
        let mut forms: Vec<String> = texts.flat_map(|secret| encoded_forms(&secret)).collect();
        forms.retain(|form| form.len() >= SECRET_BYTES_MIN);
        forms.sort_by(|one, other| other.len().cmp(&one.len()).then(one.cmp(other)));
        forms.dedup();
        Self(forms.into())
    }

    pub(crate) fn redact(&self, mut text: String) -> String {
        for form in self.0.iter() {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), HIDDEN);
            }
        }
        text
    }

    /// Redacts a body, which need not be text.
    pub(super) fn redact_bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        if self.0.is_empty() {
            return bytes;
        }
        // JSON may write any character as a numeric escape.
        if bytes.windows(2).any(|two| two == b"\\u")
            && let Ok(json) = serde_json::from_slice(&bytes)
        {
            return self.redact_value(json).to_string().into_bytes();
        }
        let mut bytes = match String::from_utf8(bytes) {
            Ok(text) => return self.redact(text).into_bytes(),
            Err(no_text) => no_text.into_bytes(),
        };
        for form in self.0.iter() {
            let form = form.as_bytes();
            if !bytes.windows(form.len()).any(|window| window == form) {
                continue;
            }
            let (mut hidden, mut rest) = (Vec::with_capacity(bytes.len()), bytes.as_slice());
            while let Some(first) = rest.first() {
                match rest.strip_prefix(form) {
                    Some(behind) => {
                        hidden.extend_from_slice(HIDDEN.as_bytes());
                        rest = behind;
                    }
                    None => {
                        hidden.push(*first);
                        rest = &rest[1..];
                    }
                }
            }
            bytes = hidden;
        }
        bytes
    }

    /// Redacts parsed JSON.
    pub(super) fn redact_value(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.redact(text)),
            Value::Array(items) => items.into_iter().map(|item| self.redact_value(item)).collect(),
            Value::Object(fields) => {
                fields.into_iter().map(|(name, value)| (self.redact(name), self.redact_value(value))).collect()
            }
            other => other,
        }
    }
}

/// Returns the secret parts of an address that is itself the key: its path and its query as a whole, and every part
/// of them that a service may repeat alone.
pub(crate) fn of_url(url: &Url) -> Vec<String> {
    let mut secrets = vec![url.path().trim_matches('/').to_owned()];
    secrets.extend(url.query().map(str::to_owned));
    secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    let segments = url.path().split('/').filter(|segment| segment.len() >= SEGMENT_BYTES_MIN);
    secrets.extend(segments.flat_map(|segment| [decoded(segment), segment.to_owned()]));
    secrets
}

/// Decodes a percent-encoded path segment.
fn decoded(segment: &str) -> String {
    let key = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let url = Url::parse(&format!("http://x/?{key}")).ok();
    let key = url.as_ref().and_then(|url| url.query_pairs().next());
    key.map_or_else(|| segment.to_owned(), |(key, _)| key.into_owned())
}

/// Returns the secret as it is, percent-encoded for a URL or a form, escaped in JSON, and in base64.
fn encoded_forms(secret: &str) -> Vec<String> {
    let mut encoded = String::new();
    encode(&mut encoded, secret);
    let of_form: String = form_urlencoded(secret);
    let json = Value::from(secret).to_string();
    let json = json.trim_matches('"').to_owned();
    let mut forms = vec![secret.to_owned(), encoded.to_lowercase(), encoded, of_form, json];
    forms.extend([STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|engine| engine.encode(secret)));
    let slashed: Vec<String> =
        forms.iter().filter(|form| form.contains('/')).map(|form| form.replace('/', "\\/")).collect();
    forms.extend(slashed);
    forms
}

/// Encodes as browsers encode a form: spaces as `+`.
fn form_urlencoded(secret: &str) -> String {
    let Ok(mut url) = Url::parse("http://x/") else { return secret.to_owned() };
    url.query_pairs_mut().append_key_only(secret);
    url.query().unwrap_or_default().to_owned()
}
