//! Client of Composio's REST API (v3): one function per request.

use std::sync::Arc;
use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::tool::EffectClass;
use reqwest::Method;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::account::ComposioAccount;
use super::config::ComposioConfig;
use super::response;
use crate::code;
use crate::config::SecretString;
use crate::outbound::{OutboundClient, OutboundResponse};
use crate::tool_error::ToolError;
use crate::vendor::{VendorApi, VendorAuth, VendorRequest};

const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
/// Actions per page. Schemas are large: a thousand would not fit into one response.
const PAGE: &str = "200";
/// Maximum number of auth configs read for one toolkit.
const AUTH_CONFIGS: &str = "50";

pub(super) struct ComposioApi {
    vendor: VendorApi,
    key: Option<SecretString>,
    /// Time-out of a request that performs no action.
    limit: Duration,
}

/// One page of actions.
#[derive(Debug, Deserialize)]
pub(super) struct ActionPage {
    pub(super) items: Vec<Value>,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

/// Where an account is connected.
#[derive(Debug, Deserialize)]
pub(super) struct LinkSession {
    pub(super) redirect_url: String,
    pub(super) connected_account_id: String,
    #[serde(default)]
    pub(super) expires_at: Option<String>,
}

/// The result of refreshing a connection.
#[derive(Debug, Deserialize)]
pub(super) struct RefreshedAccount {
    pub(super) status: String,
    /// The URL that a person must visit, if the refresh requires it.
    #[serde(default)]
    pub(super) redirect_url: Option<String>,
}

/// A way to connect accounts of a toolkit.
#[derive(Debug, Deserialize)]
pub(super) struct AuthConfig {
    pub(super) id: String,
    #[serde(default)]
    pub(super) status: Option<String>,
}

/// Details of a toolkit, apart from its actions.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ToolkitDetails {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) meta: ToolkitMeta,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ToolkitMeta {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) logo: Option<String>,
    #[serde(default)]
    pub(super) categories: Vec<ToolkitCategory>,
}

/// The key is `slug` on one endpoint and `id` on another.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ToolkitCategory {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) slug: Option<String>,
    #[serde(default)]
    pub(super) id: Option<String>,
}

impl ComposioApi {
    pub(super) fn new(config: &ComposioConfig, outbound: Arc<OutboundClient>) -> Self {
        let vendor = VendorApi::new("composio", config.base_url.clone(), outbound, response::vendor_error);
        Self { vendor, key: config.api_key.clone(), limit: config.request_timeout() }
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.as_ref().is_some_and(|key| !key.expose().is_empty())
    }

    pub(super) fn key(&self) -> Option<&SecretString> {
        self.key.as_ref()
    }

    /// Checks that Composio responds and accepts the API key.
    pub(super) async fn ping(&self) -> Result<(), ToolError> {
        self.read::<Value>(&["toolkits"], &[("limit", "1")]).await.map(drop)
    }

    pub(super) async fn toolkit(&self, slug: &str) -> Result<ToolkitDetails, ToolError> {
        self.read(&["toolkits", slug], &[]).await
    }

