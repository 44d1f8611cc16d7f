//! Any server that speaks OpenAI's chat completions (`POST {base_url}/chat/completions`): OpenAI, Azure, vLLM, Ollama, and
//! so on. What these do differently from each other is taken as it comes:
//!
//! - Azure has two forms: `{endpoint}/openai/v1/chat/completions`, and the older one with a deployment in its path and a
//!   dated `api-version`. Its key is the header `api-key`.
//! - Ollama says `index: 0` for each of several calls, and only their ids differ; older ones say no index at all.
//! - vLLM, llama.cpp and Ollama tell an over-long request by words, not by a code.
//! - DeepSeek and Gemini want back what their model thought (`reasoning_content`, `extra_content`) with tool results.

mod answer;
mod family;
mod request;
mod stream;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use serde_json::Value;

use self::stream::Chunks;
use super::Site;
use super::dialect::{Answer, Dialect, Problem, Query};
use super::remote::{base_url, beneath};
use crate::error::Error;

pub(crate) const PUBLIC: &str = "https://api.openai.com/v1";
const AZURE_EXAMPLE: &str = "https://my-resource.openai.azure.com";
const API_KEY: HeaderName = HeaderName::from_static("api-key");

#[derive(Debug)]
pub(crate) struct OpenAi {
    address: Address,
}

#[derive(Debug)]
enum Address {
    /// The same for all models.
    Endpoint(Url),
    /// Azure's, with the same for all models.
    Azure(Url),
    /// Azure's, with the model's deployment in the path.
    Deployments { resource: Url, api_version: String },
}

impl OpenAi {
    pub fn new(site: &Site) -> Result<Self, Error> {
        Ok(Self { address: Address::Endpoint(beneath(&base_url(site, PUBLIC)?, "/chat/completions")) })
    }

    /// With a dated API version, the older of Azure's forms.
    pub fn azure(site: &Site, api_version: Option<&str>) -> Result<Self, Error> {
        if site.base_url.is_none() {
            let example = format!("missing: write the resource's address, such as {AZURE_EXAMPLE}");
            return Err(site.wrong("base_url", example));
        }
        let written = base_url(site, AZURE_EXAMPLE)?;
        // People copy the address with as much of the path as their portal shows.
        let path = written.path().trim_end_matches('/');
        let root = path.strip_suffix("/openai/v1").or_else(|| path.strip_suffix("/openai")).unwrap_or(path).to_owned();
        let mut resource = written;
        resource.set_path(&root);
        let address = match api_version {
            None => Address::Azure(beneath(&resource, "/openai/v1/chat/completions")),
            Some(version) => Address::Deployments { resource, api_version: version.to_owned() },
        };
        Ok(Self { address })
    }
}

impl Dialect for OpenAi {
    type Assembly = Chunks;

    const KEY_VARIABLE: &'static str = "OPENAI_API_KEY";

    fn endpoint(&self, model: &str) -> Url {
        match &self.address {
            Address::Endpoint(url) | Address::Azure(url) => url.clone(),
            Address::Deployments { resource, api_version } => {
                let mut url = beneath(resource, "/openai/deployments");
                // A URL with a host has a path to extend.
                if let Ok(mut path) = url.path_segments_mut() {
                    path.push(model).extend(["chat", "completions"]);
                }
                url.query_pairs_mut().append_pair("api-version", api_version);
                url
            }
        }
    }

    fn authorize(&self, headers: &mut HeaderMap, key: &str) -> Result<(), InvalidHeaderValue> {
        let (name, value) = match self.address {
            Address::Endpoint(_) => (AUTHORIZATION, format!("Bearer {key}")),
            Address::Azure(_) | Address::Deployments { .. } => (API_KEY, key.to_owned()),
        };
        let mut value = HeaderValue::try_from(value)?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }

    fn body(&self, query: &Query<'_>) -> Result<Value, String> {
        Ok(request::body(query))
    }

    fn holds(&self, query: &Query<'_>) -> bool {
        request::holds(query)
    }

    fn read(&self, _query: &Query<'_>, body: &[u8]) -> Result<Answer, Problem> {
        answer::read(body)
    }

    fn assembly(&self, _query: &Query<'_>) -> Chunks {
        Chunks::default()
    }
}

#[cfg(test)]
mod tests;
