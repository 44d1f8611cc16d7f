//! Request metrics: number, status, and time until the response starts.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::StatusCode;
use metrics::{Counter, Histogram};

/// The route label of paths without a route, so that callers cannot create labels.
pub(crate) const NO_ROUTE: &str = "none";

/// The counters in use, looked up once per route and status instead of per request. Their number is bounded by the
/// routes and statuses of this server.
#[derive(Clone, Default)]
pub(crate) struct RequestCounters(Arc<RwLock<Vec<RouteCounters>>>);

struct RouteCounters {
    route: String,
    status: StatusCode,
    requests: Counter,
    took: Histogram,
}

impl RequestCounters {
    /// Counts a response that started after this time. `matched` is `None` if no route matched.
    pub fn count(&self, matched: Option<&MatchedPath>, status: StatusCode, took: Duration) {
        let route = matched.map_or(NO_ROUTE, MatchedPath::as_str);
        let is_it = |ending: &&RouteCounters| ending.status == status && ending.route == route;
        // A poisoned lock is safe to use, because each operation leaves the list consistent.
        if let Some(ending) = self.0.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_it) {
            return ending.count(took);
        }
        let ending = RouteCounters::for_route(route, status);
        ending.count(took);
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(ending);
    }
}

impl RouteCounters {
    fn for_route(route: &str, status: StatusCode) -> Self {
        let (route, word) = (route.to_owned(), status.as_str().to_owned());
        Self {
            requests: metrics::counter!("http_requests_total", "route" => route.clone(), "status" => word),
            took: metrics::histogram!("http_request_duration_seconds", "route" => route.clone()),
            route,
            status,
        }
    }

    fn count(&self, took: Duration) {
        self.requests.increment(1);
        self.took.record(took);
    }
}
