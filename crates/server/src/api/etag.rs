//! `ETag` and `If-Match`: a change applies to the version that its author has read, or not at all.

use axum::http::header::{ETAG, HeaderValue, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::code;
use crate::problem::HttpProblem;

/// Sets the number of changes as the `ETag`.
pub(super) fn set_etag(response: &mut Response, changes: u64) {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{changes}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
}

/// The version that the request expects, or `None` if the request has no precondition.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, HttpProblem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let changes = tag.and_then(|tag| tag.parse().ok());
    changes.map(Some).ok_or_else(|| HttpProblem::invalid_parameter("If-Match", "it is one `ETag`, as it was answered"))
}

pub(super) fn precondition_failed(what: &str) -> HttpProblem {
    let detail = format!("{what} was changed since it was read");
    HttpProblem::new(StatusCode::PRECONDITION_FAILED, code::CHANGED_MEANWHILE, detail)
        .with_hint("read it again, and send the change with its new ETag")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_as_it_was_said() {
        let of = |value: &'static str| {
            let headers: HeaderMap = [(IF_MATCH, HeaderValue::from_static(value))].into_iter().collect();
            if_match(&headers)
        };
        assert!(matches!(of("\"7\""), Ok(Some(7))) && matches!(of("*"), Ok(None)));
        assert!(matches!(if_match(&HeaderMap::new()), Ok(None)));
        assert!(of("7").is_err() && of("\"7\", \"8\"").is_err() && of("W/\"7\"").is_err());
    }
}
