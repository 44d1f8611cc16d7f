//! A service of somebody else's that keeps contacts or tickets, as JSON over HTTP: where it is, who we are to it, and what
//! it calls our fields.

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

/// What our own tables did says that it is there.
pub(crate) const INTERNAL: &str = "internal";
/// As results and circuits know it.
pub(crate) const NAME: &str = "rest";
/// Stands for the id in a path.
const ID: &str = "{id}";
/// Where services put the words of an error.
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

/// What is said of any such service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestConfig {
    /// Paths are below it.
    pub base_url: BaseUrl,
    /// The secret that says who asks: a bearer's, unless `header` or `username` says otherwise.
    #[serde(default)]
    pub token: Option<SecretString>,
    /// The header that carries the token, as it is.
    #[serde(default)]
    pub header: Option<String>,
    /// The token is this user's password (RFC 7617).
    #[serde(default)]
    pub username: Option<String>,
    /// Where the objects are made: `tickets`.
    #[serde(default)]
    pub all: Option<String>,
    /// Where one of them is: `contacts/{id}`.
    #[serde(default)]
    pub one: Option<String>,
    /// How one is changed.
    #[serde(default)]
    pub change: ChangeMethod,
    /// The field that holds all others, in requests and answers: `properties`.
    #[serde(default)]
    pub within: Option<String>,
    /// Our fields, by what the service calls them; others keep their names.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// The field of an answer that has the id: `id`, `ticket.id`.
    #[serde(default)]
    pub id: Option<String>,
    /// What closes a ticket, as the service reads it.
    #[serde(default)]
    pub close: Option<Map<String, Value>>,
    /// The service acts once per `Idempotency-Key`.
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

/// Such a service, as one account.
pub(crate) struct RestClient {
    vendor: VendorApi,
    token: SecretString,
    header: Option<HeaderName>,
    pub(crate) config: RestConfig,
    /// Of one object.
    one: String,
}

impl RestClient {
    /// `one` is where one object is unless the settings say. The error is the reason it cannot be asked.
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

    /// The token that the settings name; the error is the setting that is not there.
    pub(crate) fn token(
        config: &RestConfig,
        place: &str,
        secrets: &BTreeMap<String, BoundSecret>,
    ) -> Result<SecretString, String> {
        SecretString::required(config.token.as_ref(), || format!("{place}.rest.token"), secrets, &config.base_url)
    }

    /// Where it is, as results say it and undoing compares it.
    pub(crate) fn at(&self) -> String {
        self.config.base_url.to_string()
    }

    /// A request about one object.
    pub(crate) fn request_one(&self, method: Method, id: &str) -> VendorRequest<'_> {
        let parts: Vec<&str> = self.one.split('/').map(|part| if part == ID { id } else { part }).collect();
        self.authenticated(self.vendor.request(method, &parts))
    }

    /// A request that makes one, where all of them are.
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

    /// Our fields as the service reads them.
    pub(crate) fn to_service_fields(&self, fields: &Map<String, Value>) -> Value {
        let named = fields.iter().map(|(name, value)| (self.service_field(name).to_owned(), value.clone()));
        let told = Value::Object(named.collect());
        match &self.config.within {
            Some(within) => Value::Object(Map::from_iter([(within.clone(), told)])),
            None => told,
        }
    }

    /// One of our fields in an answer; null where it is not there.
    pub(crate) fn field<'a>(&self, answer: &'a Value, name: &str) -> &'a Value {
        let fields = self.config.within.as_ref().map_or(answer, |within| &answer[within.as_str()]);
        &fields[self.service_field(name)]
    }

    fn service_field<'a>(&'a self, name: &'a str) -> &'a str {
        self.config.fields.get(name).map_or(name, String::as_str)
    }

    /// The id in the answer to what made an object, else the end of where it says that it is.
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
