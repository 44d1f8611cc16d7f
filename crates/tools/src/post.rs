//! Posts to addresses that tenants name. Like `http_request`, it reaches only public and allowed addresses.

use std::time::Duration;

use async_trait::async_trait;
use baton_ports::post::{PostError, PostResponse, WebhookClient};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use crate::config::ToolsConfig;
use crate::outbound::{OutboundClient, OutboundError, OutboundRequest};

/// Time-out of one attempt.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A client that sends these posts.
pub struct OutboundPoster {
    outbound: OutboundClient,
}

impl OutboundPoster {
    pub fn new(config: &ToolsConfig) -> Self {
        Self { outbound: OutboundClient::new(config.outbound.clone()) }
    }
}

#[async_trait]
impl WebhookClient for OutboundPoster {
    fn check(&self, url: &str) -> Result<(), String> {
        let url: Url = url.parse().map_err(|error| format!("it is no URL: {error}"))?;
        self.outbound.check(&url)
    }

    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<PostResponse, PostError> {
        let url: Url = url.parse().map_err(|error| PostError::Rejected(format!("it is no URL: {error}")))?;
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|error| PostError::Rejected(error.to_string()))?;
            all.insert(HeaderName::from_static(name), value);
        }
        let outgoing =
            OutboundRequest { method: Method::POST, url, headers: all, body: Some(body), secrets: Vec::new() };
        match tokio::time::timeout(TIMEOUT, self.outbound.send(outgoing, None)).await {
            Ok(Ok(answer)) => Ok(PostResponse { status: answer.status, retry_after_ms: answer.retry_after() }),
            Ok(Err(OutboundError::Refused(fault))) => Err(PostError::Rejected(fault.message)),
            Ok(Err(OutboundError::NotSent(fault) | OutboundError::Unclear(fault))) => {
                Err(PostError::Failed(fault.message))
            }
            Err(_elapsed) => Err(PostError::Failed(format!("no answer within {} s", TIMEOUT.as_secs()))),
        }
    }
}
