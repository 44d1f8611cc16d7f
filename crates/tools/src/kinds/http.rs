//! A tool that sends one HTTP request to a service that the project's own definition names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use baton_expr::{EvalContext, EvalError, JsonContext, jmespath};
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use crate::catalogue::ToolEntry;
use crate::code;
use crate::config::{BoundSecret, SendableSecrets, secret_env_var};
use crate::definition::{ErrorRule, HttpDefinition, HttpLookup, HttpTemplate, OPEN_NAMES, PathSegment, ToolProfile};
use crate::kinds::http_request::{as_text, body, headers, idempotency_key};
use crate::outbound::{OutboundClient, OutboundRequest, OutboundResponse, check_status, of_url};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

pub(crate) fn entry(
    profile: ToolProfile,
    http: HttpDefinition,
    outbound: Arc<OutboundClient>,
    secrets: Arc<BTreeMap<String, BoundSecret>>,
) -> ToolEntry {
    let declares_output = http.result.is_some() || profile.has_output_fields();
    profile.entry("http", Arc::new(HttpTemplateTool { http, has_output_schema: declares_output, outbound, secrets }))
}

struct HttpTemplateTool {
    http: HttpDefinition,
    /// Whether the definition declares how the output is read from a response. A response without that output is then
    /// an error.
    has_output_schema: bool,
    outbound: Arc<OutboundClient>,
    secrets: Arc<BTreeMap<String, BoundSecret>>,
}

#[async_trait]
impl ToolHandler for HttpTemplateTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let class = request.call.class;
        let mut outgoing = self.fill(&self.http.request, request)?;
        if let Some(header) = &self.http.idempotency_header {
            outgoing.headers.insert(header.clone(), idempotency_key(&request.call.key));
        }
        let answer =
            self.send(outgoing, &self.http.request.origin).await.map_err(|no_answer| no_answer.failure(class))?;
        let seen = json!({"status": answer.status, "body": answer.value()});
        // An interrupted response cannot be matched against rules.
        let rule = match answer.interruption() {
            Some(_) => None,
            None => matching_rule(&self.http.errors, &seen, request)?,
        };
        if let Some(rule) = rule {
            return Err(rule.failure(&answer, request));
        }
        check_status(&answer, class)?;
        if self.has_output_schema && answer.declared_output(class).is_none() {
            answer.read_as_json(class)?;
        }
        result(self.http.result.as_deref(), &answer, class)
    }

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(self.http.request.origin.as_str()))
    }

    async fn look_up(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let unknown = |fault: Fault| ToolError::Unknown { fault };
        let Some(lookup) = &self.http.lookup else {
            let message = format!("`{}` has no `lookup` that tells what became of a call", request.call.tool);
            return Err(unknown(Fault::new(code::OUTCOME_UNKNOWN, message)));
        };
        self.query_status(lookup, request).await.map_err(|failure| match failure {
            LookupError::NotDone(fault) => ToolError::NotDone { fault, retryable: true, retry_after: None },
            LookupError::Unknown(failure) => unknown(failure.fault().clone()),
        })
    }
}

/// Why a look-up found no result.
enum LookupError {
    NotDone(Fault),
    Unknown(ToolError),
}

impl HttpTemplateTool {
    async fn send(
        &self,
        outgoing: OutboundRequest,
        origin: &Url,
    ) -> Result<OutboundResponse, crate::outbound::OutboundError> {
        self.outbound.send(outgoing, Some(origin)).await
    }

    async fn query_status(&self, lookup: &HttpLookup, request: &PreparedRequest) -> Result<Value, LookupError> {
        let outgoing = self.fill(&lookup.request, request).map_err(LookupError::Unknown)?;
        let answer = self.send(outgoing, &lookup.request.origin).await;
        let answer = answer.map_err(|no_answer| LookupError::Unknown(no_answer.failure(EffectClass::Read)))?;
        if let Some(fault) = answer.interruption() {
            return Err(LookupError::Unknown(ToolError::Unknown { fault }));
        }
        let seen = json!({"status": answer.status, "body": answer.value()});
        let holds = |condition: &baton_expr::Condition| {
            condition
                .holds(&document(&seen, request))
                .map_err(|error| LookupError::Unknown(expression_error("lookup", &error)))
        };
        if holds(&lookup.done)? {
            return result(lookup.result.as_deref(), &answer, EffectClass::Read).map_err(LookupError::Unknown);
        }
        let from = &answer.from;
        match &lookup.not_done {
            Some(not_done) if holds(not_done)? => {
                let message = format!("{from} says that the call was not done");
                Err(LookupError::NotDone(Fault::new(code::SERVICE_UNAVAILABLE, message)))
            }
            Some(_) | None => {
                let message = format!("{from} answered {}, which tells neither done nor not done", answer.status);
                Err(LookupError::Unknown(ToolError::Unknown { fault: Fault::new(code::OUTCOME_UNKNOWN, message) }))
            }
        }
    }

