//! Cross-origin requests (CORS in the Fetch standard). None are allowed unless the settings list the page's origin.
//!
//! API keys are sent in a header that the page itself must set. So no response allows credentials of the browser,
//! such as cookies, for any origin.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str = "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, prefer, \
                          x-provider-key";
const EXPOSED_HEADERS: &str = "etag, idempotency-replayed, location, ratelimit-limit, ratelimit-remaining, ratelimit-reset, \
                     retry-after, www-authenticate, x-baton-budget, x-baton-call, x-baton-cost-usd, x-baton-model, \
                     x-baton-provider, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, \
                     x-ratelimit-reset-requests";
/// How long a browser may cache a preflight response, in seconds.
const MAX_AGE: &str = "600";
const ANY_ORIGIN: &str = "*";

/// The settings under `[serve.cors]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins whose pages may send requests, such as `https://shop.example`. `*` allows every page; requests still
    /// need a key.
    pub origins: Vec<String>,
}

impl CorsConfig {
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.origins.iter().find(|origin| *origin != ANY_ORIGIN && !is_origin(origin)) {
            Some(wrong) => Err(format!(
                "serve.cors.origins: `{wrong}` is no origin; write scheme and host, such as https://shop.example"
            )),
            None => Ok(()),
        }
    }

    /// The origin that the response allows to read it.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if self.origins.is_empty() {
            return None;
        }
        let from = headers.get(ORIGIN)?;
        if self.origins.iter().any(|known| known == ANY_ORIGIN) {
            return Some(HeaderValue::from_static(ANY_ORIGIN));
        }
        self.origins.iter().any(|known| known.as_bytes() == from.as_bytes()).then(|| from.clone())
    }

    pub(crate) fn set_headers(&self, headers: &mut HeaderMap, from: Option<HeaderValue>) {
        if self.origins.is_empty() {
            return;
        }
        // Without `Vary`, a cache could serve one page's response to another.
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(from) = from {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, from);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
        }
    }
}

fn is_origin(text: &str) -> bool {
    let parsed = text.parse::<Uri>().ok().filter(|_| !text.ends_with('/'));
    parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.path_and_query().is_none_or(|path| path.as_str() == "/")
    })
}

/// Whether the request is a CORS preflight.
pub(crate) fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

pub(crate) fn preflight() -> Response {
    let headers = [
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_and_host_and_nothing_more() {
        for good in ["https://shop.example", "http://localhost:5173", "*"] {
            assert_eq!(CorsConfig { origins: vec![good.to_owned()] }.check(), Ok(()), "{good}");
        }
        for wrong in ["shop.example", "https://shop.example/", "https://a/b", "https://u@a", "null", "", "file:///a"] {
            assert!(CorsConfig { origins: vec![wrong.to_owned()] }.check().is_err(), "{wrong}");
        }
    }
}
