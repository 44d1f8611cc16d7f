//! A tool that is one operation of an OpenAPI document.

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

use crate::catalogue::Entry;
use crate::code;
use crate::config::{Bound, Sendable};
use crate::definition::Profile;
use crate::failure::Failure;
use crate::kinds::http::{Scene, encode, expression_with, result};
use crate::kinds::http_request::{NOT_TAKEN, idempotency_key, plain};
use crate::openapi::{Body, Credential, CredentialPlace, Media, Operation, Parameter, Part, Place, Style};
use crate::outbound::{Outbound, Outgoing, judge};
use crate::request::Request;
use crate::tool::Tool;

pub(crate) fn entry(
    profile: Profile,
    operation: Operation,
    outbound: Arc<Outbound>,
    secrets: Arc<BTreeMap<String, Bound>>,
) -> Entry {
    profile.entry("openapi", Arc::new(Called { operation, outbound, secrets }))
}

struct Called {
    operation: Operation,
    outbound: Arc<Outbound>,
    secrets: Arc<BTreeMap<String, Bound>>,
}

#[async_trait]
impl Tool for Called {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let class = request.call.class;
        let outgoing = self.outgoing(request)?;
        let trusted = self.operation.is_trusted.then_some(&self.operation.origin);
        let answer = self.outbound.send(outgoing, trusted).await;
        let answer = answer.map_err(|no_answer| no_answer.failure(class))?;
        judge(&answer, class)?;
        result(None, &answer, class)
    }

    fn service<'a>(&'a self, _request: &'a Request) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(self.operation.origin.as_str()))
    }
}

