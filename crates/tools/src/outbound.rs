//! HTTP to the world outside, and never by accident to the one inside (server-side request forgery).
//!
//! Names are resolved here and the connection goes to the very addresses that were looked at, so a name cannot mean one
//! thing to the check and another to the connection. Redirects are followed by hand and looked at again. Proxies are
//! not used: a proxy would resolve names itself.

mod address;
mod answer;
mod config;
mod resolver;
mod secrets;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use baton_core::fault::{Fault, causes};
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, Method, Response, Url, redirect};

pub use address::Network;
pub(crate) use answer::{Answer, judge};
pub use config::Config;
pub(crate) use secrets::of_url;

use self::resolver::Resolver;
pub(crate) use self::secrets::Secrets;
use crate::code;
use crate::contact;
use crate::failure::Failure;

/// Tells whoever is asked which span asks (W3C Trace Context).
const TRACEPARENT: &str = "traceparent";
/// Bytes of one URL.
pub(crate) const URL_BYTES_MAX: usize = 4_096;
/// How long a connection may take: shorter than the shortest time-out of a shipped tool, so that a service that cannot be
/// reached is known not to have been asked.
const CONNECT: Duration = Duration::from_millis(2_500);
/// What is sent to another origin after a redirect: nothing that could be a secret.
const HEADERS_ACROSS_ORIGINS: &[HeaderName] =
    &[header::ACCEPT, header::ACCEPT_LANGUAGE, header::CONTENT_TYPE, header::USER_AGENT];

pub(crate) struct Outbound {
    config: Arc<Config>,
    /// Connects to public and allowed addresses.
    guarded: OnceLock<Result<Client, String>>,
    /// Connects to addresses of private networks too: only for the origin that a project's own definition names.
    trusting: OnceLock<Result<Client, String>>,
}

/// A request to send.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    /// Texts of it that nobody is to see, beside headers that are marked as sensitive.
    pub(crate) secrets: Vec<String>,
}

