//! Anthropic's messages API (`POST {base_url}/v1/messages`), and compatible servers.
//!
//! System text is a separate field, turns alternate, tool calls and results are blocks, and `max_tokens` is required.
//! `input_tokens` excludes the tokens read from or written to the cache; each is priced separately.
//!
//! The API's version is the one that all models and all compatible servers support. What single models refuse (a
//! temperature, a forced tool) is derived from their names.

mod answer;
mod blocks;
mod family;
mod request;
mod stream;
mod structured;
mod turns;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use serde_json::Value;

use self::stream::AnthropicAssembler;
use super::ProviderSite;
use super::dialect::{ApiDialect, WireError, WireReply, WireRequest};
use super::remote::{append_path, base_url};
use crate::catalogue::ModelSpec;
use crate::error::ModelsError;

pub(crate) const PUBLIC: &str = "https://api.anthropic.com";
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

#[derive(Debug)]
pub(crate) struct AnthropicDialect {
    endpoint: Url,
}

impl AnthropicDialect {
    /// The base URL may include the API's `/v1` or omit it.
    pub fn new(site: &ProviderSite) -> Result<Self, ModelsError> {
        let base = base_url(site, PUBLIC)?;
        let is_versioned = base.path().trim_end_matches('/').ends_with("/v1");
        Ok(Self { endpoint: append_path(&base, if is_versioned { "/messages" } else { "/v1/messages" }) })
    }
}

impl ApiDialect for AnthropicDialect {
    type Assembly = AnthropicAssembler;

    const KEY_VARIABLE: &'static str = "ANTHROPIC_API_KEY";

    fn endpoint(&self, _model: &str) -> Url {
        self.endpoint.clone()
    }

    fn authorize(&self, headers: &mut HeaderMap, key: &str) -> Result<(), InvalidHeaderValue> {
        let mut value = HeaderValue::try_from(key)?;
        value.set_sensitive(true);
        headers.insert(X_API_KEY, value);
        Ok(())
    }

    fn headers(&self, headers: &mut HeaderMap) {
        headers.insert(ANTHROPIC_VERSION, VERSION);
    }

    fn body(&self, query: &WireRequest<'_>) -> Result<Value, String> {
        request::body(query)
    }

    fn reply_max(&self, model: &str, spec: Option<&ModelSpec>) -> Option<u64> {
        Some(request::reply_max(model, spec))
    }

    fn enforces_schema(&self, query: &WireRequest<'_>) -> bool {
        structured::enforces_schema(query)
    }

    fn read(&self, query: &WireRequest<'_>, body: &[u8]) -> Result<WireReply, WireError> {
        answer::read(body, structured::is_forced(query))
    }

    fn new_assembler(&self, query: &WireRequest<'_>) -> AnthropicAssembler {
        AnthropicAssembler::new(structured::is_forced(query))
    }
}
