//! Posts to addresses that tenants name: as `http_request` does, so to public and allowed addresses and to no other.

use std::time::Duration;

use async_trait::async_trait;
use baton_ports::post::{NotPosted, Post, Posted};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use crate::config::Config;
use crate::outbound::{NoAnswer, Outbound, Outgoing};

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Posts.
pub struct Poster {
    outbound: Outbound,
}

impl Poster {
    pub fn new(config: &Config) -> Self {
        Self { outbound: Outbound::new(config.outbound.clone()) }
    }
}

#[async_trait]
impl Post for Poster {
    fn check(&self, url: &str) -> Result<(), String> {
        let url: Url = url.parse().map_err(|error| format!("it is no URL: {error}"))?;
        self.outbound.may_go(&url)
    }

    async fn post(&self, url: &str, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<Posted, NotPosted> {
        let url: Url = url.parse().map_err(|error| NotPosted::Refused(format!("it is no URL: {error}")))?;
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|error| NotPosted::Refused(error.to_string()))?;
            all.insert(HeaderName::from_static(name), value);
        }
        let outgoing = Outgoing { method: Method::POST, url, headers: all, body: Some(body), secrets: Vec::new() };
        match tokio::time::timeout(TIMEOUT, self.outbound.send(outgoing, None)).await {
            Ok(Ok(answer)) => Ok(Posted { status: answer.status, retry_after_ms: answer.retry_after() }),
            Ok(Err(NoAnswer::Refused(fault))) => Err(NotPosted::Refused(fault.message)),
            Ok(Err(NoAnswer::NotSent(fault) | NoAnswer::Unclear(fault))) => Err(NotPosted::Failed(fault.message)),
            Err(_elapsed) => Err(NotPosted::Failed(format!("no answer within {} s", TIMEOUT.as_secs()))),
        }
    }
}