impl Outgoing {
    /// Where it goes, for messages.
    fn shown(&self) -> String {
        Secrets::of(self).hide(shown(&self.url))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// We did not send it, and will not.
    Refused(Fault),
    /// It could not be sent.
    NotSent(Fault),
    /// It was sent, at least in part, and no whole answer came.
    Unclear(Fault),
}

impl NoAnswer {
    pub(crate) fn failure(self, class: baton_core::tool::Class) -> Failure {
        match self {
            Self::Refused(fault) => Failure::NotDone { fault, retryable: false, retry_after: None },
            Self::NotSent(fault) => Failure::NotDone { fault, retryable: true, retry_after: None },
            Self::Unclear(fault) => Failure::unclear(class, fault),
        }
    }
}

impl Outbound {
    pub(crate) fn new(config: Config) -> Self {
        Self { config: Arc::new(config), guarded: OnceLock::new(), trusting: OnceLock::new() }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What can be said of an address before its name is looked up; the error is the reason it is refused.
    pub(crate) fn may_go(&self, url: &Url) -> Result<(), String> {
        self.config.check(url)
    }

    /// Sends it, following redirects. `trusted` is a URL whose origin may have any address.
    ///
    /// An act is redirected only by 307 and 308, which say that it was not done; the answer to it is otherwise the
    /// redirect itself.
    pub(crate) async fn send(&self, outgoing: Outgoing, trusted: Option<&Url>) -> Result<Answer, NoAnswer> {
        self.follow(outgoing, trusted, |_| Ok(())).await
    }

    /// Sends it to an address of the settings, which may be any, and to no other host.
    pub(crate) async fn send_home(&self, outgoing: Outgoing) -> Result<Answer, NoAnswer> {
        let (home, secrets) = (outgoing.url.clone(), Secrets::of(&outgoing));
        let stays = |next: &Url| {
            if next.origin() == home.origin() {
                return Ok(());
            }
            let message = format!("{} redirects to {}, another host, which is not asked", shown(&home), shown(next));
            Err(NoAnswer::Refused(Fault::new(code::ADDRESS_NOT_ALLOWED, secrets.hide(message))))
        };
        self.follow(outgoing, Some(&home), stays).await
    }

    async fn follow(
        &self,
        mut outgoing: Outgoing,
        trusted: Option<&Url>,
        may_go: impl Fn(&Url) -> Result<(), NoAnswer>,
    ) -> Result<Answer, NoAnswer> {
        for _ in 0..=self.config.redirects_max {
            let response = self.exchange(&outgoing, trusted).await?;
            match redirected(&outgoing, &response)? {
                Some(next) => {
                    may_go(&next.url)?;
                    outgoing = next;
                }
                None => return Answer::read(&outgoing, response, self.config.response_bytes_max).await,
            }
        }
        let message = format!("{} redirected more than {} times", outgoing.shown(), self.config.redirects_max);
        Err(NoAnswer::Refused(Fault::new(code::SERVICE_REJECTED, message)))
    }

    async fn exchange(&self, outgoing: &Outgoing, trusted: Option<&Url>) -> Result<Response, NoAnswer> {
        let is_named = trusted.is_some_and(|trusted| trusted.origin() == outgoing.url.origin());
        let is_trusted = is_named && !self.config.trusts_nobody;
        if !is_trusted {
            self.config.check(&outgoing.url).map_err(|reason| {
                let message = format!("{}: {reason}", outgoing.shown());
                NoAnswer::Refused(Fault::new(code::ADDRESS_NOT_ALLOWED, message))
            })?;
        }
        let client = self.client(is_trusted).map_err(|reason| {
            NoAnswer::NotSent(Fault::new(code::SERVICE_UNAVAILABLE, format!("no HTTP client: {reason}")))
        })?;
        let mut request =
            client.request(outgoing.method.clone(), outgoing.url.clone()).headers(outgoing.headers.clone());
        if let Some(told) = contact::traceparent().filter(|_| !outgoing.headers.contains_key(TRACEPARENT)) {
            request = request.header(TRACEPARENT, told);
        }
        if let Some(body) = &outgoing.body {
            request = request.body(body.clone());
        }
        let before = contact::made();
        request.send().await.map_err(|error| {
            let no_answer = no_answer(&error, &outgoing.shown());
            if matches!(no_answer, NoAnswer::Refused(_)) {
                contact::taken_back(before);
            }
            no_answer
        })
    }

    /// A client for an address that a definition names, whose protocol somebody else speaks. It follows no redirects. One
    /// of the project's own files may be private.
    pub(crate) fn client_for(&self, url: &Url) -> Result<Client, String> {
        if self.config.trusts_nobody {
            self.config.check(url)?;
        }
        self.client(!self.config.trusts_nobody).cloned().map_err(str::to_owned)
    }

    fn client(&self, trusting: bool) -> Result<&Client, &str> {
        let cell = if trusting { &self.trusting } else { &self.guarded };
        let client =
            cell.get_or_init(|| build(Resolver::new(self.config.clone(), trusting)).map_err(|error| why(&error)));
        client.as_ref().map_err(String::as_str)
    }
}

fn build(resolver: Resolver) -> Result<Client, reqwest::Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may have installed one meanwhile, which does as well.
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

fn no_answer(error: &reqwest::Error, from: &str) -> NoAnswer {
    if let Some(forbidden) = resolver::forbidden(error) {
        return NoAnswer::Refused(Fault::new(code::ADDRESS_NOT_ALLOWED, format!("{from}: {forbidden}")));
    }
    let fault = Fault::new(code::SERVICE_UNAVAILABLE, format!("{from}: {}", why(error)));
    if error.is_connect() || error.is_builder() { NoAnswer::NotSent(fault) } else { NoAnswer::Unclear(fault) }
}

/// Where the response sends us, if we go.
fn redirected(outgoing: &Outgoing, response: &Response) -> Result<Option<Outgoing>, NoAnswer> {
    let reads = matches!(outgoing.method, Method::GET | Method::HEAD);
    if !matches!((response.status().as_u16(), reads), (301..=303, true) | (307 | 308, _)) {
        return Ok(None);
    }
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let Some(url) = location.and_then(|location| outgoing.url.join(location).ok()) else { return Ok(None) };
    stays_encrypted(outgoing, &url)?;
    let mut next = Outgoing { url, ..outgoing.clone() };
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

fn stays_encrypted(outgoing: &Outgoing, next: &Url) -> Result<(), NoAnswer> {
    if outgoing.url.scheme() != "https" || next.scheme() == "https" {
        return Ok(());
    }
    let message = format!("{} redirects to {}, which is not encrypted", shown(&outgoing.url), shown(next));
    let message = Secrets::of(outgoing).hide(message);
    Err(NoAnswer::Refused(Fault::new(code::ADDRESS_NOT_ALLOWED, message)))
}

/// A URL for messages: without credentials, query and fragment, which may be private.
pub(crate) fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// Why a request failed, without the URL that its error may carry.
fn why(error: &reqwest::Error) -> String {
    let causes = causes(error);
    if causes.is_empty() { "the request failed".to_owned() } else { causes }
}

#[cfg(test)]
mod tests;
