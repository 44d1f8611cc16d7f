//! `web_search`: results of a SearXNG instance, or of a server that responds like one.

mod config;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::{EffectClass, ToolContract};
use reqwest::{Url, header};
use serde_json::{Value, json};

pub use config::WebSearchConfig;

use crate::catalogue::{ActionSpec, ToolEntry, ToolRisk};
use crate::code;
use crate::outbound::{OutboundClient, OutboundResponse};
use crate::request::PreparedRequest;
use crate::tool::ToolHandler;
use crate::tool_error::ToolError;
use crate::vendor::{VendorApi, VendorAuth, VendorError, VendorErrorMeaning};

const PROVIDER: &str = "searxng";
/// An instance queries many engines and waits for the slow ones.
const TIMEOUT: Duration = Duration::from_secs(15);
const QUERY_CHARS_MAX: usize = 400;
const PAGE_MAX: u64 = 10;
const RESULTS_DEFAULT: u64 = 10;
const RESULTS_MAX: u64 = 50;
/// Maximum length of a title and of a page's description, in characters.
const TITLE_CHARS_MAX: usize = 200;
const SNIPPET_CHARS_MAX: usize = 600;
/// Maximum size of an address, in bytes; a result with a longer one is dropped.
const URL_BYTES_MAX: usize = 2_048;

pub(crate) fn entry(config: WebSearchConfig, outbound: Arc<OutboundClient>) -> ToolEntry {
    let facts = ToolContract {
        description: "Searches the web and gives titles, addresses and snippets of what it finds".to_owned(),
        output_fields: ["query", "results", "count", "page", "provider"].map(str::to_owned).into(),
        parameters: json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["query"],
            "properties": {
                "query": {
                    "type": "string", "minLength": 1, "maxLength": QUERY_CHARS_MAX,
                    "description": "What to look for, as one would type it into a search page",
                },
                "language": {
                    "type": "string", "pattern": "^[a-z]{2,3}(-[A-Za-z]{2,4})?$",
                    "description": "Of the results: `es`, `en-GB`; the customer's unless told",
                },
                "page": {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": 1},
                "max_results": {
                    "type": "integer", "minimum": 1, "maximum": RESULTS_MAX, "default": RESULTS_DEFAULT,
                },
            },
        }),
        ..ToolContract::new(EffectClass::Read, TIMEOUT)
    };
    let action = ActionSpec::new(facts, "api_call", ToolRisk::Low);
    let instance = config.url.clone().map(|url| VendorApi::new(PROVIDER, url, outbound, complaint));
    ToolEntry::new("web_search", "search", PROVIDER, action, Arc::new(WebSearch { config, instance }))
}

struct WebSearch {
    config: WebSearchConfig,
    /// `None` if no instance is configured.
    instance: Option<VendorApi>,
}

#[async_trait]
impl ToolHandler for WebSearch {
    async fn attempt(&self, request: &PreparedRequest) -> Result<Value, ToolError> {
        let Some(instance) = &self.instance else {
            let message = "no search service is set up: set `url` under `[tools.web_search]` to a SearXNG instance \
                           that answers with JSON";
            return Err(ToolError::permanent(code::WEB_SEARCH_NOT_CONFIGURED, message));
        };
        let language = request.text("language").unwrap_or_else(|| request.language.tag());
        let page = request.argument("page").as_u64().unwrap_or(1).to_string();
        let own = self.config.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let query: Vec<(&str, &str)> = [
            ("q", request.text("query").unwrap_or_default()),
            ("format", "json"),
            ("language", language),
            ("pageno", &page),
        ]
        .into_iter()
        .chain(own)
        .collect();
        let mut asked = instance.get(&["search"]).query(&query);
        if let Some(secret) = &self.config.authorization {
            asked = asked.auth(VendorAuth::Header { name: header::AUTHORIZATION, secret });
        }
        output(&asked.send(EffectClass::Read).await?, request)
    }

    fn service<'a>(&'a self, _request: &'a PreparedRequest) -> Option<Cow<'a, str>> {
        self.instance.as_ref().map(|instance| Cow::Borrowed(instance.name()))
    }
}

/// An instance that does not serve JSON responds with 403 and an HTML page.
fn complaint(answer: &OutboundResponse) -> Option<VendorError> {
    (answer.status == 403).then(|| VendorError {
        message: "let the instance answer with JSON (`json` among `search.formats` in its settings.yml), or look at \
                  `authorization` under `[tools.web_search]`"
            .to_owned(),
        meaning: VendorErrorMeaning::AsStatus,
    })
}

/// Returns the results, cut to their limits. A response that is not a list of results is a fault of the service and
/// may be retried.
fn output(answer: &OutboundResponse, request: &PreparedRequest) -> Result<Value, ToolError> {
    let body = if answer.truncated { Value::Null } else { answer.value() };
    let Some(found) = body.get("results").and_then(Value::as_array) else {
        let message = match answer.truncated {
            true => format!("{} answered with more than {} bytes", answer.from, answer.body.len()),
            false => format!("{} did not answer with a list of `results`", answer.from),
        };
        let fault = Fault::new(code::SERVICE_UNAVAILABLE, message);
        return Err(ToolError::indeterminate(EffectClass::Read, fault));
    };
    let most = request.argument("max_results").as_u64().unwrap_or(RESULTS_DEFAULT).min(RESULTS_MAX);
    let results: Vec<Value> = found.iter().filter_map(result).take(usize::try_from(most).unwrap_or(0)).collect();
    Ok(json!({
        "query": request.text("query"), "page": request.argument("page").as_u64().unwrap_or(1),
        "count": results.len(), "results": results, "provider": PROVIDER,
    }))
}

/// Returns one result; `None` if it has no address that can be followed.
fn result(found: &Value) -> Option<Value> {
    let text = |name: &str| found.get(name).and_then(Value::as_str);
    let url: Url = text("url").filter(|url| url.len() <= URL_BYTES_MAX)?.parse().ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    Some(json!({
        "title": cut(text("title").unwrap_or_default(), TITLE_CHARS_MAX),
        "url": url.as_str(),
        "snippet": cut(text("content").unwrap_or_default(), SNIPPET_CHARS_MAX),
        "engine": text("engine"),
        "score": found.get("score").and_then(Value::as_f64),
    }))
}

/// Joins the words on one line, cut to at most `most` characters.
fn cut(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
