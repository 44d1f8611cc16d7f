//! A client of an external service that stores contacts or tickets, as JSON over HTTP. The settings define its
//! address, its authentication, and its names of the fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::code;
use crate::config::{BoundSecret, SecretString};
use crate::outbound::{OutboundClient, OutboundResponse};
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;
use crate::vendor::{BaseUrl, VendorApi, VendorAuth, VendorError, VendorRequest};

/// The location of objects that this installation's own tables store.
pub(crate) const INTERNAL: &str = "internal";
/// The name in results and circuits.
pub(crate) const NAME: &str = "rest";
/// The placeholder of the id in a path.
const ID: &str = "{id}";
/// Places where services put the message of an error.
const MESSAGE_POINTERS: &[&str] =
    &["/error/message", "/message", "/error_description", "/error", "/errors/0/message", "/detail", "/title"];

/// Refuses to undo here what was done elsewhere.
pub(crate) fn check_same_place(request: &PreparedRequest, here: &str) -> Result<(), ToolError> {
    match request.text("at").filter(|at| *at != here) {
        Some(at) => {
            let message = format!("it was done at {at}, and the settings lead to {here} now; undo it there");
            Err(ToolError::permanent(code::PROVIDER_CHANGED, message))
        }
        None => Ok(()),
    }
}

/// Settings of any such service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestConfig {
    /// Paths are relative to it.
    pub base_url: BaseUrl,
    /// The secret for authentication: a bearer token, unless `header` or `username` says otherwise.
    #[serde(default)]
    pub token: Option<SecretString>,
    /// The header that carries the token, unchanged.
    #[serde(default)]
    pub header: Option<String>,
    /// The token is this user's password (RFC 7617).
    #[serde(default)]
    pub username: Option<String>,
    /// The path at which objects are created: `tickets`.
    #[serde(default)]
    pub all: Option<String>,
    /// The path of one object: `contacts/{id}`.
    #[serde(default)]
    pub one: Option<String>,
    /// The method that changes an object.
    #[serde(default)]
    pub change: ChangeMethod,
    /// The field that holds all others, in requests and responses: `properties`.
    #[serde(default)]
    pub within: Option<String>,
    /// Baton's fields, with the names that the service uses; fields not listed keep their names.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// The field of a response that contains the id: `id`, `ticket.id`.
    #[serde(default)]
    pub id: Option<String>,
    /// The fields that close a ticket, in the service's format.
    #[serde(default)]
    pub close: Option<Map<String, Value>>,
    /// Whether the service acts once per `Idempotency-Key`.
    #[serde(default)]
    pub idempotency_key: bool,
}

/// The method of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChangeMethod {
    #[default]
    Patch,
    Put,
    Post,
}

impl ChangeMethod {
    pub(crate) fn method(self) -> Method {
        match self {
            Self::Patch => Method::PATCH,
            Self::Put => Method::PUT,
            Self::Post => Method::POST,
        }
    }
}

/// A client with one account.
pub(crate) struct RestClient {
    vendor: VendorApi,
    token: SecretString,
    header: Option<HeaderName>,
    pub(crate) config: RestConfig,
    /// The path of one object.
    one: String,
}

impl RestClient {
    /// Creates a client. `one` is the default path of one object. The error states why the service cannot be called.
    pub(crate) fn new(
        config: &RestConfig,
        token: SecretString,
        one: &str,
        outbound: Arc<OutboundClient>,
    ) -> Result<Self, String> {
        let one = config.one.as_deref().unwrap_or(one).trim_matches('/').to_owned();
        if one.split('/').filter(|part| *part == ID).count() != 1 {
            return Err(format!("`one` is `{one}`; one part of it must be `{ID}`, as in `contacts/{ID}`"));
        }
        let header =
            config.header.as_deref().map(|name| name.parse().map_err(|_| format!("`{name}` is no header's name")));
        if config.header.is_some() && config.username.is_some() {
            return Err("`header` and `username` are both there; only one says how the token is sent".to_owned());
        }
        let vendor = VendorApi::new(NAME, config.base_url.clone(), outbound, |answer| {
            VendorError::from_response(answer, MESSAGE_POINTERS)
        });
        Ok(Self { vendor, token, header: header.transpose()?, config: config.clone(), one })
    }

    /// Returns the token that the settings name; the error is the missing setting.
    pub(crate) fn token(
        config: &RestConfig,
        place: &str,
        secrets: &BTreeMap<String, BoundSecret>,
    ) -> Result<SecretString, String> {
        SecretString::required(config.token.as_ref(), || format!("{place}.rest.token"), secrets, &config.base_url)
    }

    /// The location of the service, as stored in results and compared on undo.
    pub(crate) fn at(&self) -> String {
        self.config.base_url.to_string()
    }

    /// Builds a request for one object.
    pub(crate) fn request_one(&self, method: Method, id: &str) -> VendorRequest<'_> {
        let parts: Vec<&str> = self.one.split('/').map(|part| if part == ID { id } else { part }).collect();
        self.authenticated(self.vendor.request(method, &parts))
    }

    /// Builds a request that creates an object in the collection.
    pub(crate) fn request_create(&self, all: &str) -> VendorRequest<'_> {
        let all = self.config.all.as_deref().unwrap_or(all).trim_matches('/');
        self.authenticated(self.vendor.post(&all.split('/').collect::<Vec<_>>()))
    }

    fn authenticated<'v>(&self, ask: VendorRequest<'v>) -> VendorRequest<'v> {
        match (&self.header, &self.config.username) {
            (Some(name), _) => ask.auth(VendorAuth::Header { name: name.clone(), secret: &self.token }),
            (None, Some(username)) => ask.auth(VendorAuth::Basic { username, password: &self.token }),
            (None, None) => ask.auth(VendorAuth::Bearer(&self.token)),
        }
    }

    /// Converts Baton's fields to the service's format.
    pub(crate) fn to_service_fields(&self, fields: &Map<String, Value>) -> Value {
        let named = fields.iter().map(|(name, value)| (self.service_field(name).to_owned(), value.clone()));
        let told = Value::Object(named.collect());
        match &self.config.within {
            Some(within) => Value::Object(Map::from_iter([(within.clone(), told)])),
            None => told,
        }
    }

    /// Returns one of Baton's fields from a response; null if it is missing.
    pub(crate) fn field<'a>(&self, answer: &'a Value, name: &str) -> &'a Value {
        let fields = self.config.within.as_ref().map_or(answer, |within| &answer[within.as_str()]);
        &fields[self.service_field(name)]
    }

    fn service_field<'a>(&'a self, name: &'a str) -> &'a str {
        self.config.fields.get(name).map_or(name, String::as_str)
    }

    /// Returns the id in the response to a creation, else the last segment of its `Location`.
    pub(crate) fn id(&self, answer: &OutboundResponse) -> Option<String> {
        let body = answer.value();
        let path = self.config.id.as_deref().unwrap_or("id");
        let found = path.split('.').fold(&body, |value, name| &value[name]);
        let text = match found {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let location = || {
            let location = answer.headers.get(reqwest::header::LOCATION)?.to_str().ok()?;
            Some(location.split(['?', '#']).next()?.trim_end_matches('/').rsplit('/').next()?.to_owned())
        };
        text.or_else(location).filter(|id| !id.is_empty())
    }
}

#[cfg(test)]
mod tests;
