//! `kind: http`: one request whose parts are templates over a call, and how its response is read.

use std::collections::BTreeMap;

use baton_core::tool::EffectClass;
use baton_expr::{Condition, ConditionLanguage, ParamsTemplate};
use reqwest::header::HeaderName;
use reqwest::{Method, Url};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::script::LanguageKey;
use super::{DefinitionDiagnostic, ToolProfile, read, template};

/// Names that a URL and a query may use.
pub(crate) const OPEN_NAMES: &[&str] = &["arguments", "attempt", "key", "language", "run", "tenant", "user_id"];
/// Names that headers and a body may use. They include secrets, because headers and bodies are never shown.
const NAMES: &[&str] = &["arguments", "attempt", "key", "language", "run", "secrets", "tenant", "user_id"];
const RULES_MAX: usize = 100;

#[derive(Clone, Debug)]
pub(crate) struct HttpDefinition {
    pub(crate) request: HttpTemplate,
    /// JMESPath over the response body; the whole body if not set.
    pub(crate) result: Option<String>,
    /// The first rule that matches decides what a response means; without a match, the status decides.
    pub(crate) errors: Vec<ErrorRule>,
    pub(crate) idempotency_header: Option<HeaderName>,
    pub(crate) lookup: Option<HttpLookup>,
    /// Path and query contain the key and must not be shown.
    pub(crate) secret_url: bool,
}

/// A request template.
#[derive(Clone, Debug)]
pub(crate) struct HttpTemplate {
    pub(crate) method: Method,
    /// Scheme, host and port, which no call can change.
    pub(crate) origin: Url,
    pub(crate) path: Vec<PathSegment>,
    pub(crate) query: Vec<(String, ParamsTemplate)>,
    pub(crate) headers: ParamsTemplate,
    /// `None` sends `{tool, arguments, key}` if the method has a body.
    pub(crate) body: Option<ParamsTemplate>,
}

/// The text between two `/` of a path.
#[derive(Clone, Debug)]
pub(crate) enum PathSegment {
    Literal(String),
    Filled(ParamsTemplate),
}

#[derive(Clone, Debug)]
pub(crate) struct ErrorRule {
    /// JMESPath over `{status, body}`.
    pub(crate) when: Condition,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) customer: BTreeMap<LanguageKey, String>,
    pub(crate) retryable: bool,
    pub(crate) unknown: bool,
}

