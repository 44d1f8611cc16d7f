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

use baton_core::model::{Reply, Request};
use baton_core::money::Usd;
use baton_core::run::ModelFault;
use baton_core::time::Time;
use baton_ports::clock::Clock;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, Url, redirect};
use tokio::time::{Instant, timeout, timeout_at};

use self::answer::{Answer, Problem};
use self::body::Body;
use self::names::Names;
use self::stream::Stream;
use crate::catalogue::Structured;
use crate::choose::Choice;
use crate::config::Config;
use crate::error::Error;
use crate::fault::{code, transient};
use crate::price;

const BASE_URL: &str = "https://api.openai.com/v1";
const USER_AGENT: &str = concat!("baton/", env!("CARGO_PKG_VERSION"));

pub(crate) struct OpenAi {
    client: Client,
    endpoint: Url,
    /// Marked sensitive, so that no library shows it.
    authorization: Option<HeaderValue>,
    /// Taken out of whatever a provider says.
    key: Option<String>,
    first_token: Option<Duration>,
    structured: Option<Structured>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for OpenAi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenAi").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

impl OpenAi {
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        // Another part of the program may have installed it already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(config.connect_timeout)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| setting("provider", format!("no HTTP client can be made: {}", failure::chain(&error))))?;
        let key = config.api_key().map(|key| key.secret().trim().to_owned());
        Ok(Self {
            client,
            endpoint: endpoint(config.base_url().unwrap_or(BASE_URL))?,
            authorization: key.as_deref().map(authorization).transpose()?,
            key,
            first_token: config.first_token_timeout_ms.map(Duration::from_millis),
            structured: config.structured_output,
            clock,
        })
    }

    /// One attempt, given up after `limit`. Tokens the provider does not count are estimated.
    pub async fn ask(&self, request: &Request, choice: &Choice<'_>, limit: Duration) -> Result<Reply, ModelFault> {
        let began = self.clock.now();
        let names = Names::of(&request.tools);
        let attempt = self.attempt(request, choice, &names);
        let answer = timeout(limit, attempt).await.unwrap_or_else(|_| {
            let message = format!("model `{}`: no whole reply within {} ms", choice.model, limit.as_millis());
            Err(transient(code::TIMEOUT, message))
        })?;
        Ok(self.reply(request, answer, choice, &names, began))
    }

    async fn attempt(&self, request: &Request, choice: &Choice<'_>, names: &Names) -> Result<Answer, ModelFault> {
        let structured = self.structured.or(choice.spec.map(|spec| spec.structured)).unwrap_or_default();
        let body = request::body(request, &choice.model, names, structured, self.first_token.is_some());
        match self.first_token {
            None => self.whole(self.send(body, choice).await?, choice).await,
            Some(first_token) => self.streamed(body, choice, first_token).await,
        }
    }

    async fn whole(&self, response: Response, choice: &Choice<'_>) -> Result<Answer, ModelFault> {
        let body = Body::whole(response).await.map_err(|cut| self.problem(cut.into(), choice))?;
        answer::read(&body).map_err(|problem| self.problem(problem, choice))
    }

    async fn streamed(&self, body: Vec<u8>, choice: &Choice<'_>, first_token: Duration) -> Result<Answer, ModelFault> {
        let deadline = Instant::now() + first_token;
        let late = |_| {
            let message = format!("model `{}`: no first token within {} ms", choice.model, first_token.as_millis());
            transient(code::TIMEOUT, message)
        };
        let response = timeout_at(deadline, self.send(body, choice)).await.map_err(late)??;
        if !is_stream(&response) {
            return self.whole(response, choice).await;
        }
        let mut stream = Stream::new(Body::of(response));
        let begun = timeout_at(deadline, stream.begin()).await.map_err(late)?;
        begun.map_err(|problem| self.problem(problem, choice))?;
        stream.finish().await.map_err(|problem| self.problem(problem, choice))
    }

    fn problem(&self, problem: Problem, choice: &Choice<'_>) -> ModelFault {
        problem.fault(&choice.model, self.key.as_deref())
    }

    /// The response, if it is one to read a reply from.
    async fn send(&self, body: Vec<u8>, choice: &Choice<'_>) -> Result<Response, ModelFault> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let sent = self.client.post(self.endpoint.clone()).headers(headers).body(body).send().await;
        let response = sent.map_err(|error| failure::unsent(error, &self.endpoint))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(failure::refused(response, choice, self.key.as_deref(), self.clock.now()).await)
    }

    fn reply(&self, request: &Request, answer: Answer, choice: &Choice<'_>, names: &Names, began: Time) -> Reply {
        let usage = answer.usage.unwrap_or_else(|| tokens::estimate(request, &answer));
        let cost = choice.spec.map_or(Usd::ZERO, |spec| price::cost(spec, &usage));
        let latency = self.clock.now().since(began);
        tracing::debug!(
            model = choice.model,
            input_tokens = usage.input_tokens,
            cached_tokens = usage.cached_tokens,
            output_tokens = usage.output_tokens,
            "a model replied"
        );
        Reply {
            content: answer.content,
            tool_calls: answer.tool_calls.into_iter().map(|call| names.ours(call)).collect(),
            finish: answer.finish,
            usage,
            model: answer.model.unwrap_or_else(|| choice.model.clone()),
            provider: "openai".to_owned(),
            cost,
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Some servers answer whole although they were asked to stream.
fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    !kind.is_some_and(|kind| kind.starts_with("application/json"))
}

fn setting(setting: &'static str, problem: impl Into<String>) -> Error {
    Error::Setting { setting, problem: problem.into() }
}

fn endpoint(base_url: &str) -> Result<Url, Error> {
    // The text is not repeated where it may hold a password.
    let parsed = Url::parse(base_url)
        .map_err(|error| setting("base_url", format!("not a URL ({error}); write one such as {BASE_URL}")))?;
    if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
        return Err(setting("base_url", format!("not an http or https URL; write one such as {BASE_URL}")));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(setting("base_url", "it holds a user name or password; write the key as models.api_key"));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(setting("base_url", "it has a query or a fragment; write only the path, its version included"));
    }
    let path = format!("{}/chat/completions", parsed.path().trim_end_matches('/'));
    let mut endpoint = parsed;
    endpoint.set_path(&path);
    Ok(endpoint)
}

fn authorization(key: &str) -> Result<HeaderValue, Error> {
    let mut header = HeaderValue::try_from(format!("Bearer {key}"))
        .map_err(|_| setting("api_key", "it has characters that cannot be sent; copy it again"))?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests;
