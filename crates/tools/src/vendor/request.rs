//! One request to a vendor: building and sending it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;

use super::{VendorApi, error};
use crate::code;
use crate::config::SecretString;
use crate::kinds::http::encode;
use crate::kinds::http_request::{IDEMPOTENCY_KEY, idempotency_key};
use crate::outbound::{OutboundRequest, OutboundResponse};
use crate::tool_error::ToolError;

/// Replaces a secret in a message.
const HIDDEN: &str = "[REDACTED]";

/// The authentication of a request.
#[derive(Clone, Debug)]
pub(crate) enum VendorAuth<'s> {
    Bearer(&'s SecretString),
    Basic { username: &'s str, password: &'s SecretString },
    Header { name: HeaderName, secret: &'s SecretString },
}

#[must_use = "nothing is asked before `send`"]
pub(crate) struct VendorRequest<'v> {
    vendor: &'v VendorApi,
    /// The error states why it cannot be sent.
    outgoing: Result<OutboundRequest, String>,
    /// Texts that no error may contain.
    secrets: Vec<String>,
    limit: Option<Duration>,
    /// Statuses other than 2xx that count as responses, not failures.
    accepted: Vec<u16>,
}

impl<'v> VendorRequest<'v> {
    pub(super) fn new(vendor: &'v VendorApi, method: Method, url: Result<Url, String>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        let outgoing = url.map(|url| OutboundRequest { method, url, headers, body: None, secrets: Vec::new() });
        Self { vendor, outgoing, secrets: Vec::new(), limit: None, accepted: Vec::new() }
    }

    pub(crate) fn auth(mut self, auth: VendorAuth<'_>) -> Self {
        let (name, text, secret) = match auth {
            VendorAuth::Bearer(secret) => (header::AUTHORIZATION, format!("Bearer {}", secret.expose()), secret),
            VendorAuth::Basic { username, password } => {
                let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
                self.secrets.push(pair.clone());
                (header::AUTHORIZATION, format!("Basic {pair}"), password)
            }
            VendorAuth::Header { name, secret } => (name, secret.expose().to_owned(), secret),
        };
        self.secrets.push(secret.expose().to_owned());
        self.with_header(name, &text, true)
    }

    pub(crate) fn header(self, name: HeaderName, text: &str) -> Self {
        self.with_header(name, text, false)
    }

    /// The effect's key, for a vendor that acts once per `Idempotency-Key`.
    pub(crate) fn idempotency_key(self, key: &str) -> Self {
        self.change(|outgoing| {
            outgoing.headers.insert(IDEMPOTENCY_KEY, idempotency_key(key));
            Ok(())
        })
    }

    pub(crate) fn query(self, pairs: &[(&str, &str)]) -> Self {
        self.change(|outgoing| {
            outgoing.url.query_pairs_mut().extend_pairs(pairs);
            Ok(())
        })
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string().into_bytes())
    }

    /// Form fields in order; a name may occur twice.
    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        for (name, value) in fields {
            if !text.is_empty() {
                text.push('&');
            }
            encode(&mut text, name);
            text.push('=');
            encode(&mut text, value);
        }
        self.body("application/x-www-form-urlencoded", text.into_bytes())
    }

    /// A body of any type, such as `text/calendar`.
    pub(crate) fn body(self, content_type: &str, body: Vec<u8>) -> Self {
        let typed = self.with_header(header::CONTENT_TYPE, content_type, false);
        typed.change(|outgoing| {
            outgoing.body = Some(body);
            Ok(())
        })
    }

    /// A text that no error may contain, in addition to those of [`Self::auth`]: a refresh token in a form.
    pub(crate) fn redacting(mut self, secret: &SecretString) -> Self {
        self.secrets.push(secret.expose().to_owned());
        self
    }

    /// Accepts these statuses as responses too: those that the caller interprets, such as 404 or 412.
    pub(crate) fn accepting(mut self, statuses: &[u16]) -> Self {
        self.accepted.extend(statuses);
        self
    }

    /// Sets a time-out shorter than the call's: for a step before the one that acts, such as getting a token.
    /// Otherwise only the call's own time-out applies, which drops the attempt.
    pub(crate) fn timeout(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Sends the request and returns a 2xx response. `class` is the class of *this* request: a look-up before an act
    /// is a read, and may be repeated.
    ///
    /// # Errors
    /// `NotDone` if it was not sent, or refused; `Unknown` if it has side effects and the response does not tell.
    pub(crate) async fn send(self, class: EffectClass) -> Result<OutboundResponse, ToolError> {
        let (vendor, secrets, accepted) = (self.vendor, self.secrets.clone(), self.accepted.clone());
        let answer = self.answer(class).await?;
        if (200..300).contains(&answer.status) || accepted.contains(&answer.status) {
            return Ok(answer);
        }
        let complaint = (vendor.error_parser)(&answer);
        Err(error::failure(&answer, class, complaint, |message| redact(message, &secrets)))
    }

    /// Sends the request and returns any response, for a caller that interprets a 404 or a 412.
    ///
    /// # Errors
    /// As [`Self::send`], if there is no response.
    pub(crate) async fn answer(self, class: EffectClass) -> Result<OutboundResponse, ToolError> {
        let outgoing = self.outgoing.map_err(|reason| ToolError::permanent(code::INVALID_PARAMETERS, reason))?;
        let sent = self.vendor.outbound.send_to_own_origin(outgoing);
        let answer = match self.limit {
            None => sent.await,
            Some(limit) => tokio::time::timeout(limit, sent).await.map_err(|_elapsed| {
                let message = format!("{} gave no answer within {} ms", self.vendor.name, limit.as_millis());
                ToolError::indeterminate(class, Fault::new(code::TIMEOUT, message))
            })?,
        };
        let answer = answer.map_err(|no_answer| no_answer.failure(class))?;
        // The vendor's response to an act is needed to undo it.
        match answer.interruption() {
            Some(fault) => Err(ToolError::indeterminate(class, fault)),
            None => Ok(answer),
        }
    }

    fn with_header(self, name: HeaderName, text: &str, secret: bool) -> Self {
        self.change(|outgoing| {
            let value = HeaderValue::from_str(text);
            let mut value =
                value.map_err(|_| format!("the value of `{name}` has characters that a header cannot carry"))?;
            value.set_sensitive(secret);
            outgoing.headers.insert(name, value);
            Ok(())
        })
    }

    fn change(mut self, change: impl FnOnce(&mut OutboundRequest) -> Result<(), String>) -> Self {
        self.outgoing = self.outgoing.and_then(|mut outgoing| change(&mut outgoing).map(|()| outgoing));
        self
    }
}

/// Removes the secrets from a message, in case the vendor repeats one.
fn redact(mut message: String, secrets: &[String]) -> String {
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        message = message.replace(secret.as_str(), HIDDEN);
    }
    message
}
