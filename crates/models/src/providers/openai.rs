//! Any server that speaks OpenAI's chat completions (`POST {base_url}/chat/completions`): OpenAI, Azure, vLLM, Ollama,
//! and so on. Their differences are accepted as they are:
//!
//! - Azure has two forms: `{endpoint}/openai/v1/chat/completions`, and the older one with a deployment in its path and
//!   a dated `api-version`. Its API key is sent in the header `api-key`.
//! - Ollama sends `index: 0` for each of several calls, which differ only in their ids; older versions send no index.
//! - vLLM, llama.cpp and Ollama report a request that is too long by a message, not by a code.
//! - DeepSeek and Gemini require their thinking (`reasoning_content`, `extra_content`) to be sent back with tool
//!   results.

mod answer;
mod family;
mod request;
mod stream;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use serde_json::Value;

use self::stream::OpenAiAssembler;
use super::ProviderSite;
use super::dialect::{ApiDialect, WireError, WireReply, WireRequest};
use super::remote::{append_path, base_url};
use crate::error::ModelsError;

pub(crate) const PUBLIC: &str = "https://api.openai.com/v1";
const AZURE_EXAMPLE: &str = "https://my-resource.openai.azure.com";
const API_KEY: HeaderName = HeaderName::from_static("api-key");

#[derive(Debug)]
pub(crate) struct OpenAiDialect {
    address: OpenAiAddress,
}

#[derive(Debug)]
enum OpenAiAddress {
    /// The same for all models.
    Endpoint(Url),
    /// Azure, with the same URL for all models.
    Azure(Url),
    /// Azure, with the model's deployment in the path.
    Deployments { resource: Url, api_version: String },
}

impl OpenAiDialect {
    pub fn new(site: &ProviderSite) -> Result<Self, ModelsError> {
        Ok(Self { address: OpenAiAddress::Endpoint(append_path(&base_url(site, PUBLIC)?, "/chat/completions")) })
    }

    /// With a dated API version, uses the older of Azure's forms.
    pub fn azure(site: &ProviderSite, api_version: Option<&str>) -> Result<Self, ModelsError> {
        if site.base_url.is_none() {
            let example = format!("missing: write the resource's address, such as {AZURE_EXAMPLE}");
            return Err(site.setting_error("base_url", example));
        }
        let written = base_url(site, AZURE_EXAMPLE)?;
        // Users copy the address with as much of the path as the portal shows.
        let path = written.path().trim_end_matches('/');
        let root = path.strip_suffix("/openai/v1").or_else(|| path.strip_suffix("/openai")).unwrap_or(path).to_owned();
        let mut resource = written;
        resource.set_path(&root);
        let address = match api_version {
            None => OpenAiAddress::Azure(append_path(&resource, "/openai/v1/chat/completions")),
            Some(version) => OpenAiAddress::Deployments { resource, api_version: version.to_owned() },
        };
        Ok(Self { address })
    }
}

impl ApiDialect for OpenAiDialect {
    type Assembly = OpenAiAssembler;

    const KEY_VARIABLE: &'static str = "OPENAI_API_KEY";

    fn endpoint(&self, model: &str) -> Url {
        match &self.address {
            OpenAiAddress::Endpoint(url) | OpenAiAddress::Azure(url) => url.clone(),
            OpenAiAddress::Deployments { resource, api_version } => {
                let mut url = append_path(resource, "/openai/deployments");
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
            OpenAiAddress::Endpoint(_) => (AUTHORIZATION, format!("Bearer {key}")),
            OpenAiAddress::Azure(_) | OpenAiAddress::Deployments { .. } => (API_KEY, key.to_owned()),
        };
        let mut value = HeaderValue::try_from(value)?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }

    fn body(&self, query: &WireRequest<'_>) -> Result<Value, String> {
        Ok(request::body(query))
    }

    fn enforces_schema(&self, query: &WireRequest<'_>) -> bool {
        request::enforces_schema(query)
    }

    fn read(&self, _query: &WireRequest<'_>, body: &[u8]) -> Result<WireReply, WireError> {
        answer::read(body)
    }

    fn new_assembler(&self, _query: &WireRequest<'_>) -> OpenAiAssembler {
        OpenAiAssembler::default()
    }
}

#[cfg(test)]
mod tests;
