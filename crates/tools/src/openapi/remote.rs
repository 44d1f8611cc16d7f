//! A document that is fetched from an address.

use std::time::Duration;

use baton_core::tool::EffectClass;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Method, Url};

use crate::config::ToolsConfig;
use crate::outbound::{OutboundClient, OutboundRequest, check_status};

/// Maximum size of one document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;
const LIMIT: Duration = Duration::from_secs(20);

/// Fetches a document. An address that the project itself names may be private.
///
/// # Errors
/// The reason in words.
pub async fn document(address: &str, config: &ToolsConfig) -> Result<Vec<u8>, String> {
    let url: Url = address.parse().map_err(|error| format!("`{address}` is no address: {error}"))?;
    let mut settings = config.outbound.clone();
    settings.response_bytes_max = DOCUMENT_BYTES_MAX;
    let accept = HeaderValue::from_static("application/json, application/yaml, */*;q=0.5");
    let headers = HeaderMap::from_iter([(header::ACCEPT, accept)]);
    let outgoing = OutboundRequest { method: Method::GET, url: url.clone(), headers, body: None, secrets: Vec::new() };
    let outbound = OutboundClient::new(settings);
    let answer = tokio::time::timeout(LIMIT, outbound.send(outgoing, Some(&url))).await;
    let answer = answer.map_err(|_elapsed| format!("no answer within {} s", LIMIT.as_secs()))?;
    let answer = answer.map_err(|none| none.failure(EffectClass::Read).fault().message.clone())?;
    check_status(&answer, EffectClass::Read).map_err(|failure| failure.fault().message.clone())?;
    if answer.status >= 300 {
        return Err(format!("{} answered {} and led nowhere", answer.from, answer.status));
    }
    if answer.truncated {
        return Err(format!("{} is larger than {DOCUMENT_BYTES_MAX} bytes", answer.from));
    }
    Ok(answer.body)
}