    /// The parts of URLs that are secret: the response of a look-up may repeat the URL of the call.
    fn secrets_of_urls(&self, names: &TemplateScope<'_>) -> Vec<String> {
        if !self.http.secret_url {
            return Vec::new();
        }
        let lookup = self.http.lookup.as_ref().map(|lookup| &lookup.request);
        let requests = std::iter::once(&self.http.request).chain(lookup);
        requests.filter_map(|request| url(request, names).ok()).flat_map(|url| of_url(&url)).collect()
    }

    /// Builds the request with every template filled.
    fn fill(&self, template: &HttpTemplate, request: &PreparedRequest) -> Result<OutboundRequest, ToolError> {
        let open = TemplateScope { request, secrets: None };
        let url = url(template, &open)?;
        let sendable = SendableSecrets { all: &self.secrets, to: &url };
        let closed = TemplateScope { request, secrets: Some(sendable) };
        let expression = |place: &str, error: &EvalError| expression_error_with_secrets(place, error, sendable);
        let invalid = |reason: String| ToolError::permanent(code::INVALID_PARAMETERS, reason);
        let filled = template.headers.render(&closed).map_err(|error| expression("headers", &error))?;
        let mut headers: HeaderMap = headers(&filled).map_err(invalid)?;
        let content = match &template.body {
            Some(body) => body.render(&closed).map_err(|error| expression("body", &error))?,
            None if matches!(template.method, Method::GET | Method::HEAD | Method::DELETE) => Value::Null,
            None => {
                let call = &request.call;
                json!({"tool": call.tool, "arguments": call.arguments, "key": call.key})
            }
        };
        let body = body(&content, &mut headers).map_err(invalid)?;
        let mut secrets: Vec<String> = sendable.iter().map(|(_, secret)| secret.expose().to_owned()).collect();
        secrets.extend(self.secrets_of_urls(&open));
        Ok(OutboundRequest { method: template.method.clone(), url, headers, body, secrets })
    }
}

/// A path segment that a call fills stays one segment: it is encoded, and must not be empty or lead upwards.
fn url(template: &HttpTemplate, names: &TemplateScope<'_>) -> Result<Url, ToolError> {
    let mut path = String::new();
    for segment in &template.path {
        path.push('/');
        match segment {
            PathSegment::Literal(text) => path.push_str(text),
            PathSegment::Filled(params) => {
                let text = as_text(&params.render(names).map_err(|error| expression_error("url", &error))?);
                if matches!(text.as_str(), "" | "." | "..") {
                    let reason = format!("`url`: a part of the path came out as `{text}`");
                    return Err(ToolError::permanent(code::INVALID_PARAMETERS, reason));
                }
                encode(&mut path, &text);
            }
        }
    }
    let mut url = template.origin.clone();
    url.set_path(&path);
    if !template.query.is_empty() {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in &template.query {
            match value.render(names).map_err(|error| expression_error("url", &error))? {
                Value::Null => {}
                value => drop(pairs.append_pair(name, &as_text(&value))),
            }
        }
    }
    Ok(url)
}

