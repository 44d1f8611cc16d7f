//! HTTP to external services, protected against server-side request forgery (SSRF).
//!
//! Names are resolved here and the connection goes to the checked addresses, so a name cannot mean one address to the
//! check and another to the connection. Redirects are followed by hand and checked again. Proxies are not used,
//! because a proxy would resolve names itself.

mod address;
mod config;
mod redactor;
mod resolver;
mod response;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use baton_core::fault::{Fault, error_causes};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, Method, Response, Url, redirect};

pub use address::IpNetwork;
pub use config::OutboundConfig;
pub(crate) use redactor::of_url;
pub(crate) use response::{OutboundResponse, check_status};

pub(crate) use self::redactor::SecretRedactor;
use self::resolver::GuardedResolver;
use crate::code;
use crate::reach_tracker;
use crate::tool_error::ToolError;

/// Sends the current span to the called service (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";
/// Maximum size of one URL, in bytes.
pub(crate) const URL_BYTES_MAX: usize = 4_096;
/// Time-out of connecting. It is shorter than the shortest time-out of a shipped tool, so that an unreachable service
/// is known not to have received the request.
const CONNECT: Duration = Duration::from_millis(2_500);
/// The only headers that are sent to another origin after a redirect: none that could carry a secret.
const HEADERS_ACROSS_ORIGINS: &[HeaderName] =
    &[header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_TYPE, header::USER_AGENT];

pub(crate) struct OutboundClient {
    config: Arc<OutboundConfig>,
    /// Connects to public and allowed addresses.
    guarded_client: OnceLock<Result<Client, String>>,
    /// Connects to private addresses too: only for the origin that a project's own definition names.
    trusting_client: OnceLock<Result<Client, String>>,
}

/// A request to send.
#[derive(Clone, Debug)]
pub(crate) struct OutboundRequest {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    /// Secret texts of the request, besides headers that are marked as sensitive.
    pub(crate) secrets: Vec<String>,
}

impl OutboundRequest {
    /// The destination, for messages.
    fn display_url(&self) -> String {
        SecretRedactor::of(self).redact(display_url(&self.url))
    }
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum OutboundError {
    /// It was not sent, and will not be.
    Refused(Fault),
    /// It could not be sent.
    NotSent(Fault),
    /// It was sent, at least in part, and no complete response arrived.
    Unclear(Fault),
}

impl OutboundError {
    pub(crate) fn failure(self, class: baton_core::tool::EffectClass) -> ToolError {
        match self {
            Self::Refused(fault) => ToolError::NotDone { fault, retryable: false, retry_after: None },
            Self::NotSent(fault) => ToolError::NotDone { fault, retryable: true, retry_after: None },
            Self::Unclear(fault) => ToolError::indeterminate(class, fault),
        }
    }
}

impl OutboundClient {
    pub(crate) fn new(config: OutboundConfig) -> Self {
        Self { config: Arc::new(config), guarded_client: OnceLock::new(), trusting_client: OnceLock::new() }
    }

    pub(crate) fn config(&self) -> &OutboundConfig {
        &self.config
    }

    /// Checks a URL before its name is resolved. The error is the reason why it is refused.
    pub(crate) fn check(&self, url: &Url) -> Result<(), String> {
        self.config.check(url)
    }

    /// Sends the request, following redirects. `trusted` is a URL whose origin may have any address.
    ///
    /// A request with side effects is redirected only by 307 and 308, which imply that it was not performed. For
    /// other redirects, the redirect itself is the response.
    pub(crate) async fn send(
        &self,
        outgoing: OutboundRequest,
        trusted: Option<&Url>,
    ) -> Result<OutboundResponse, OutboundError> {
        self.follow(outgoing, trusted, |_| Ok(())).await
    }

    /// Sends the request to an address of the settings, which may be any address, and to no other host.
    pub(crate) async fn send_to_own_origin(
        &self,
        outgoing: OutboundRequest,
    ) -> Result<OutboundResponse, OutboundError> {
        let (home, secrets) = (outgoing.url.clone(), SecretRedactor::of(&outgoing));
        let stays = |next: &Url| {
            if next.origin() == home.origin() {
                return Ok(());
            }
            let message =
                format!("{} redirects to {}, another host, which is not asked", display_url(&home), display_url(next));
            Err(OutboundError::Refused(Fault::new(code::ADDRESS_NOT_ALLOWED, secrets.redact(message))))
        };
        self.follow(outgoing, Some(&home), stays).await
    }

    async fn follow(
        &self,
        mut outgoing: OutboundRequest,
        trusted: Option<&Url>,
        may_go: impl Fn(&Url) -> Result<(), OutboundError>,
    ) -> Result<OutboundResponse, OutboundError> {
        for _ in 0..=self.config.redirects_max {
            let response = self.exchange(&outgoing, trusted).await?;
            match redirected(&outgoing, &response)? {
                Some(next) => {
                    may_go(&next.url)?;
                    outgoing = next;
                }
                None => return OutboundResponse::read(&outgoing, response, self.config.response_bytes_max).await,
            }
        }
        let message = format!("{} redirected more than {} times", outgoing.display_url(), self.config.redirects_max);
        Err(OutboundError::Refused(Fault::new(code::SERVICE_REJECTED, message)))
    }

