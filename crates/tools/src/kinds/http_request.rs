//! `http_request`: one HTTP request to an address that the settings permit.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::{EffectClass, ToolContract};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::code;
use crate::outbound::{OutboundClient, OutboundRequest, OutboundResponse, URL_BYTES_MAX, check_status};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

/// Time-out of one attempt.
const TIMEOUT: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: usize = 1 << 20;
const HEADERS_MAX: usize = 50;
/// Sent with keyed calls, as the IETF draft names it.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Maximum key length that services commonly accept; a longer key is hashed.
const KEY_BYTES_MAX: usize = 255;
/// Headers that belong to the connection, or that would address a proxy or another host than the checked one.
pub(crate) const FORBIDDEN_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

const READS: &[&str] = &["GET", "HEAD", "OPTIONS"];
const ACTS: &[&str] = &["POST", "PUT", "PATCH", "DELETE"];

pub(crate) fn entry(outbound: Arc<OutboundClient>) -> ToolEntry {
    // Without a method it is a GET.
    let whole = ToolContract { told_by: Cow::Borrowed("method"), ..facts(EffectClass::Read) };
    let reads =
        READS.iter().map(|method| (*method, ActionSpec::new(facts(EffectClass::Read), "api_call", ToolRisk::Low)));
    let idempotent = outbound.config().idempotent_methods.clone();
    let acts = ACTS.iter().map(|method| {
        let class = if idempotent.contains(*method) { EffectClass::Keyed } else { EffectClass::Once };
        let mut acts = facts(class);
        acts.irreversible = Some("nobody knows what the request does; undo it with another request".to_owned());
        let keyed = ToolContract { class: EffectClass::Keyed, ..acts.clone() };
        acts.told_by = Cow::Borrowed("idempotency");
        acts.actions.insert("true".to_owned(), keyed);
        (*method, ActionSpec::new(acts, "api_call", ToolRisk::High))
    });
    let actions: Vec<_> = reads.chain(acts).collect();
    let tool = Arc::new(HttpRequest { outbound });
    ToolEntry::new("http_request", "integration", "built-in", ActionSpec::new(whole, "api_call", ToolRisk::Low), tool)
        .with_actions(actions)
}

fn facts(class: EffectClass) -> ToolContract {
    ToolContract {
        description: "Makes an HTTP request to a public address".to_owned(),
        output_fields: ["status", "headers", "body", "url"].map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["url"],
            "properties": {
                "method": {"enum": ([READS, ACTS].concat()), "default": "GET"},
                "url": {"type": "string", "minLength": 1, "maxLength": URL_BYTES_MAX},
                "query": {
                    "type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]},
                    "description": "Added to the URL, encoded",
                },
                "headers": {
                    "type": "object", "maxProperties": HEADERS_MAX, "additionalProperties": {"type": "string"},
                },
                "body": {"description": "A string is sent as it is, anything else as JSON"},
                "idempotency": {
                    "type": "boolean", "default": false,
                    "description": "The service takes an Idempotency-Key, so the request may be repeated after a crash",
                },
            },
        }),
        ..ToolContract::new(class, TIMEOUT)
    }
}

struct HttpRequest {
    outbound: Arc<OutboundClient>,
}

#[async_trait]
impl ToolHandler for HttpRequest {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let class = request.call.class;
        let outgoing = outgoing(request).map_err(|reason| ToolError::permanent(code::INVALID_PARAMETERS, reason))?;
        let answer = self.outbound.send(outgoing, None).await.map_err(|no_answer| no_answer.failure(class))?;
        check_status(&answer, class)?;
        if answer.truncated && !class.has_side_effects() {
            let message = format!("{} answered with more than {} bytes", answer.from, answer.body.len());
            return Err(ToolError::NotDone {
                fault: Fault::new(code::RESPONSE_TOO_LARGE, message),
                retryable: false,
                retry_after: None,
            });
        }
        Ok(output(&answer, class))
    }

    /// Circuits are per host, because the failure of one host says nothing about others.
    fn service<'a>(&'a self, request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        let url: Url = request.text("url")?.parse().ok()?;
        url.host_str().map(|host| Cow::Owned(host.to_owned()))
    }
}

fn output(answer: &OutboundResponse, class: EffectClass) -> Value {
    let is_cut = answer.declared_output(class).is_some_and(|bare| bare["truncated"] == true);
    json!({
        "status": answer.status,
        "headers": answer.kept_headers(),
        // The response of an act is truncated instead of refused, because the act was performed.
        "body": if is_cut { Value::Null } else { answer.value() },
        "truncated": is_cut,
        "url": answer.from,
    })
}

fn outgoing(request: &PreparedRequest) -> Result<OutboundRequest, String> {
    let mut url: Url = request.text("url").unwrap_or_default().parse().map_err(|error| format!("`url`: {error}"))?;
    if let Some(query) = request.argument("query").as_object() {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in query {
            pairs.append_pair(name, &as_text(value));
        }
    }
    let method = request.text("method").unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("`method` is `{method}`"))?;
    let mut headers = headers(request.argument("headers"))?;
    let body = body(request.argument("body"), &mut headers)?;
    if request.argument("idempotency") == true {
        headers.insert(IDEMPOTENCY_KEY, idempotency_key(&request.call.key));
    }
    // The journal holds the arguments of the call anyway; only headers that identify the caller must not come back
    // with the response.
    for name in [header::AUTHORIZATION, header::COOKIE] {
        if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(true);
        }
    }
    Ok(OutboundRequest { method, url, headers, body, secrets: Vec::new() })
}

/// Formats a value for a query or a header.
pub(crate) fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Parses headers by name. The error names the header that cannot be sent, never its value.
pub(crate) fn headers(given: &Value) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in given.as_object().into_iter().flatten() {
        let parsed: HeaderName = name.parse().map_err(|_| format!("`headers`: `{name}` is no header's name"))?;
        if FORBIDDEN_HEADERS.contains(&parsed.as_str()) {
            return Err(format!("`headers`: `{name}` is set by the connection and not by a call"));
        }
        let value = HeaderValue::from_str(&as_text(value))
            .map_err(|_| format!("`headers`: the value of `{name}` has characters that a header cannot carry"))?;
        headers.insert(parsed, value);
    }
    Ok(headers)
}

/// Returns the bytes of the body, and sets its content type if the call does not.
pub(crate) fn body(given: &Value, headers: &mut HeaderMap) -> Result<Option<Vec<u8>>, String> {
    let (bytes, kind) = match given {
        Value::Null => return Ok(None),
        Value::String(text) => (text.as_bytes().to_vec(), "text/plain; charset=utf-8"),
        json => (json.to_string().into_bytes(), "application/json"),
    };
    if bytes.len() > BODY_BYTES_MAX {
        return Err(format!("`body` is {} bytes, over the limit of {BODY_BYTES_MAX}", bytes.len()));
    }
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    Ok(Some(bytes))
}

/// Formats the effect's key as a header. A key that a header cannot carry, or that is longer than services accept, is
/// hashed.
pub(crate) fn idempotency_key(key: &str) -> HeaderValue {
    let plain = key.len() <= KEY_BYTES_MAX && key.bytes().all(|byte| byte.is_ascii_graphic());
    let value = if plain { key.to_owned() } else { baton_core::bundle::ContentHash::of(key.as_bytes()).to_string() };
    HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("invalid"))
}

#[cfg(test)]
mod tests;
