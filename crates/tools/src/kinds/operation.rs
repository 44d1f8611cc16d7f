//! A tool that calls one operation of an OpenAPI document.

mod multipart;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::catalogue::ToolEntry;
use crate::code;
use crate::config::{BoundSecret, SendableSecrets};
use crate::definition::ToolProfile;
use crate::kinds::http::{TemplateScope, encode, expression_error_with_secrets, result};
use crate::kinds::http_request::{FORBIDDEN_HEADERS, as_text, idempotency_key};
use crate::openapi::{
    BodyMedia, CredentialPlace, OpenApiOperation, OperationBody, OperationParameter, ParameterPlace, ParameterStyle,
    PathPart, RequestCredential,
};
use crate::outbound::{OutboundClient, OutboundRequest, check_status};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;

pub(crate) fn entry(
    profile: ToolProfile,
    operation: OpenApiOperation,
    outbound: Arc<OutboundClient>,
    secrets: Arc<BTreeMap<String, BoundSecret>>,
) -> ToolEntry {
    profile.entry("openapi", Arc::new(OperationTool { operation, outbound, secrets }))
}

struct OperationTool {
    operation: OpenApiOperation,
    outbound: Arc<OutboundClient>,
    secrets: Arc<BTreeMap<String, BoundSecret>>,
}

#[async_trait]
impl ToolHandler for OperationTool {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let class = request.call.class;
        let outgoing = self.outgoing(request)?;
        let trusted = self.operation.is_trusted.then_some(&self.operation.origin);
        let answer = self.outbound.send(outgoing, trusted).await;
        let answer = answer.map_err(|no_answer| no_answer.failure(class))?;
        check_status(&answer, class)?;
        result(None, &answer, class)
    }

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(self.operation.origin.as_str()))
    }
}

