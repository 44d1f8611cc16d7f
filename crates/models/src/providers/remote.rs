//! A provider over HTTP: what a call is, whatever dialect its API speaks. One attempt, bounded in time and in bytes.
//!
//! Replies are streamed where somebody listens or the time to the first token is limited, else read whole. Redirects
//! are not followed: a key goes to the host it was given for and to no other.

mod attempt;
mod body;
mod events;
mod failure;
mod limits;
mod reading;

use std::sync::Arc;

use async_trait::async_trait;
use baton_core::fault::told;
use baton_core::model::{Reply, Thinking};
use baton_core::money::Usd;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::models::ApiKey;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Url, redirect};

use self::attempt::Attempt;
#[cfg(test)]
pub(crate) use self::reading::Reading;
use super::dialect::{Answer, Dialect, Query};
use super::{Answered, Ask, Failure, Provider, Site};
use crate::catalogue::{Spec, Structured};
use crate::error::Error;
use crate::price;

const USER_AGENT: &str = concat!("baton/", env!("CARGO_PKG_VERSION"));

pub(crate) struct Remote<D> {
    dialect: D,
    client: Client,
    /// Where its settings stand, and what replies call it.
    place: String,
    name: String,
    key: Option<ApiKey>,
    /// Of every request; with the key, where there is one.
    headers: HeaderMap,
    structured: Option<Structured>,
    clock: Arc<dyn Clock>,
}

impl<D: Dialect> std::fmt::Debug for Remote<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("name", &self.name).field("dialect", &self.dialect).finish_non_exhaustive()
    }
}

impl<D: Dialect> Remote<D> {
    /// Connects to nothing.
    pub fn new(dialect: D, site: &Site, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        // Another part of the program may have installed it already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(site.connect_timeout)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| site.wrong("provider", format!("no HTTP client can be made: {}", told(&error))))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        dialect.headers(&mut headers);
        if let Some(key) = &site.key {
            dialect
                .authorize(&mut headers, key.secret().trim())
                .map_err(|_| site.wrong("api_key", "it has characters that cannot be sent; copy it again"))?;
        }
        Ok(Self {
            dialect,
            client,
            place: site.place.clone(),
            name: site.name.clone(),
            key: site.key.clone(),
            headers,
            structured: site.structured,
            clock,
        })
    }

    fn reply(&self, answer: Answer, query: &Query<'_>, began: Time) -> Reply {
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
        Reply {
            content: answer.content,
            tool_calls: answer.tool_calls.into_iter().map(|call| query.names.ours(call)).collect(),
            thinking: thinking.map(|parts| Thinking { model: ask.model.to_owned(), parts }),
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
impl<D: Dialect> Provider for Remote<D> {
    /// Tokens the provider does not count are estimated.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Answered, Failure> {
        let began = self.clock.now();
        let query = Query::of(ask, self.structured);
        let mut attempt = Attempt::new(self, &query);
        match tokio::time::timeout(ask.limit, attempt.run()).await {
            Ok(Ok(answer)) => {
                let full_for = attempt.full_for;
                let is_counted = answer.usage.is_some();
                Ok(Answered { reply: self.reply(answer, &query, began), full_for, is_counted })
            }
            Ok(Err(fault)) => Err(attempt.failure(fault)),
            Err(_) => {
                let fault = attempt.late();
                Err(attempt.failure(fault))
            }
        }
    }

    fn holds(&self, ask: &Ask<'_>) -> bool {
        self.dialect.holds(&Query::of(ask, self.structured))
    }

    fn reply_max(&self, model: &str, spec: Option<&Spec>) -> Option<u64> {
        self.dialect.reply_max(model, spec)
    }
}

/// A base URL from the settings: with a host, and with nothing in it that is a secret or belongs to a single request.
pub(crate) fn base_url(site: &Site, public: &str) -> Result<Url, Error> {
    let wrong = |problem: String| site.wrong("base_url", problem);
    // The text is not repeated where it may hold a password.
    let url = Url::parse(site.base_url.as_deref().unwrap_or(public))
        .map_err(|error| wrong(format!("not a URL ({error}); write one such as {public}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong(format!("not an http or https URL; write one such as {public}")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(format!("it holds a user name or password; write the key as {}.api_key", site.place)));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query or a fragment; write only the path".to_owned()));
    }
    Ok(url)
}

/// The URL with this behind its path.
pub(crate) fn beneath(base: &Url, more: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{more}", base.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests;
