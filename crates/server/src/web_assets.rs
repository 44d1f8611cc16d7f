//! The web page, embedded in the binary.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, VARY};
use axum::http::header::{X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "../../web/dist"]
struct WebAssets;

const INDEX_PAGE: &str = "index.html";
/// The names of files below this path contain a hash of their contents.
const HASHED: &str = "assets/";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The compressed variants of text files, the smaller first: file extension, and name in `Accept-Encoding`.
const ENCODINGS: [(&str, &str); 2] = [("br", "br"), ("gz", "gzip")];

/// Serves a file of the page, or the page itself for a browser navigation. The page maps the address to a screen.
pub(crate) fn serve_path(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let name = path.trim_start_matches('/');
    // Compressed files are sent in place of their text, and never under their own name.
    if let Some(file) = WebAssets::get(name).filter(|_| !is_compressed(name)) {
        return Some(answer(name, file, headers));
    }
    let wants_a_page = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accepts| accepts.split(',').any(|kind| kind.trim().starts_with("text/html")));
    let is_programs = name == "v1" || name.starts_with("v1/") || name.starts_with("api/") || name.starts_with(HASHED);
    if is_programs || !(wants_a_page || name.is_empty()) {
        return None;
    }
    WebAssets::get(INDEX_PAGE).map(|file| answer(INDEX_PAGE, file, headers))
}

fn answer(name: &str, plain: EmbeddedFile, asked: &HeaderMap) -> Response {
    let packed: Vec<(&str, EmbeddedFile)> =
        ENCODINGS.iter().filter_map(|(kind, word)| Some((*word, WebAssets::get(&format!("{name}.{kind}"))?))).collect();
    let differs = !packed.is_empty();
    let chosen = packed.into_iter().find(|(word, _)| accepts_encoding(asked, word));
    let (encoding, file) = chosen.map_or((None, plain), |(word, file)| (Some(word), file));
    let tag = tag(&file.metadata.sha256_hash());
    let keeps = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut headers = HeaderMap::new();
    let mut say = |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    say(CONTENT_TYPE, content_type(name));
    say(CACHE_CONTROL, keeps);
    say(CONTENT_SECURITY_POLICY, POLICY);
    say(X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(X_FRAME_OPTIONS, "DENY");
    say(REFERRER_POLICY, "no-referrer");
    if differs {
        say(VARY, "accept-encoding");
    }
    if let Some(word) = encoding {
        say(CONTENT_ENCODING, word);
    }
    if let Ok(value) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, value);
    }
    if etag_matches(asked, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    // Embedded bytes are sent without a copy.
    let body = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    (headers, body).into_response()
}

fn is_compressed(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, kind)| ENCODINGS.iter().any(|(packed, _)| kind == *packed))
}

/// Whether the client accepts this encoding (RFC 9110 §12.5.3): it or `*` is listed, and not with a weight of 0.
fn accepts_encoding(asked: &HeaderMap, encoding: &str) -> bool {
    let mut any = false;
    for part in header_items(asked, ACCEPT_ENCODING) {
        let (word, weight) = part.split_once(';').unwrap_or((part, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
        let takes = weight.is_none_or(|weight| weight > 0.0);
        match word.trim() {
            word if word.eq_ignore_ascii_case(encoding) => return takes,
            "*" => any = takes,
            _ => {}
        }
    }
    any
}

/// Whether the client has the current version.
fn etag_matches(asked: &HeaderMap, tag: &str) -> bool {
    header_items(asked, IF_NONE_MATCH).any(|kept| kept == "*" || kept.strip_prefix("W/").unwrap_or(kept) == tag)
}

/// The elements of a list header, over all its lines.
fn header_items(asked: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = asked.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|part| !part.is_empty())
}

/// The `ETag` of the bytes as they are sent: each compressed variant has its own.
fn tag(hash: &[u8; 32]) -> String {
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