/// Percent-encodes everything but the unreserved characters (RFC 3986).
pub(crate) fn encode(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

fn matching_rule<'h>(
    rules: &'h [ErrorRule],
    seen: &Value,
    request: &PreparedRequest,
) -> Result<Option<&'h ErrorRule>, ToolError> {
    for rule in rules {
        // The service has responded: a rule that fails to evaluate must not hide whether the call acted.
        let holds = rule.when.holds(&document(seen, request));
        let holds = holds.map_err(|error| {
            ToolError::indeterminate(request.call.class, expression_error("errors", &error).fault().clone())
        })?;
        if holds {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

impl ErrorRule {
    fn failure(&self, answer: &OutboundResponse, request: &PreparedRequest) -> ToolError {
        let told = if self.message.is_empty() { "" } else { ": " };
        let message = format!("{} answered {}{told}{}", answer.from, answer.status, self.message);
        let mut fault = Fault::new(self.code.clone(), message);
        fault.customer = self.customer.get(&request.language.into()).map(|words| words.as_str().into());
        if self.unknown {
            return ToolError::Unknown { fault };
        }
        ToolError::NotDone { fault, retryable: self.retryable, retry_after: None }
    }
}

/// Reads the tool's result from a response. A performed act stays done, even if its response is too long or the
/// expression fails on it. If JSON was declared, the caller first checks it with [`OutboundResponse::read_as_json`].
pub(super) fn result(
    expression: Option<&str>,
    answer: &OutboundResponse,
    class: EffectClass,
) -> Result<Value, ToolError> {
    if let Some(bare) = answer.declared_output(class) {
        return Ok(bare);
    }
    if answer.truncated {
        let message = format!("{} answered with more than {} bytes", answer.from, answer.body.len());
        return Err(ToolError::permanent(code::RESPONSE_TOO_LARGE, message));
    }
    let Some(expression) = expression else { return Ok(answer.value()) };
    match jmespath::search(expression, &answer.value()) {
        Ok(result) => Ok(result),
        Err(_) if class.has_side_effects() => Ok(answer.value()),
        Err(error) => {
            Err(ToolError::permanent(code::EXPRESSION_FAILED, format!("`result` over {}: {error}", answer.from)))
        }
    }
}

fn document<'d>(seen: &'d Value, request: &'d PreparedRequest) -> JsonContext<'d> {
    JsonContext::new(seen, request.call.at.to_timestamp()).in_zone(request.zone())
}

pub(crate) fn expression_error(place: &str, error: &EvalError) -> ToolError {
    let hint = error.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
    ToolError::permanent(code::EXPRESSION_FAILED, format!("`{place}`: {}{hint}", error.message))
}

/// Builds the same error for a template that may use secrets: it names a secret that is not set, and those that may
/// not be sent to the address.
pub(super) fn expression_error_with_secrets(place: &str, error: &EvalError, secrets: SendableSecrets<'_>) -> ToolError {
    let absent = error.absent.as_deref().and_then(|path| path.strip_prefix("secrets."));
    if let Some(secret) = absent.filter(|secret| !secrets.all.contains_key(*secret)) {
        let variable = secret_env_var(secret);
        let message = format!(
            "`{place}`: the secret `{secret}` is not set; set it by {variable}, or as `{secret}` under [tools.secrets]"
        );
        return ToolError::permanent(code::SERVICE_NOT_CONFIGURED, message);
    }
    let hint = error.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
    let kept = secrets.withheld_names().map(|kept| format!("; {kept}")).unwrap_or_default();
    ToolError::permanent(code::EXPRESSION_FAILED, format!("`{place}`: {}{hint}{kept}", error.message))
}

/// A call, as the names of a request template.
pub(super) struct TemplateScope<'r> {
    pub(super) request: &'r PreparedRequest,
    /// Only for parts of the request that are never shown.
    pub(super) secrets: Option<SendableSecrets<'r>>,
}

impl EvalContext for TemplateScope<'_> {
    fn lookup(&self, root: &str) -> Option<Cow<'_, Value>> {
        let call = &self.request.call;
        Some(match root {
            "arguments" => Cow::Borrowed(&*call.arguments),
            "attempt" => Cow::Owned(call.attempt.into()),
            "key" => Cow::Owned(call.key.as_str().into()),
            "language" => Cow::Owned(self.request.language.tag().into()),
            "run" => Cow::Owned(call.run.as_str().into()),
            "secrets" => {
                let secrets = self.secrets?.iter().map(|(name, secret)| (name.clone(), secret.expose().into()));
                Cow::Owned(Value::Object(secrets.collect::<Map<_, _>>()))
            }
            "tenant" => Cow::Owned(call.tenant.as_str().into()),
            "user_id" => Cow::Owned(call.caller.user_id.as_deref().into()),
            _ => return None,
        })
    }

    fn known_names(&self) -> Vec<String> {
        OPEN_NAMES.iter().map(|name| (*name).to_owned()).collect()
    }

    fn now(&self) -> Timestamp {
        self.request.call.at.to_timestamp()
    }

    fn zone(&self) -> &str {
        self.request.zone()
    }
}

#[cfg(test)]
mod tests;