    /// Returns one page of a toolkit's actions, in this version or the latest.
    pub(super) async fn page(
        &self,
        app: &str,
        version: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<ActionPage, ToolError> {
        let of_app = format!("toolkit_versions[{app}]");
        let version = version.map_or(("toolkit_versions", "latest"), |version| (of_app.as_str(), version));
        let mut query = vec![("toolkit_slug", app), ("limit", PAGE), version];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.read(&["tools"], &query).await
    }

    /// Returns the actions of a toolkit that Composio finds for these words, best match first.
    pub(super) async fn search(&self, app: &str, words: &str, limit: usize) -> Result<ActionPage, ToolError> {
        let limit = limit.to_string();
        let query = [("toolkit_slug", app), ("search", words), ("limit", &limit), ("toolkit_versions", "latest")];
        self.read(&["tools"], &query).await
    }

    /// Performs an action. The caller's time-out applies.
    pub(super) async fn execute(
        &self,
        slug: &str,
        body: &Value,
        class: EffectClass,
    ) -> Result<OutboundResponse, ToolError> {
        self.ask(Method::POST, &["tools", "execute", slug])?.json(body).send(class).await
    }

    pub(super) async fn account(&self, id: &str) -> Result<ComposioAccount, ToolError> {
        self.read(&["connected_accounts", id], &[]).await
    }

    /// Requests new credentials. The request may be repeated, because it performs no action.
    pub(super) async fn refresh(&self, id: &str) -> Result<RefreshedAccount, ToolError> {
        let ask = self.ask(Method::POST, &["connected_accounts", id, "refresh"])?.json(&json!({}));
        parsed(&ask.timeout(self.limit).send(EffectClass::Read).await?, self.vendor.name())
    }

    pub(super) async fn disconnect(&self, id: &str) -> Result<(), ToolError> {
        let ask = self.ask(Method::DELETE, &["connected_accounts", id])?.timeout(self.limit);
        let answer = ask.answer(EffectClass::Read).await?;
        match answer.status {
            // Already gone, which is the goal.
            200..300 | 404 | 410 => Ok(()),
            _ => Err(response::error_from_status(&answer)),
        }
    }

    pub(super) async fn link(
        &self,
        auth_config: &str,
        user: &str,
        callback: Option<&str>,
    ) -> Result<LinkSession, ToolError> {
        let mut body = json!({"auth_config_id": auth_config, "user_id": user});
        if let Some(callback) = callback {
            body["callback_url"] = Value::from(callback);
        }
        let ask = self.ask(Method::POST, &["connected_accounts", "link"])?.json(&body);
        parsed(&ask.timeout(self.limit).send(EffectClass::Read).await?, self.vendor.name())
    }

    pub(super) async fn auth_configs(&self, app: &str) -> Result<Vec<AuthConfig>, ToolError> {
        #[derive(Deserialize)]
        struct AuthConfigPage {
            items: Vec<AuthConfig>,
        }
        let listed: AuthConfigPage =
            self.read(&["auth_configs"], &[("toolkit_slug", app), ("limit", AUTH_CONFIGS)]).await?;
        Ok(listed.items)
    }

    /// Creates an auth config that Composio manages.
    pub(super) async fn create_managed_auth(&self, app: &str) -> Result<AuthConfig, ToolError> {
        #[derive(Deserialize)]
        struct CreatedAuthConfig {
            auth_config: AuthConfig,
        }
        let body = json!({"toolkit": {"slug": app}, "auth_config": {"type": "use_composio_managed_auth"}});
        let ask = self.ask(Method::POST, &["auth_configs"])?.json(&body).timeout(self.limit);
        let made: CreatedAuthConfig = parsed(&ask.send(EffectClass::Read).await?, self.vendor.name())?;
        Ok(made.auth_config)
    }

    async fn read<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, ToolError> {
        let ask = self.ask(Method::GET, path)?;
        let ask = if query.is_empty() { ask } else { ask.query(query) };
        parsed(&ask.timeout(self.limit).send(EffectClass::Read).await?, self.vendor.name())
    }

    fn ask(&self, method: Method, path: &[&str]) -> Result<VendorRequest<'_>, ToolError> {
        let Some(secret) = self.key.as_ref().filter(|key| !key.expose().is_empty()) else {
            let reason = "`tools.composio.api_key` is not set; `COMPOSIO_API_KEY` is its variable";
            return Err(ToolError::permanent(code::SERVICE_NOT_CONFIGURED, reason));
        };
        Ok(self.vendor.request(method, path).auth(VendorAuth::Header { name: KEY_HEADER, secret }))
    }
}

/// Parses a response. An unreadable response says nothing, and the request may be repeated.
fn parsed<T: DeserializeOwned>(answer: &OutboundResponse, vendor: &str) -> Result<T, ToolError> {
    if answer.truncated {
        let message = format!("{vendor}: {} answered with more than {} bytes", answer.from, answer.body.len());
        return Err(ToolError::permanent(code::RESPONSE_TOO_LARGE, message));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        let message = format!("{} answered with something that it does not document: {error}", answer.from);
        ToolError::indeterminate(EffectClass::Read, Fault::new(code::SERVICE_UNAVAILABLE, message))
    })
}
