//! `web_search`: results of a SearXNG instance, or of anything that answers as one does.

mod config;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use baton_core::fault::Fault;
use baton_core::tool::{Class, Facts};
use reqwest::{Url, header};
use serde_json::{Value, json};

pub use config::Config;

use crate::catalogue::{Action, Entry, Risk};
use crate::code;
use crate::failure::Failure;
use crate::outbound::{Answer, Outbound};
use crate::request::Request;
use crate::tool::Tool;
use crate::vendor::{Auth, Complaint, Meaning, Vendor};

const PROVIDER: &str = "searxng";
/// An instance asks many engines and waits for the slow ones.
const TIMEOUT: Duration = Duration::from_secs(15);
const QUERY_CHARS_MAX: usize = 400;
const PAGE_MAX: u64 = 10;
const RESULTS_DEFAULT: u64 = 10;
const RESULTS_MAX: u64 = 50;
/// Characters of a title, and of what is told of a page.
const TITLE_CHARS_MAX: usize = 200;
const SNIPPET_CHARS_MAX: usize = 600;
/// Bytes of an address; one that is longer is no result.
const URL_BYTES_MAX: usize = 2_048;

pub(crate) fn entry(config: Config, outbound: Arc<Outbound>) -> Entry {
    let facts = Facts {
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
        ..Facts::new(Class::Read, TIMEOUT)
    };
    let action = Action::new(facts, "api_call", Risk::Low);
    let instance = config.url.clone().map(|url| Vendor::new(PROVIDER, url, outbound, complaint));
    Entry::new("web_search", "search", PROVIDER, action, Arc::new(WebSearch { config, instance }))
}

struct WebSearch {
    config: Config,
    /// `None` where no instance is set up.
    instance: Option<Vendor>,
}

#[async_trait]
impl Tool for WebSearch {
    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let Some(instance) = &self.instance else {
            let message = "no search service is set up: set `url` under `[tools.web_search]` to a SearXNG instance \
                           that answers with JSON";
            return Err(Failure::refused(code::WEB_SEARCH_NOT_CONFIGURED, message));
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
            asked = asked.auth(Auth::Header { name: header::AUTHORIZATION, secret });
        }
        output(&asked.send(Class::Read).await?, request)
    }

    fn service<'a>(&'a self, _request: &'a Request) -> Option<Cow<'a, str>> {
        self.instance.as_ref().map(|instance| Cow::Borrowed(instance.name()))
    }
}

/// An instance that does not serve JSON answers 403 with a page.
fn complaint(answer: &Answer) -> Option<Complaint> {
    (answer.status == 403).then(|| Complaint {
        message: "let the instance answer with JSON (`json` among `search.formats` in its settings.yml), or look at \
                  `authorization` under `[tools.web_search]`"
            .to_owned(),
        meaning: Meaning::AsStatus,
    })
}

/// What was found, cut to its limits. An answer that is no list of results is the service's fault, and may be better
/// another time.
fn output(answer: &Answer, request: &Request) -> Result<Value, Failure> {
    let body = if answer.truncated { Value::Null } else { answer.value() };
    let Some(found) = body.get("results").and_then(Value::as_array) else {
        let message = match answer.truncated {
            true => format!("{} answered with more than {} bytes", answer.from, answer.body.len()),
            false => format!("{} did not answer with a list of `results`", answer.from),
        };
        let fault = Fault::new(code::SERVICE_UNAVAILABLE, message);
        return Err(Failure::unclear(Class::Read, fault));
    };
    let most = request.argument("max_results").as_u64().unwrap_or(RESULTS_DEFAULT).min(RESULTS_MAX);
    let results: Vec<Value> = found.iter().filter_map(result).take(usize::try_from(most).unwrap_or(0)).collect();
    Ok(json!({
        "query": request.text("query"), "page": request.argument("page").as_u64().unwrap_or(1),
        "count": results.len(), "results": results, "provider": PROVIDER,
    }))
}

/// One result; `None` for what has no address that can be followed.
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

/// Words on one line, at most so many characters of them.
fn cut(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
