//! Any server that speaks OpenAI's embeddings (`POST {base_url}/embeddings`): OpenAI, Ollama, vLLM, and so on.

mod answer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use baton_core::fault::error_causes;
use baton_core::redact;
use baton_core::time::retry_after;
use baton_ports::embed::{Embedder, EmbeddingBilling, EmbeddingError, EmbeddingPayer, EmbeddingRole, VectorSpace};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde_json::{Value, json};

use super::builtin::normalise;
use crate::config::{EmbedderKey, MemoryConfig, MemoryConfigError};

pub(crate) const PUBLIC: &str = "https://api.openai.com/v1";
const USER_AGENT: &str = concat!("baton/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum attempts at a request for passages. A query is sent once: a search does not wait.
const ATTEMPTS: u32 = 5;
/// The delay after the first attempt; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest delay, whatever the server requests.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Maximum size of one response, in bytes: a full request of the longest vectors as text.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Models with known dimensions.
const KNOWN_DIMENSIONS: [(&str, usize); 8] = [
    ("text-embedding-3-small", 1_536),
    ("text-embedding-3-large", 3_072),
    ("text-embedding-ada-002", 1_536),
    ("nomic-embed-text", 768),
    ("mxbai-embed-large", 1_024),
    ("bge-m3", 1_024),
    ("all-minilm", 384),
    ("snowflake-arctic-embed", 1_024),
];

/// An embedder that calls a server.
pub struct EndpointEmbedder {
    space: VectorSpace,
    client: Client,
    /// Used to redact the key if the server repeats it.
    key: Option<EmbedderKey>,
    url: Url,
    model: String,
    /// Sent only if they are configured: most servers refuse the parameter.
    dimensions: Option<usize>,
    query_prefix: String,
    passage_prefix: String,
    batch: usize,
    /// `None` if no budgets are kept.
    billing: Option<Arc<dyn EmbeddingBilling>>,
}

impl EndpointEmbedder {
    /// Opens no connection.
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn new(config: &MemoryConfig) -> Result<Self, MemoryConfigError> {
        // Another part of the program may have installed a provider already; that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(headers(config)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(Duration::from_millis(config.timeout_ms))
            // The API key is sent only to the host that it was configured for.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| MemoryConfigError::new("embedder", format!("no HTTP client can be made: {error}")))?;
        Ok(Self {
            space: VectorSpace { name: space_name(config), dimensions: dimensions(config)? },
            client,
            key: config.api_key.clone(),
            url: url(config)?,
            model: config.model.clone(),
            dimensions: config.dimensions,
            query_prefix: config.query_prefix.clone(),
            passage_prefix: config.passage_prefix.clone(),
            batch: config.batch,
            billing: None,
        })
    }

    /// Charges each request from now on.
    #[must_use]
    pub fn with_billing(self, till: Option<Arc<dyn EmbeddingBilling>>) -> Self {
        Self { billing: till, ..self }
    }

    async fn ask(
        &self,
        payer: &EmbeddingPayer,
        inputs: &[String],
        attempts: u32,
    ) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            match self.attempt(payer, inputs).await {
                Err(EmbeddingError::Unavailable { retry_after, .. }) if attempt < attempts => {
                    tokio::time::sleep(retry_after.unwrap_or(wait).min(WAIT_MAX)).await;
                    wait *= 2;
                }
                other => return other,
            }
        }
        Ok(Vec::new())
    }

    async fn attempt(&self, payer: &EmbeddingPayer, inputs: &[String]) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        // No tokenizer produces more tokens than the text has bytes.
        let tokens = inputs.iter().map(|input| input.len() as u64).sum();
        let paying = match &self.billing {
            Some(till) => Some(till.reserve(payer, &self.space, &self.model, tokens).await?),
            None => None,
        };
        let begun = Instant::now();
        let mut body = json!({"model": self.model, "input": inputs, "encoding_format": "float"});
        if let (Some(fields), Some(dimensions)) = (body.as_object_mut(), self.dimensions) {
            fields.insert("dimensions".to_owned(), Value::from(dimensions));
        }
        let sent = self.client.post(self.url.clone()).json(&body).send().await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => {
                if (error.is_connect() || error.is_builder())
                    && let Some(paying) = paying
                {
                    paying.release();
                }
                return Err(self.unavailable(reason(&error), None));
            }
        };
        let (status, waits) = (answer.status(), retry_after(answer.headers()));
        if !status.is_success() {
            if let Some(paying) = paying {
                paying.release();
            }
            let bytes = self.read(answer).await?;
            return Err(self.refusal(status, waits, &bytes));
        }
        let bytes = self.read(answer).await?;
        if let Some(paying) = paying {
            paying.settle(answer::tokens(&bytes), begun.elapsed());
        }
        let vectors = answer::vectors(&bytes, inputs.len(), self.space.dimensions);
        vectors.map_err(|reason| EmbeddingError::Rejected { space: self.space.name.clone(), reason })
    }

    fn refusal(&self, status: StatusCode, waits: Option<Duration>, bytes: &[u8]) -> EmbeddingError {
        let reason = format!("it answered {}: {}", status.as_u16(), self.server_message(bytes));
        if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
            return self.unavailable(reason, waits);
        }
        EmbeddingError::Rejected { space: self.space.name.clone(), reason }
    }

    /// The error message of the server, without the API key and without private data.
    fn server_message(&self, bytes: &[u8]) -> String {
        let text = answer::server_message(bytes);
        let text = match &self.key {
            Some(key) => key.redact_from(text),
            None => text,
        };
        redact::text(&text).into_owned()
    }

    async fn read(&self, mut answer: Response) -> Result<Vec<u8>, EmbeddingError> {
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| self.unavailable(reason(&error), None))? {
            if bytes.len() + part.len() > ANSWER_BYTES_MAX {
                let reason = format!("its answer is over the limit of {ANSWER_BYTES_MAX} bytes");
                return Err(EmbeddingError::Rejected { space: self.space.name.clone(), reason });
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }

    fn unavailable(&self, reason: String, retry_after: Option<Duration>) -> EmbeddingError {
        EmbeddingError::Unavailable { space: self.space.name.clone(), reason, retry_after }
    }
}

