//! Counts requests: how many, how they ended, how long until the answer began.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::MatchedPath;
use axum::http::StatusCode;
use metrics::{Counter, Histogram};

/// What a path is called that leads nowhere: callers must not make names of their own.
pub(crate) const NO_ROUTE: &str = "none";

/// The counters that were needed so far: looked up once for each route and status, not for each request. There are as
/// many as the routes of this server have endings.
#[derive(Clone, Default)]
pub(crate) struct RequestCounters(Arc<RwLock<Vec<RouteCounters>>>);

struct RouteCounters {
    route: String,
    status: StatusCode,
    requests: Counter,
    took: Histogram,
}

impl RequestCounters {
    /// An answer that began after so long, at a path that leads somewhere or not.
    pub fn count(&self, matched: Option<&MatchedPath>, status: StatusCode, took: Duration) {
        let route = matched.map_or(NO_ROUTE, MatchedPath::as_str);
        let is_it = |ending: &&RouteCounters| ending.status == status && ending.route == route;
        // What it guards is whole at every moment.
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
