//! Middleware for every request and response: limits on the length of the address and headers, CORS, security
//! headers for browsers, and metrics.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, Entry, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::AccessLogEntry;
use crate::body::body_budget;
use crate::code;
use crate::cors;
use crate::openai;
use crate::problem::HttpProblem;
use crate::request_metrics::RequestCounters;
use crate::routes::is_openai_path;
use crate::state::AppState;
use crate::unknown_key_limiter;

/// Maximum length of path and query together, in bytes.
const ADDRESS_BYTES_MAX: usize = 8 << 10;
/// Maximum size of all headers together, names and values, in bytes.
const HEADER_BYTES_MAX: usize = 32 << 10;

/// Defaults for responses that do not set these headers: no sniffing, no framing, no referrer, no active content,
/// no caching.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];
/// Half a year, in seconds.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=15768000");

pub(crate) async fn request_middleware(
    State((state, counts)): State<(AppState, RequestCounters)>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    // Held at least until the response starts. If the body's data stays in memory longer, as during a streamed
    // response, the handler keeps the share from the request's extensions.
    let _share = body_budget::count_body(&state, &mut request);
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let is_openais = is_openai_path(request.uri());
    let from = state.config.cors.origin(request.headers());
    let access = AccessLogEntry::of(request.method(), request.headers());
    let answer = async {
        match oversized(&request) {
            Some(problem) if is_openais => openai::OpenAiError::from(problem).into_response(),
            Some(problem) => problem.into_response(),
            None if from.is_some() && cors::is_preflight(&request) => cors::preflight(),
            None => unknown_key_limiter::limit(&state, is_openais, request, next).await,
        }
    };
    let mut response = match &access {
        Some(access) => access.scope(answer).await,
        None => answer.await,
    };
    let (status, took) = (response.status(), began.elapsed());
    let headers = response.headers_mut();
    state.config.cors.set_headers(headers, from);
    set_security_headers(headers);
    if state.config.tls.is_some() {
        headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
    }
    if let Some(access) = access {
        access.log_request(headers, matched.as_ref(), status, took);
    }
    counts.count(matched.as_ref(), status, took);
    response
}

fn set_security_headers(headers: &mut HeaderMap) {
    for (name, value) in SECURITY_HEADERS {
        if let Entry::Vacant(place) = headers.entry(name) {
            place.insert(value);
        }
    }
}

fn oversized(request: &Request) -> Option<HttpProblem> {
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    if address > ADDRESS_BYTES_MAX {
        let detail = format!("path and query have {address} bytes; they may have {ADDRESS_BYTES_MAX}");
        let hint = "say long things in the body";
        return Some(HttpProblem::new(StatusCode::URI_TOO_LONG, code::REQUEST_TOO_LARGE, detail).with_hint(hint));
    }
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers > HEADER_BYTES_MAX {
        let detail = format!("the headers have {headers} bytes together; they may have {HEADER_BYTES_MAX}");
        return Some(HttpProblem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, code::REQUEST_TOO_LARGE, detail));
    }
    None
}