#[async_trait]
impl Embedder for EndpointEmbedder {
    fn space(&self) -> &VectorSpace {
        &self.space
    }

    async fn embed(
        &self,
        payer: &EmbeddingPayer,
        texts: &[String],
        role: EmbeddingRole,
    ) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let (prefix, attempts) = match role {
            EmbeddingRole::Query => (&self.query_prefix, 1),
            EmbeddingRole::Passage => (&self.passage_prefix, ATTEMPTS),
        };
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(self.batch.max(1)) {
            // Most servers refuse an empty text; its vector is all zeroes and needs no request.
            let spoken = |text: &&String| !text.trim().is_empty();
            let inputs: Vec<String> =
                batch.iter().filter(spoken).map(|text| format!("{prefix}{}", text.replace('\0', " "))).collect();
            let found = if inputs.is_empty() { Vec::new() } else { self.ask(payer, &inputs, attempts).await? };
            let mut found = found.into_iter();
            vectors.extend(batch.iter().map(|text| {
                let mut vector = if spoken(&text) { found.next() } else { None }.unwrap_or_default();
                vector.resize(self.space.dimensions, 0.0);
                normalise(&mut vector);
                vector
            }));
        }
        Ok(vectors)
    }
}

fn url(config: &MemoryConfig) -> Result<Url, MemoryConfigError> {
    let written = config.base_url.as_deref().map(str::trim).filter(|url| !url.is_empty()).unwrap_or(PUBLIC);
    let wrong = |reason: String| MemoryConfigError::new("base_url", reason);
    // The text is not quoted: it may contain a password.
    let mut url =
        Url::parse(written).map_err(|error| wrong(format!("not a URL ({error}); write one such as {PUBLIC}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong(format!("not an http or https URL; write one such as {PUBLIC}")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a user name or password; write the key as `api_key`".to_owned()));
    }
    let path = format!("{}/embeddings", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn headers(config: &MemoryConfig) -> Result<HeaderMap, MemoryConfigError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = config.api_key() {
        let mut value = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| MemoryConfigError::new("api_key", "it has characters that cannot be sent; copy it again"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn dimensions(config: &MemoryConfig) -> Result<usize, MemoryConfigError> {
    let name = config.model.split(':').next().unwrap_or_default();
    let known = KNOWN_DIMENSIONS.iter().find(|(model, _)| *model == name).map(|(_, dimensions)| *dimensions);
    config.dimensions.or(known).ok_or_else(|| {
        let reason = format!("write how many numbers a vector of `{}` has; it is not a model we know", config.model);
        MemoryConfigError::new("dimensions", reason)
    })
}

/// The prefixes change the vectors, so they are part of the name.
fn space_name(config: &MemoryConfig) -> String {
    match (config.query_prefix.as_str(), config.passage_prefix.as_str()) {
        ("", "") => config.model.clone(),
        (query, passage) => format!("{} ({query:?}, {passage:?})", config.model),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after::retry_after(|name| headers.get(name)?.to_str().ok(), None)
}

/// Why no response arrived, with the underlying causes and without the address, which may be private.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it gave no answer in time".to_owned();
    }
    match error_causes(error) {
        causes if causes.is_empty() => "no connection".to_owned(),
        causes => format!("no connection: {causes}"),
    }
}

#[cfg(test)]
mod tests;