/// How the service is asked for the outcome of a call.
#[derive(Clone, Debug)]
pub(crate) struct HttpLookup {
    pub(crate) request: HttpTemplate,
    /// JMESPath over `{status, body}`; if neither condition holds, the outcome stays unknown.
    pub(crate) done: Condition,
    pub(crate) not_done: Option<Condition>,
    pub(crate) result: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpFields {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    query: Map<String, Value>,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    errors: Vec<ErrorRuleFields>,
    #[serde(default)]
    idempotency_header: Option<String>,
    #[serde(default)]
    lookup: Option<LookupFields>,
    #[serde(default)]
    secret_url: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorRuleFields {
    when: String,
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    customer: BTreeMap<LanguageKey, String>,
    #[serde(default)]
    retryable: bool,
    #[serde(default)]
    unknown: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LookupFields {
    url: String,
    #[serde(default)]
    query: Map<String, Value>,
    /// Defaults to the headers of the call.
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    done: String,
    #[serde(default)]
    not_done: Option<String>,
    #[serde(default)]
    result: Option<String>,
}

impl HttpDefinition {
    pub(super) fn read(fields: Map<String, Value>) -> Result<Self, DefinitionDiagnostic> {
        let written: HttpFields = read("", fields)?;
        let method = written.method.as_deref().unwrap_or("POST").to_ascii_uppercase();
        let known = matches!(method.as_str(), "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE");
        if !known {
            return Err(DefinitionDiagnostic::at(
                "method",
                format!("`{method}` is none of GET, HEAD, POST, PUT, PATCH, DELETE"),
            ));
        }
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|_| DefinitionDiagnostic::at("method", "is no method"))?;
        let headers = Value::Object(written.headers);
        let lookup = written.lookup.map(|lookup| HttpLookup::read(lookup, &headers)).transpose();
        let header = written.idempotency_header.map(|name| name.parse());
        if written.errors.len() > RULES_MAX {
            return Err(DefinitionDiagnostic::at("errors", format!("there are at most {RULES_MAX}")));
        }
        let rules = written.errors.into_iter().enumerate();
        Ok(Self {
            request: HttpTemplate::read(method, &written.url, written.query, &headers, written.body)?,
            result: written.result.map(|result| checked_expression("result", result)).transpose()?,
            errors: rules
                .map(|(index, rule)| {
                    ErrorRule::read(rule).map_err(|mistake| mistake.within(&format!("errors.{index}")))
                })
                .collect::<Result<_, _>>()?,
            idempotency_header: header
                .transpose()
                .map_err(|_| DefinitionDiagnostic::at("idempotency_header", "is no header's name"))?,
            lookup: lookup.map_err(|mistake| mistake.within("lookup"))?,
            secret_url: written.secret_url,
        })
    }

    /// Derives the class if the definition does not set it, and checks that the tool can keep the one it sets.
    pub(super) fn complete(&self, profile: ToolProfile) -> Result<ToolProfile, DefinitionDiagnostic> {
        let method = &self.request.method;
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let repeatable = self.idempotency_header.is_some() || matches!(*method, Method::PUT | Method::DELETE);
        let class = match (profile.class, reads, &self.idempotency_header, &self.lookup) {
            (Some(class), ..) => class,
            (None, true, ..) => EffectClass::Read,
            (None, false, Some(_), _) => EffectClass::Keyed,
            (None, false, None, Some(_)) => EffectClass::Verify,
            (None, false, None, None) => EffectClass::Once,
        };
        Ok(profile.with_class(check_class(class, repeatable, self.lookup.is_some())?))
    }
}

/// Checks that a request can have a class: whether it can be sent again under the same key, or looked up.
pub(crate) fn check_class(
    class: EffectClass,
    repeatable: bool,
    looked_up: bool,
) -> Result<EffectClass, DefinitionDiagnostic> {
    match class {
        EffectClass::Keyed if !repeatable => {
            let reason = "`keyed` needs an `idempotency_header` that the service honours, or a PUT or DELETE";
            Err(DefinitionDiagnostic::at("class", reason))
        }
        EffectClass::Verify if !looked_up => {
            Err(DefinitionDiagnostic::at("class", "`verify` needs a `lookup` that asks what became of a call"))
        }
        EffectClass::Pure => {
            Err(DefinitionDiagnostic::at("class", "a request is not `pure`; one that only asks is `read`"))
        }
        EffectClass::Read | EffectClass::Keyed | EffectClass::Verify | EffectClass::Once => Ok(class),
    }
}

impl HttpTemplate {
    fn read(
        method: Method,
        url: &str,
        query: Map<String, Value>,
        headers: &Value,
        body: Option<Value>,
    ) -> Result<Self, DefinitionDiagnostic> {
        let (origin, path, fixed) = parts(url)?;
        let mut pairs = Vec::new();
        for pair in fixed.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Literal text may be percent-encoded already, and is encoded again when it is sent.
            let value = if value.contains("{{") { value.to_owned() } else { decoded(&origin, value) };
            pairs.push((decoded(&origin, name), template("url", &Value::from(value), OPEN_NAMES)?));
        }
        for (name, value) in query {
            let value = template(&format!("query.{name}"), &value, OPEN_NAMES)?;
            pairs.push((name, value));
        }
        let segments = split_outside_templates(path, '/').into_iter().map(|segment| {
            if segment.contains("{{") {
                template("url", &Value::from(segment), OPEN_NAMES).map(PathSegment::Filled)
            } else {
                Ok(PathSegment::Literal(segment.to_owned()))
            }
        });
        Ok(Self {
            method,
            origin,
            path: segments.collect::<Result<_, _>>()?,
            query: pairs,
            headers: template("headers", headers, NAMES)?,
            body: body.map(|body| template("body", &body, NAMES)).transpose()?,
        })
    }
}

/// Decodes a percent-encoded part of a query.
fn decoded(origin: &Url, text: &str) -> String {
    let mut probe = origin.clone();
    probe.set_query(Some(text));
    probe.query_pairs().next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

/// Splits a URL into origin, path and query. The origin contains no template, so no argument can choose the host.
fn parts(url: &str) -> Result<(Url, &str, &str), DefinitionDiagnostic> {
    let wrong = |reason: &str| DefinitionDiagnostic::at("url", reason);
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("write `https://host/path`"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    if host.contains('{') || host.contains('@') {
        return Err(wrong("scheme, host and port are written out: no templates and no credentials"));
    }
    if rest.contains('#') {
        return Err(wrong("a URL that is called has no `#`"));
    }
    let origin: Url = format!("{scheme}://{host}/").parse().map_err(|_| wrong("is no URL"))?;
    if !matches!(origin.scheme(), "http" | "https") {
        return Err(wrong("begins with http:// or https://"));
    }
    let mut path_and_query = split_outside_templates(rest, '?').into_iter();
    let path = path_and_query.next().unwrap_or_default();
    let query = rest.get(path.len() + 1..).unwrap_or_default();
    Ok((origin, path.strip_prefix('/').unwrap_or(path), query))
}

/// Splits at a separator, but not inside `{{ }}`.
fn split_outside_templates(text: &str, separator: char) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut from, mut depth) = (0, 0_usize);
    for (at, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            other if other == separator && depth == 0 => {
                pieces.push(&text[from..at]);
                from = at + other.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[from..]);
    pieces
}

impl ErrorRule {
    fn read(written: ErrorRuleFields) -> Result<Self, DefinitionDiagnostic> {
        Ok(Self {
            when: condition("when", &written.when)?,
            code: written.code,
            message: written.message,
            customer: written.customer,
            retryable: written.retryable,
            unknown: written.unknown,
        })
    }
}

impl HttpLookup {
    fn read(written: LookupFields, headers: &Value) -> Result<Self, DefinitionDiagnostic> {
        let headers = written.headers.map_or_else(|| headers.clone(), Value::Object);
        Ok(Self {
            request: HttpTemplate::read(Method::GET, &written.url, written.query, &headers, None)?,
            done: condition("done", &written.done)?,
            not_done: written.not_done.map(|source| condition("not_done", &source)).transpose()?,
            result: written.result.map(|result| checked_expression("result", result)).transpose()?,
        })
    }
}

/// Compiles JMESPath over a response.
fn condition(place: &str, source: &str) -> Result<Condition, DefinitionDiagnostic> {
    let condition = Condition::parse(ConditionLanguage::JmesPath, source);
    let condition = condition.map_err(|error| DefinitionDiagnostic::at(place, error.message))?;
    super::check_roots(place, condition.roots(), &["status", "body", "true", "false", "null"])?;
    Ok(condition)
}

/// Parses the expression now, so that an error is found before the first call.
fn checked_expression(place: &str, source: String) -> Result<String, DefinitionDiagnostic> {
    Condition::parse(ConditionLanguage::JmesPath, &source)
        .map_err(|error| DefinitionDiagnostic::at(place, error.message))?;
    Ok(source)
}
