//! Composio's REST API (v3), one function a request.

use std::sync::Arc;
use std::time::Duration;

use baton_core::fault::Fault;
use baton_core::tool::Class;
use reqwest::Method;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::account::Account;
use super::config::Config;
use super::verdict;
use crate::code;
use crate::config::Secret;
use crate::failure::Failure;
use crate::outbound::{Answer, Outbound};
use crate::vendor::{Ask, Auth, Vendor};

const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
/// Actions of one page. Schemas are large: a thousand would not fit into one answer.
const PAGE: &str = "200";
/// Authentications of one toolkit that are looked at.
const AUTH_CONFIGS: &str = "50";

pub(super) struct Api {
    vendor: Vendor,
    key: Option<Secret>,
    /// Of a request that performs no action.
    limit: Duration,
}

/// One page of actions.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) items: Vec<Value>,
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

/// Where an account is connected.
#[derive(Debug, Deserialize)]
pub(super) struct Session {
    pub(super) redirect_url: String,
    pub(super) connected_account_id: String,
    #[serde(default)]
    pub(super) expires_at: Option<String>,
}

/// What became of a connection that was refreshed.
#[derive(Debug, Deserialize)]
pub(super) struct Refreshed {
    pub(super) status: String,
    /// Where a person must go, if that is what it takes.
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

/// What is known of a toolkit beside its actions.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Toolkit {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Meta {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) logo: Option<String>,
    #[serde(default)]
    pub(super) categories: Vec<Category>,
}

/// One endpoint calls its key `slug`, another `id`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Category {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) slug: Option<String>,
    #[serde(default)]
    pub(super) id: Option<String>,
}

impl Api {
    pub(super) fn new(config: &Config, outbound: Arc<Outbound>) -> Self {
        let vendor = Vendor::new("composio", config.base_url.clone(), outbound, verdict::complaint);
        Self { vendor, key: config.api_key.clone(), limit: config.request_timeout() }
    }

    pub(super) fn has_key(&self) -> bool {
        self.key.as_ref().is_some_and(|key| !key.expose().is_empty())
    }

    pub(super) fn key(&self) -> Option<&Secret> {
        self.key.as_ref()
    }

    /// Whether Composio answers, and knows the key.
    pub(super) async fn greet(&self) -> Result<(), Failure> {
        self.read::<Value>(&["toolkits"], &[("limit", "1")]).await.map(drop)
    }

    pub(super) async fn toolkit(&self, slug: &str) -> Result<Toolkit, Failure> {
        self.read(&["toolkits", slug], &[]).await
    }

    /// One page of a toolkit's actions, in this version or the newest.
    pub(super) async fn page(&self, app: &str, version: Option<&str>, cursor: Option<&str>) -> Result<Page, Failure> {
        let of_app = format!("toolkit_versions[{app}]");
        let version = version.map_or(("toolkit_versions", "latest"), |version| (of_app.as_str(), version));
        let mut query = vec![("toolkit_slug", app), ("limit", PAGE), version];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.read(&["tools"], &query).await
    }

    /// The actions of a toolkit that Composio finds for these words, the best first.
    pub(super) async fn search(&self, app: &str, words: &str, limit: usize) -> Result<Page, Failure> {
        let limit = limit.to_string();
        let query = [("toolkit_slug", app), ("search", words), ("limit", &limit), ("toolkit_versions", "latest")];
        self.read(&["tools"], &query).await
    }

    /// Performs an action. The caller's time-out is the limit.
    pub(super) async fn execute(&self, slug: &str, body: &Value, class: Class) -> Result<Answer, Failure> {
        self.ask(Method::POST, &["tools", "execute", slug])?.json(body).send(class).await
    }

    pub(super) async fn account(&self, id: &str) -> Result<Account, Failure> {
        self.read(&["connected_accounts", id], &[]).await
    }

    /// Asks for new credentials. What asks is repeated freely: it performs no action.
    pub(super) async fn refresh(&self, id: &str) -> Result<Refreshed, Failure> {
        let ask = self.ask(Method::POST, &["connected_accounts", id, "refresh"])?.json(&json!({}));
        parsed(&ask.within(self.limit).send(Class::Read).await?, self.vendor.name())
    }

    pub(super) async fn disconnect(&self, id: &str) -> Result<(), Failure> {
        let ask = self.ask(Method::DELETE, &["connected_accounts", id])?.within(self.limit);
        let answer = ask.answer(Class::Read).await?;
        match answer.status {
            // It is gone, which is what was wanted.
            200..300 | 404 | 410 => Ok(()),
            _ => Err(verdict::refusal(&answer)),
        }
    }

    pub(super) async fn link(&self, auth_config: &str, user: &str, callback: Option<&str>) -> Result<Session, Failure> {
        let mut body = json!({"auth_config_id": auth_config, "user_id": user});
        if let Some(callback) = callback {
            body["callback_url"] = Value::from(callback);
        }
        let ask = self.ask(Method::POST, &["connected_accounts", "link"])?.json(&body);
        parsed(&ask.within(self.limit).send(Class::Read).await?, self.vendor.name())
    }

    pub(super) async fn auth_configs(&self, app: &str) -> Result<Vec<AuthConfig>, Failure> {
        #[derive(Deserialize)]
        struct Listed {
            items: Vec<AuthConfig>,
        }
        let listed: Listed = self.read(&["auth_configs"], &[("toolkit_slug", app), ("limit", AUTH_CONFIGS)]).await?;
        Ok(listed.items)
    }

    /// Makes the authentication that Composio manages itself.
    pub(super) async fn manage_auth(&self, app: &str) -> Result<AuthConfig, Failure> {
        #[derive(Deserialize)]
        struct Made {
            auth_config: AuthConfig,
        }
        let body = json!({"toolkit": {"slug": app}, "auth_config": {"type": "use_composio_managed_auth"}});
        let ask = self.ask(Method::POST, &["auth_configs"])?.json(&body).within(self.limit);
        let made: Made = parsed(&ask.send(Class::Read).await?, self.vendor.name())?;
        Ok(made.auth_config)
    }

    async fn read<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Result<T, Failure> {
        let ask = self.ask(Method::GET, path)?;
        let ask = if query.is_empty() { ask } else { ask.query(query) };
        parsed(&ask.within(self.limit).send(Class::Read).await?, self.vendor.name())
    }

    fn ask(&self, method: Method, path: &[&str]) -> Result<Ask<'_>, Failure> {
        let Some(secret) = self.key.as_ref().filter(|key| !key.expose().is_empty()) else {
            let reason = "`tools.composio.api_key` is not set; `COMPOSIO_API_KEY` is its variable";
            return Err(Failure::refused(code::SERVICE_NOT_CONFIGURED, reason));
        };
        Ok(self.vendor.ask(method, path).auth(Auth::Header { name: KEY_HEADER, secret }))
    }
}

/// An answer that is what was asked for. One that is not says nothing, and may be asked for again.
fn parsed<T: DeserializeOwned>(answer: &Answer, vendor: &str) -> Result<T, Failure> {
    if answer.truncated {
        let message = format!("{vendor}: {} answered with more than {} bytes", answer.from, answer.body.len());
        return Err(Failure::refused(code::RESPONSE_TOO_LARGE, message));
    }
    serde_json::from_slice(&answer.body).map_err(|error| {
        let message = format!("{} answered with something that it does not document: {error}", answer.from);
        Failure::unclear(Class::Read, Fault::new(code::SERVICE_UNAVAILABLE, message))
    })
}
