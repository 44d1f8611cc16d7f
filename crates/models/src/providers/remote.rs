//! A provider over HTTP, whatever dialect its API speaks. One attempt per call, bounded in time and in bytes.
//!
//! Replies are streamed if there is a listener or the time to the first token is limited; otherwise they are read as a
//! whole. Redirects are not followed: an API key is sent only to the host that it was configured for.

mod attempt;
mod body;
mod failure;
mod rate_limits;
mod sse;
mod stream_reader;

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::error_chain;
use baton_core::model::{ModelReply, ThinkingBlock};
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::models::ConsumerKey;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Url, redirect};

use self::attempt::HttpAttempt;
#[cfg(test)]
pub(crate) use self::stream_reader::StreamReader;
use super::dialect::{ApiDialect, WireReply, WireRequest};
use super::{ModelProvider, ProviderError, ProviderReply, ProviderRequest, ProviderSite};
use crate::catalogue::{ModelSpec, StructuredOutput};
use crate::error::ModelsError;
use crate::price;

const USER_AGENT: &str = concat!("baton/", env!("CARGO_PKG_VERSION"));

pub(crate) struct HttpProvider<D> {
    dialect: D,
    client: Client,
    /// The path of its settings, and its name in replies.
    place: String,
    name: String,
    key: Option<ConsumerKey>,
    /// Headers of every request; with the API key, if there is one.
    headers: HeaderMap,
    structured: Option<StructuredOutput>,
    clock: Arc<dyn Clock>,
}

impl<D: ApiDialect> std::fmt::Debug for HttpProvider<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpProvider").field("name", &self.name).field("dialect", &self.dialect).finish_non_exhaustive()
    }
}

impl<D: ApiDialect> HttpProvider<D> {
    /// Opens no connection.
    pub fn new(dialect: D, site: &ProviderSite, clock: Arc<dyn Clock>) -> Result<Self, ModelsError> {
        // Another part of the program may have installed a provider already; that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(site.connect_timeout)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| {
                site.setting_error("provider", format!("no HTTP client can be made: {}", error_chain(&error)))
            })?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        dialect.headers(&mut headers);
        if let Some(key) = &site.key {
            dialect
                .authorize(&mut headers, key.secret().trim())
                .map_err(|_| site.setting_error("api_key", "it has characters that cannot be sent; copy it again"))?;
        }
        Ok(Self {
            dialect,
            client,
            place: site.setting_path.clone(),
            name: site.name.clone(),
            key: site.key.clone(),
            headers,
            structured: site.structured,
            clock,
        })
    }

    fn reply(&self, answer: WireReply, query: &WireRequest<'_>, began: Time) -> ModelReply {
        let ask = query.ask;
        let usage = answer.usage(ask.request);
        tracing::debug!(
            model = ask.model,
            input_tokens = usage.input_tokens,
            cached_tokens = usage.cached_tokens,
            cache_write_tokens = usage.cache_write_tokens,
            output_tokens = usage.output_tokens,
            "a model replied"
        );
        let thinking = Some(answer.thinking).filter(|parts| !parts.is_empty() && !answer.tool_calls.is_empty());
        ModelReply {
            content: answer.content,
            tool_calls: answer.tool_calls.into_iter().map(|call| query.names.restore_call(call)).collect(),
            thinking: thinking.map(|parts| ThinkingBlock { model: ask.model.to_owned(), parts }),
            finish: answer.finish,
            usage,
            model: answer.model.unwrap_or_else(|| ask.model.to_owned()),
            provider: self.name.clone(),
            cost: ask.spec.map_or(Usd::ZERO, |spec| price::cost(spec, &usage)),
            latency_ms: u64::try_from(self.clock.now().since(began).as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[async_trait]
impl<D: ApiDialect> ModelProvider for HttpProvider<D> {
    /// Tokens that the provider does not count are estimated.
    async fn ask(&self, ask: &ProviderRequest<'_>) -> Result<ProviderReply, ProviderError> {
        let began = self.clock.now();
        let query = WireRequest::of(ask, self.structured);
        let mut attempt = HttpAttempt::new(self, &query);
        match tokio::time::timeout(ask.limit, attempt.run()).await {
            Ok(Ok(answer)) => {
                let full_for = attempt.exhausted_for;
                let is_counted = answer.usage.is_some();
                Ok(ProviderReply { reply: self.reply(answer, &query, began), exhausted_for: full_for, is_counted })
            }
            Ok(Err(fault)) => Err(attempt.failure(fault)),
            Err(_) => {
                let fault = attempt.timeout_fault();
                Err(attempt.failure(fault))
            }
        }
    }

    fn enforces_schema(&self, ask: &ProviderRequest<'_>) -> bool {
        self.dialect.enforces_schema(&WireRequest::of(ask, self.structured))
    }

    fn reply_max(&self, model: &str, spec: Option<&ModelSpec>) -> Option<u64> {
        self.dialect.reply_max(model, spec)
    }
}

/// Validates a base URL from the settings: it must have a host, and must not contain a secret or anything that belongs
/// to a single request.
pub(crate) fn base_url(site: &ProviderSite, public: &str) -> Result<Url, ModelsError> {
    let wrong = |problem: String| site.setting_error("base_url", problem);
    // The text is not quoted if it may contain a password.
    let url = Url::parse(site.base_url.as_deref().unwrap_or(public))
        .map_err(|error| wrong(format!("not a URL ({error}); write one such as {public}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong(format!("not an http or https URL; write one such as {public}")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(format!("it holds a user name or password; write the key as {}.api_key", site.setting_path)));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query or a fragment; write only the path".to_owned()));
    }
    Ok(url)
}

/// The URL with this appended to its path.
pub(crate) fn append_path(base: &Url, more: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{more}", base.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests;