impl Called {
    fn outgoing(&self, request: &Request) -> Result<Outgoing, Failure> {
        let operation = &self.operation;
        let arguments = &request.call.arguments;
        let mut sent =
            Sent { url: operation.origin.clone(), headers: HeaderMap::new(), cookies: Vec::new(), secrets: Vec::new() };
        sent.url.set_path(&path(operation, arguments)?);
        for parameter in &operation.parameters {
            match arguments.get(&parameter.argument) {
                Some(Value::Null) | None => {}
                Some(value) => sent.put(parameter, value)?,
            }
        }
        for credential in &operation.credentials {
            self.identify(credential, request, &mut sent)?;
        }
        if let Some(header) = &operation.idempotency_header {
            sent.headers.insert(header.clone(), idempotency_key(&request.call.key));
        }
        if !sent.cookies.is_empty() {
            let is_secret = |credential: &Credential| matches!(credential.place, CredentialPlace::Cookie(_));
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
        Ok(Outgoing {
            method: operation.method.clone(),
            url: sent.url,
            headers: sent.headers,
            body,
            secrets: sent.secrets,
        })
    }

    fn identify(&self, credential: &Credential, request: &Request, sent: &mut Sent) -> Result<(), Failure> {
        let sendable = Sendable { all: &self.secrets, to: &sent.url };
        let scene = Scene { request, secrets: Some(sendable) };
        let rendered = credential.secret.render(&scene);
        let secret = plain(&rendered.map_err(|error| expression_with("auth", &error, sendable))?);
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

/// What is sent, as far as it is put together.
struct Sent {
    url: Url,
    headers: HeaderMap,
    cookies: Vec<String>,
    /// What it says who we are with.
    secrets: Vec<String>,
}

impl Sent {
    fn put(&mut self, parameter: &Parameter, value: &Value) -> Result<(), Failure> {
        match parameter.place {
            Place::Path => Ok(()),
            Place::Query => {
                let mut pairs = self.url.query_pairs_mut();
                for (name, text) in written(parameter, value) {
                    pairs.append_pair(&name, &text);
                }
                Ok(())
            }
            Place::Header => {
                let name: HeaderName =
                    parameter.name.parse().map_err(|_| invalid(format!("`{}` is no header's name", parameter.name)))?;
                if NOT_TAKEN.contains(&name.as_str()) {
                    return Err(invalid(format!("`{name}` is set by the connection and not by a call")));
                }
                self.header(&name, &simple(parameter.style, value))
            }
            Place::Cookie => {
                for (name, text) in written(parameter, value) {
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

    fn header(&mut self, name: &HeaderName, text: &str) -> Result<(), Failure> {
        let value = HeaderValue::from_str(text)
            .map_err(|_| invalid(format!("the value of `{name}` has characters that a header cannot carry")))?;
        self.headers.insert(name.clone(), value);
        Ok(())
    }

    fn secret(&mut self, name: &HeaderName, text: &str) -> Result<(), Failure> {
        self.header(name, text)?;
        if let Some(value) = self.headers.get_mut(name) {
            value.set_sensitive(true);
        }
        Ok(())
    }
}

/// What a call fills stays within its part of the path: it is encoded, and no part may be empty or lead upwards.
fn path(operation: &Operation, arguments: &Value) -> Result<String, Failure> {
    let mut path = String::new();
    for part in &operation.path {
        match part {
            Part::Literal(text) => path.push_str(text),
            Part::Parameter(name) => {
                let is_it = |parameter: &&Parameter| parameter.place == Place::Path && parameter.name == *name;
                let found = operation.parameters.iter().find(is_it);
                let (argument, style) =
                    found.map_or((name, Style::Joined(',')), |found| (&found.argument, found.style));
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

/// A value as pairs of a query.
fn written(parameter: &Parameter, value: &Value) -> Vec<(String, String)> {
    let name = || parameter.name.clone();
    match (parameter.style, value) {
        (Style::Json, value) => vec![(name(), value.to_string())],
        (Style::Deep, Value::Object(_)) => {
            let mut pairs = Vec::new();
            flatten(parameter.name.clone(), value, &mut pairs);
            pairs
        }
        (Style::Exploded, Value::Array(items)) => items.iter().map(|item| (name(), plain(item))).collect(),
        (Style::Exploded, Value::Object(fields)) => {
            fields.iter().map(|(field, value)| (field.clone(), plain(value))).collect()
        }
        (Style::Joined(separator), value) => vec![(name(), joined(value, separator))],
        (Style::Pairs, value) => vec![(name(), simple(Style::Pairs, value))],
        (Style::Deep | Style::Exploded, value) => vec![(name(), plain(value))],
    }
}

/// A value as one text, in a path or a header.
fn simple(style: Style, value: &Value) -> String {
    match (style, value) {
        (Style::Json, value) => value.to_string(),
        (Style::Pairs, Value::Object(fields)) => {
            let pairs = fields.iter().map(|(name, value)| format!("{name}={}", plain(value)));
            pairs.collect::<Vec<_>>().join(",")
        }
        (Style::Joined(separator), value) => joined(value, separator),
        (Style::Pairs | Style::Exploded | Style::Deep, value) => joined(value, ','),
    }
}

fn joined(value: &Value, separator: char) -> String {
    let separator = separator.to_string();
    match value {
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(&separator),
        Value::Object(fields) => {
            let pairs = fields.iter().flat_map(|(name, value)| [name.clone(), plain(value)]);
            pairs.collect::<Vec<_>>().join(&separator)
        }
        Value::Null => String::new(),
        value => plain(value),
    }
}

fn content(body: &Body, arguments: &Value, headers: &mut HeaderMap) -> Result<Option<Vec<u8>>, Failure> {
    let Some(value) = arguments.get(&body.argument) else { return Ok(None) };
    let (kind, bytes) = match &body.media {
        Media::Json(kind) => (kind.clone(), value.to_string().into_bytes()),
        Media::Text(kind) => (kind.clone(), plain(value).into_bytes()),
        Media::Form => ("application/x-www-form-urlencoded".to_owned(), form(value).map_err(invalid)?.into_bytes()),
        Media::Multipart(files) => multipart::body(value, files).map_err(invalid)?,
    };
    let kind = HeaderValue::from_str(&kind).map_err(|_| invalid(format!("`{kind}` is no content type")))?;
    headers.insert(header::CONTENT_TYPE, kind);
    Ok(Some(bytes))
}

/// Fields of a form, lists one by one, objects within as `name[field]`, the way services read them.
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
        value => pairs.push((name, plain(value))),
    }
}

fn invalid(reason: String) -> Failure {
    Failure::refused(code::INVALID_PARAMETERS, reason)
}

#[cfg(test)]
mod tests;
