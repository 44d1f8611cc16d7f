//! The access log: one line per request, if it is enabled (`BATON_LOG=baton_server::access=info`). A line carries
//! the route and never the path, because paths contain names of people and secrets. It carries no query, header or
//! body.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use baton_ports::keys::ApiKeyRecord;
use tracing::Level;

use crate::request_metrics::NO_ROUTE;

/// The log target under which the lines are enabled.
const TARGET: &str = "baton_server::access";
/// The caller's id for its request. The response carries it too.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum length of a request id, in characters.
const REQUEST_ID_CHARS_MAX: usize = 128;

tokio::task_local! {
    /// The slot for the caller of the current request, filled after authentication.
    static CALLER: CallerSlot;
}

/// The caller of a request, once it is known.
type CallerSlot = Arc<OnceLock<CallerIdentity>>;

struct CallerIdentity {
    tenant: String,
    key_id: String,
}

/// A request that is logged once it is answered.
pub(crate) struct AccessLogEntry {
    method: Method,
    id: HeaderValue,
    caller: CallerSlot,
}

impl AccessLogEntry {
    /// Returns `None` if the access log is disabled.
    pub fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let is_told = tracing::enabled!(target: TARGET, Level::INFO);
        is_told.then(|| Self { method: method.clone(), id: id(headers), caller: CallerSlot::default() })
    }

    /// Runs the request, with the slot in which authentication records the caller.
    pub async fn scope<T>(&self, answer: impl Future<Output = T>) -> T {
        CALLER.scope(self.caller.clone(), answer).await
    }

    /// Logs the request and sets the request id on the response.
    pub fn log_request(
        &self,
        headers: &mut HeaderMap,
        matched: Option<&MatchedPath>,
        status: StatusCode,
        took: Duration,
    ) {
        let who = self.caller.get();
        tracing::info!(
            target: TARGET,
            method = method_name(&self.method),
            route = matched.map_or(NO_ROUTE, MatchedPath::as_str),
            status = status.as_u16(),
            duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            tenant = who.map(|who| who.tenant.as_str()),
            key_id = who.map(|who| who.key_id.as_str()),
            request_id = self.id.to_str().unwrap_or_default(),
            "answered"
        );
        headers.insert(REQUEST_ID, self.id.clone());
    }
}

/// Records the caller of the current request, if the request is logged.
pub(crate) fn record_caller(key: &ApiKeyRecord) {
    // A stream authenticates again outside the scope of its request, which is already logged.
    let _ =
        CALLER.try_with(|asker| asker.set(CallerIdentity { tenant: key.tenant.to_string(), key_id: key.id.clone() }));
}

/// The caller's request id if it is valid, otherwise a new one.
fn id(headers: &HeaderMap) -> HeaderValue {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_one = |value: &&HeaderValue| {
        (1..=REQUEST_ID_CHARS_MAX).contains(&value.len()) && value.as_bytes().iter().all(is_plain)
    };
    let minted = || HeaderValue::try_from(uuid::Uuid::now_v7().to_string());
    match headers.get(&REQUEST_ID).filter(is_one) {
        Some(own) => own.clone(),
        None => minted().unwrap_or_else(|_| HeaderValue::from_static("-")),
    }
}

/// Maps unknown methods to `OTHER`, so that callers cannot add values of their own.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_own_id_is_taken_where_it_is_plain_and_short() {
        let of = |value: &'static str| {
            id(&[(REQUEST_ID, HeaderValue::from_static(value))].into_iter().collect())
                .to_str()
                .expect("text")
                .to_owned()
        };
        assert_eq!(of("order-7.retry_1"), "order-7.retry_1");
        for other in ["", "two words", "a=b&c", "<script>"] {
            assert_ne!(of(other), other);
        }
        let long: &'static str = "x".repeat(REQUEST_ID_CHARS_MAX + 1).leak();
        assert_eq!(of(long).len(), 36);
        assert_ne!(id(&HeaderMap::new()), id(&HeaderMap::new()));
    }
}