impl OperationTool {
    fn outgoing(&self, request: &PreparedRequest) -> Result<OutboundRequest, ToolError> {
        let operation = &self.operation;
        let arguments = &request.call.arguments;
        let mut sent = OperationRequest {
            url: operation.origin.clone(),
            headers: HeaderMap::new(),
            cookies: Vec::new(),
            secrets: Vec::new(),
        };
        sent.url.set_path(&path(operation, arguments)?);
        for parameter in &operation.parameters {
            match arguments.get(&parameter.argument) {
                Some(Value::Null) | None => {}
                Some(value) => sent.put(parameter, value)?,
            }
        }
        for credential in &operation.credentials {
            self.authenticate(credential, request, &mut sent)?;
        }
        if let Some(header) = &operation.idempotency_header {
            sent.headers.insert(header.clone(), idempotency_key(&request.call.key));
        }
        if !sent.cookies.is_empty() {
            let is_secret = |credential: &RequestCredential| matches!(credential.place, CredentialPlace::Cookie(_));
            let cookies = sent.cookies.join("; ");
            match operation.credentials.iter().any(is_secret) {
                true => sent.secret(&header::COOKIE, &cookies)?,
                false => sent.header(&header::COOKIE, &cookies)?,
            }
        }
        sent.headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json, */*;q=0.5"));
        let body = match &operation.body {
            Some(body) => content(body, arguments, &mut sent.headers)?,
            None => None,
        };
        Ok(OutboundRequest {
            method: operation.method.clone(),
            url: sent.url,
            headers: sent.headers,
            body,
            secrets: sent.secrets,
        })
    }

    fn authenticate(
        &self,
        credential: &RequestCredential,
        request: &PreparedRequest,
        sent: &mut OperationRequest,
    ) -> Result<(), ToolError> {
        let sendable = SendableSecrets { all: &self.secrets, to: &sent.url };
        let scene = TemplateScope { request, secrets: Some(sendable) };
        let rendered = credential.secret.render(&scene);
        let secret = as_text(&rendered.map_err(|error| expression_error_with_secrets("auth", &error, sendable))?);
        sent.secrets.push(secret.clone());
        match &credential.place {
            CredentialPlace::Header(name) => sent.secret(name, &secret),
            CredentialPlace::Bearer => sent.secret(&header::AUTHORIZATION, &format!("Bearer {secret}")),
            CredentialPlace::Basic => {
                sent.secret(&header::AUTHORIZATION, &format!("Basic {}", STANDARD.encode(secret)))
            }
            CredentialPlace::Query(name) => {
                sent.url.query_pairs_mut().append_pair(name, &secret);
                Ok(())
            }
            CredentialPlace::Cookie(name) => {
                sent.cookies.push(format!("{name}={secret}"));
                Ok(())
            }
        }
    }
}

/// A request under construction.
struct OperationRequest {
    url: Url,
    headers: HeaderMap,
    cookies: Vec<String>,
    /// The credentials that it carries.
    secrets: Vec<String>,
}

impl OperationRequest {
    fn put(&mut self, parameter: &OperationParameter, value: &Value) -> Result<(), ToolError> {
        match parameter.place {
            ParameterPlace::Path => Ok(()),
            ParameterPlace::Query => {
                let mut pairs = self.url.query_pairs_mut();
                for (name, text) in encode_parameter(parameter, value) {
                    pairs.append_pair(&name, &text);
                }
                Ok(())
            }
            ParameterPlace::Header => {
                let name: HeaderName =
                    parameter.name.parse().map_err(|_| invalid(format!("`{}` is no header's name", parameter.name)))?;
                if FORBIDDEN_HEADERS.contains(&name.as_str()) {
                    return Err(invalid(format!("`{name}` is set by the connection and not by a call")));
                }
                self.header(&name, &simple(parameter.style, value))
            }
            ParameterPlace::Cookie => {
                for (name, text) in encode_parameter(parameter, value) {
                    let mut cookie = String::new();
                    encode(&mut cookie, &name);
                    cookie.push('=');
                    encode(&mut cookie, &text);
                    self.cookies.push(cookie);
                }
                Ok(())
            }
        }
    }

    fn header(&mut self, name: &HeaderName, text: &str) -> Result<(), ToolError> {
        let value = HeaderValue::from_str(text)
            .map_err(|_| invalid(format!("the value of `{name}` has characters that a header cannot carry")))?;
        self.headers.insert(name.clone(), value);
        Ok(())
    }

    fn secret(&mut self, name: &HeaderName, text: &str) -> Result<(), ToolError> {
        self.header(name, text)?;
        if let Some(value) = self.headers.get_mut(name) {
            value.set_sensitive(true);
        }
        Ok(())
    }
}

/// Builds the path. An argument stays within its part of the path: it is encoded, and no part may be empty or lead
/// upwards.
fn path(operation: &OpenApiOperation, arguments: &Value) -> Result<String, ToolError> {
    let mut path = String::new();
    for part in &operation.path {
        match part {
            PathPart::Literal(text) => path.push_str(text),
            PathPart::Parameter(name) => {
                let is_it = |parameter: &&OperationParameter| {
                    parameter.place == ParameterPlace::Path && parameter.name == *name
                };
                let found = operation.parameters.iter().find(is_it);
                let (argument, style) =
                    found.map_or((name, ParameterStyle::Joined(',')), |found| (&found.argument, found.style));
                let text = simple(style, arguments.get(argument).unwrap_or(&Value::Null));
                if matches!(text.as_str(), "" | "." | "..") {
                    return Err(invalid(format!("`{argument}` is a part of the path and came out as `{text}`")));
                }
                encode(&mut path, &text);
            }
        }
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(invalid(format!("the path came out as `{path}`")));
    }
    Ok(path)
}

/// Encodes a value as the pairs of a query.
fn encode_parameter(parameter: &OperationParameter, value: &Value) -> Vec<(String, String)> {
    let name = || parameter.name.clone();
    match (parameter.style, value) {
        (ParameterStyle::Json, value) => vec![(name(), value.to_string())],
        (ParameterStyle::Deep, Value::Object(_)) => {
            let mut pairs = Vec::new();
            flatten(parameter.name.clone(), value, &mut pairs);
            pairs
        }
        (ParameterStyle::Exploded, Value::Array(items)) => items.iter().map(|item| (name(), as_text(item))).collect(),
        (ParameterStyle::Exploded, Value::Object(fields)) => {
            fields.iter().map(|(field, value)| (field.clone(), as_text(value))).collect()
        }
        (ParameterStyle::Joined(separator), value) => vec![(name(), joined(value, separator))],
        (ParameterStyle::Pairs, value) => vec![(name(), simple(ParameterStyle::Pairs, value))],
        (ParameterStyle::Deep | ParameterStyle::Exploded, value) => vec![(name(), as_text(value))],
    }
}

/// Encodes a value as one text, for a path or a header.
fn simple(style: ParameterStyle, value: &Value) -> String {
    match (style, value) {
        (ParameterStyle::Json, value) => value.to_string(),
        (ParameterStyle::Pairs, Value::Object(fields)) => {
            let pairs = fields.iter().map(|(name, value)| format!("{name}={}", as_text(value)));
            pairs.collect::<Vec<_>>().join(",")
        }
        (ParameterStyle::Joined(separator), value) => joined(value, separator),
        (ParameterStyle::Pairs | ParameterStyle::Exploded | ParameterStyle::Deep, value) => joined(value, ','),
    }
}

fn joined(value: &Value, separator: char) -> String {
    let separator = separator.to_string();
    match value {
        Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(&separator),
        Value::Object(fields) => {
            let pairs = fields.iter().flat_map(|(name, value)| [name.clone(), as_text(value)]);
            pairs.collect::<Vec<_>>().join(&separator)
        }
        Value::Null => String::new(),
        value => as_text(value),
    }
}

fn content(body: &OperationBody, arguments: &Value, headers: &mut HeaderMap) -> Result<Option<Vec<u8>>, ToolError> {
    let Some(value) = arguments.get(&body.argument) else { return Ok(None) };
    let (kind, bytes) = match &body.media {
        BodyMedia::Json(kind) => (kind.clone(), value.to_string().into_bytes()),
        BodyMedia::Text(kind) => (kind.clone(), as_text(value).into_bytes()),
        BodyMedia::Form => ("application/x-www-form-urlencoded".to_owned(), form(value).map_err(invalid)?.into_bytes()),
        BodyMedia::Multipart(files) => multipart::body(value, files).map_err(invalid)?,
    };
    let kind = HeaderValue::from_str(&kind).map_err(|_| invalid(format!("`{kind}` is no content type")))?;
    headers.insert(header::CONTENT_TYPE, kind);
    Ok(Some(bytes))
}

/// Encodes the fields of a form: each list item as its own pair, nested objects as `name[field]`, as most services
/// expect.
fn form(value: &Value) -> Result<String, String> {
    let mut pairs = Vec::new();
    for (name, value) in value.as_object().ok_or_else(|| "a form is an object of fields".to_owned())? {
        flatten(name.clone(), value, &mut pairs);
    }
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        encode(&mut text, &name);
        text.push('=');
        encode(&mut text, &value);
    }
    Ok(text)
}

fn flatten(name: String, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            fields.iter().for_each(|(field, value)| flatten(format!("{name}[{field}]"), value, pairs));
        }
        Value::Array(items) => items.iter().for_each(|item| flatten(format!("{name}[]"), item, pairs)),
        value => pairs.push((name, as_text(value))),
    }
}

fn invalid(reason: String) -> ToolError {
    ToolError::permanent(code::INVALID_PARAMETERS, reason)
}

#[cfg(test)]
mod tests;