    async fn exchange(&self, outgoing: &OutboundRequest, trusted: Option<&Url>) -> Result<Response, OutboundError> {
        let is_named = trusted.is_some_and(|trusted| trusted.origin() == outgoing.url.origin());
        let is_trusted = is_named && !self.config.trusts_nobody;
        if !is_trusted {
            self.config.check(&outgoing.url).map_err(|reason| {
                let message = format!("{}: {reason}", outgoing.display_url());
                OutboundError::Refused(Fault::new(code::ADDRESS_NOT_ALLOWED, message))
            })?;
        }
        let client = self.client(is_trusted).map_err(|reason| {
            OutboundError::NotSent(Fault::new(code::SERVICE_UNAVAILABLE, format!("no HTTP client: {reason}")))
        })?;
        let mut request =
            client.request(outgoing.method.clone(), outgoing.url.clone()).headers(outgoing.headers.clone());
        if let Some(told) = reach_tracker::traceparent().filter(|_| !outgoing.headers.contains_key(TRACEPARENT)) {
            request = request.header(TRACEPARENT, told);
        }
        if let Some(body) = &outgoing.body {
            request = request.body(body.clone());
        }
        let before = reach_tracker::mark_reached();
        request.send().await.map_err(|error| {
            let no_answer = no_answer(&error, &outgoing.display_url());
            if matches!(no_answer, OutboundError::Refused(_)) {
                reach_tracker::restore(before);
            }
            no_answer
        })
    }

    /// Returns a client for an address that a definition names, for a protocol that a library implements. It follows
    /// no redirects. An address from the project's own files may be private.
    pub(crate) fn client_for(&self, url: &Url) -> Result<Client, String> {
        if self.config.trusts_nobody {
            self.config.check(url)?;
        }
        self.client(!self.config.trusts_nobody).cloned().map_err(str::to_owned)
    }

    fn client(&self, trusting: bool) -> Result<&Client, &str> {
        let cell = if trusting { &self.trusting_client } else { &self.guarded_client };
        let client = cell.get_or_init(|| {
            build(GuardedResolver::new(self.config.clone(), trusting)).map_err(|error| root_cause(&error))
        });
        client.as_ref().map_err(String::as_str)
    }
}

fn build(resolver: GuardedResolver) -> Result<Client, reqwest::Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // If another provider was installed meanwhile, that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    Client::builder()
        .dns_resolver(Arc::new(resolver))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT)
        .user_agent(concat!("baton/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn no_answer(error: &reqwest::Error, from: &str) -> OutboundError {
    if let Some(forbidden) = resolver::forbidden(error) {
        return OutboundError::Refused(Fault::new(code::ADDRESS_NOT_ALLOWED, format!("{from}: {forbidden}")));
    }
    let fault = Fault::new(code::SERVICE_UNAVAILABLE, format!("{from}: {}", root_cause(error)));
    if error.is_connect() || error.is_builder() { OutboundError::NotSent(fault) } else { OutboundError::Unclear(fault) }
}

/// Returns the redirected request, if the redirect is followed.
fn redirected(outgoing: &OutboundRequest, response: &Response) -> Result<Option<OutboundRequest>, OutboundError> {
    let reads = matches!(outgoing.method, Method::GET | Method::HEAD);
    if !matches!((response.status().as_u16(), reads), (301..=303, true) | (307 | 308, _)) {
        return Ok(None);
    }
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let Some(url) = location.and_then(|location| outgoing.url.join(location).ok()) else { return Ok(None) };
    check_encryption(outgoing, &url)?;
    let mut next = OutboundRequest { url, ..outgoing.clone() };
    if next.url.origin() != outgoing.url.origin() {
        next.headers = HeaderMap::new();
        for name in HEADERS_ACROSS_ORIGINS {
            if let Some(value) = outgoing.headers.get(name) {
                next.headers.insert(name.clone(), value.clone());
            }
        }
    }
    Ok(Some(next))
}

fn check_encryption(outgoing: &OutboundRequest, next: &Url) -> Result<(), OutboundError> {
    if outgoing.url.scheme() != "https" || next.scheme() == "https" {
        return Ok(());
    }
    let message = format!("{} redirects to {}, which is not encrypted", display_url(&outgoing.url), display_url(next));
    let message = SecretRedactor::of(outgoing).redact(message);
    Err(OutboundError::Refused(Fault::new(code::ADDRESS_NOT_ALLOWED, message)))
}

/// A URL for messages: without credentials, query and fragment, which may be private.
pub(crate) fn display_url(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// Why a request failed, without the URL that the error may contain.
fn root_cause(error: &reqwest::Error) -> String {
    let causes = error_causes(error);
    if causes.is_empty() { "the request failed".to_owned() } else { causes }
}

#[cfg(test)]
mod tests;
