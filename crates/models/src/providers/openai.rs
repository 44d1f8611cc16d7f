//! Any server that speaks OpenAI's chat completions (`POST {base_url}/chat/completions`): OpenAI, vLLM, Ollama, and so on.
//!
//! One attempt, bounded in time and in bytes. Replies are streamed where the settings limit the time to the first token,
//! else read whole. Redirects are not followed: a key goes to the host it was given for and to no other.

mod answer;
mod body;
mod failure;
mod names;
mod request;
mod retry_after;
#[cfg(test)]
mod server;
mod stream;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::model::Reply;
use baton_core::money::Usd;
use baton_core::run::ModelFault;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use baton_ports::models::ApiKey;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, Url, redirect};
use tokio::time::{Instant, timeout, timeout_at};

use self::answer::{Answer, Problem};
use self::body::Body;
use self::names::Names;
use self::stream::Stream;
use crate::catalogue::Structured;
use crate::error::Error;
use crate::fault::{code, lasting, transient};
use crate::price;
use crate::providers::{Answered, Ask, Failure, Provider, Site};

const BASE_URL: &str = "https://api.openai.com/v1";
const USER_AGENT: &str = concat!("baton/", env!("CARGO_PKG_VERSION"));

pub(crate) struct OpenAi {
    client: Client,
    name: String,
    endpoint: Url,
    key: Option<ApiKey>,
    structured: Option<Structured>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAi").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

impl OpenAi {
    pub fn new(site: &Site, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let wrong = |setting: &str, problem| Error::Setting { setting: format!("{}.{setting}", site.place), problem };
        // Another part of the program may have installed it already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(site.connect_timeout)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| wrong("provider", format!("no HTTP client can be made: {}", failure::chain(&error))))?;
        site.key.as_ref().map(authorization).transpose().map_err(|problem| wrong("api_key", problem))?;
        let base_url = site.base_url.as_deref().unwrap_or(BASE_URL);
        Ok(Self {
            client,
            name: site.name.clone(),
            endpoint: endpoint(base_url).map_err(|problem| wrong("base_url", problem))?,
            key: site.key.clone(),
            structured: site.structured,
            clock,
        })
    }

    async fn attempt(&self, ask: &Ask<'_>, names: &Names) -> Result<Answer, ModelFault> {
        let structured = self.structured.or(ask.spec.map(|spec| spec.structured)).unwrap_or_default();
        let body = request::body(ask.request, ask.model, names, structured, ask.first_token.is_some());
        match ask.first_token {
            None => self.whole(self.send(body, ask).await?, ask).await,
            Some(first_token) => self.streamed(body, ask, first_token).await,
        }
    }

    fn key<'a>(&'a self, ask: &Ask<'a>) -> Option<&'a ApiKey> {
        ask.key.or(self.key.as_ref())
    }

    async fn whole(&self, response: Response, ask: &Ask<'_>) -> Result<Answer, ModelFault> {
        let body = Body::whole(response).await.map_err(|cut| self.problem(cut.into(), ask))?;
        answer::read(&body).map_err(|problem| self.problem(problem, ask))
    }

    async fn streamed(&self, body: Vec<u8>, ask: &Ask<'_>, first_token: Duration) -> Result<Answer, ModelFault> {
        let deadline = Instant::now() + first_token;
        let late = |_| {
            let message = format!("model `{}`: no first token within {} ms", ask.model, first_token.as_millis());
            transient(code::TIMEOUT, message)
        };
        let response = timeout_at(deadline, self.send(body, ask)).await.map_err(late)??;
        if !is_stream(&response) {
            return self.whole(response, ask).await;
        }
        let mut stream = Stream::new(Body::of(response));
        let begun = timeout_at(deadline, stream.begin()).await.map_err(late)?;
        begun.map_err(|problem| self.problem(problem, ask))?;
        stream.finish().await.map_err(|problem| self.problem(problem, ask))
    }

    fn problem(&self, problem: Problem, ask: &Ask<'_>) -> ModelFault {
        problem.fault(ask.model, self.key(ask).map(ApiKey::secret))
    }

    /// The response, if it is one to read a reply from.
    async fn send(&self, body: Vec<u8>, ask: &Ask<'_>) -> Result<Response, ModelFault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let key = self.key(ask);
        if let Some(key) = key {
            let refused = |problem| {
                lasting(code::AUTHENTICATION_FAILED, format!("model `{}`: the API key: {problem}", ask.model))
            };
            headers.insert(AUTHORIZATION, authorization(key).map_err(refused)?);
        }
        let sent = self.client.post(self.endpoint.clone()).headers(headers).body(body).send().await;
        let response = sent.map_err(|error| failure::unsent(error, &self.endpoint))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(failure::refused(response, ask.model, key.map(ApiKey::secret), self.clock.now()).await)
    }

    fn reply(&self, answer: Answer, ask: &Ask<'_>, names: &Names, began: Time) -> Reply {
        let usage = answer.usage.unwrap_or_else(|| tokens::estimate(ask.request, &answer));
        let cost = ask.spec.map_or(Usd::ZERO, |spec| price::cost(spec, &usage));
        let latency = self.clock.now().since(began);
        tracing::debug!(
            model = ask.model,
            input_tokens = usage.input_tokens,
            cached_tokens = usage.cached_tokens,
            output_tokens = usage.output_tokens,
            "a model replied"
        );
        Reply {
            content: answer.content,
            tool_calls: answer.tool_calls.into_iter().map(|call| names.ours(call)).collect(),
            thinking: None,
            finish: answer.finish,
            usage,
            model: answer.model.unwrap_or_else(|| ask.model.to_owned()),
            provider: self.name.clone(),
            cost,
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[async_trait]
impl Provider for OpenAi {
    /// Tokens the provider does not count are estimated.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Answered, Failure> {
        let began = self.clock.now();
        let names = Names::of(&ask.request.tools);
        let attempt = self.attempt(ask, &names);
        let answer = timeout(ask.limit, attempt).await.unwrap_or_else(|_| {
            let message = format!("model `{}`: no whole reply within {} ms", ask.model, ask.limit.as_millis());
            Err(transient(code::TIMEOUT, message))
        })?;
        Ok(Answered { reply: self.reply(answer, ask, &names, began), full_for: None })
    }
}

/// Some servers answer whole although they were asked to stream.
fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    !kind.is_some_and(|kind| kind.starts_with("application/json"))
}

fn endpoint(base_url: &str) -> Result<Url, String> {
    // The text is not repeated where it may hold a password.
    let parsed = Url::parse(base_url).map_err(|error| format!("not a URL ({error}); write one such as {BASE_URL}"))?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(format!("not an http or https URL; write one such as {BASE_URL}"));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("it holds a user name or password; write the key as models.api_key".to_owned());
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("it has a query or a fragment; write only the path, its version included".to_owned());
    }
    let path = format!("{}/chat/completions", parsed.path().trim_end_matches('/'));
    let mut endpoint = parsed;
    endpoint.set_path(&path);
    Ok(endpoint)
}

/// Marked sensitive, so that no library shows it.
fn authorization(key: &ApiKey) -> Result<HeaderValue, String> {
    let mut header = HeaderValue::try_from(format!("Bearer {}", key.secret().trim()))
        .map_err(|_| "it has characters that cannot be sent; copy it again".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests;
