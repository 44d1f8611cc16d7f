//! The connections to one server. Each tenant has its own, shared by all of its calls, so the state that a server
//! keeps per client, and the people it asks, stay within the tenant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use baton_core::id::TenantId;
use serde_json::Map;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::session::{McpCallOutcome, McpSession};
use super::{McpSource, McpToolListing, content};
use crate::code;
use crate::config::BoundSecret;
use crate::outbound::OutboundClient;
use crate::reach_tracker;
use crate::request::PreparedRequest;
use crate::tool_error::ToolError;

/// Time-out of connecting, including the start of a program. It is independent of the time-out of the call that needs
/// the connection first.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Delays after a connection that failed or broke: doubled each time, up to the longest.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A connection that lasted this long does not count as failed.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// Maximum number of connections to one server. Beyond it, the idle connection that was least recently
/// used is closed.
const TENANTS_MAX: usize = 32;
/// Time-out of refreshing the list of tools.
const LIST_LIMIT: Duration = Duration::from_secs(30);

/// A new connection, or the reason why there is none.
type SessionResult = Result<Arc<McpSession>, String>;

/// Called with the current tools of a server.
type ListingCallback = Box<dyn Fn(&McpSource, &McpToolListing) + Send + Sync>;

pub(crate) struct McpConnectionPool {
    pub(crate) source: McpSource,
    secrets: Arc<BTreeMap<String, BoundSecret>>,
    outbound: Arc<OutboundClient>,
    connections: Mutex<BTreeMap<TenantId, Arc<TenantConnection>>>,
    publish: OnceLock<ListingCallback>,
}

/// The current connection of one tenant.
#[derive(Default)]
struct TenantConnection(Mutex<McpConnectionState>);

impl TenantConnection {
    fn state(&self) -> MutexGuard<'_, McpConnectionState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when it was last used, if no call uses it now.
    fn idle_since(self: &Arc<Self>) -> Option<Instant> {
        let state = self.state();
        let is_called = |(session, _): &(Arc<McpSession>, Instant)| Arc::strong_count(session) > 1;
        let is_used =
            Arc::strong_count(self) > 1 || state.opening.is_some() || state.session.as_ref().is_some_and(is_called);
        (!is_used).then_some(state.last_used).flatten()
    }
}

#[derive(Default)]
struct McpConnectionState {
    session: Option<(Arc<McpSession>, Instant)>,
    /// A connection in progress. All callers that need one wait for it, and it continues after they have gone.
    opening: Option<watch::Receiver<Option<SessionResult>>>,
    failures: u32,
    last_used: Option<Instant>,
    /// The earliest time of the next attempt, and why.
    retry: Option<(Instant, String)>,
}

impl McpConnectionState {
    /// Returns the connection if it is alive. A broken one counts as a failure, unless it lasted for a while.
    fn live_session(&mut self) -> Option<Arc<McpSession>> {
        let (session, since) = self.session.as_ref()?;
        if !session.is_closed() {
            return Some(session.clone());
        }
        let held = since.elapsed() >= STABLE_AFTER;
        self.session = None;
        if held {
            self.failures = 0;
        } else {
            self.failed("the connection broke");
        }
        None
    }

    /// Drops a connection on which a question could not be attributed to a call, if no call uses it now.
    fn drop_ambiguous(&mut self) {
        self.session.take_if(|(session, _)| session.is_ambiguous() && Arc::strong_count(session) == 1);
    }

    /// Returns whether connecting may be tried now; the error says why not.
    fn may_open(&self) -> Result<(), String> {
        let Some((until, reason)) = &self.retry else { return Ok(()) };
        match until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(format!("{reason}; it is tried again in {} s", wait.as_secs() + 1)),
            None => Ok(()),
        }
    }

    fn failed(&mut self, reason: &str) {
        let wait = WAIT_FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        self.retry = Some((Instant::now() + wait, reason.to_owned()));
    }
}

impl McpConnectionPool {
    pub(crate) fn new(
        source: McpSource,
        secrets: Arc<BTreeMap<String, BoundSecret>>,
        outbound: Arc<OutboundClient>,
    ) -> Self {
        Self { source, secrets, outbound, connections: Mutex::default(), publish: OnceLock::new() }
    }

    /// Sets the callback for a changed list. Only the first one set is used.
    pub(crate) fn on_listing(&self, publish: impl Fn(&McpSource, &McpToolListing) + Send + Sync + 'static) {
        let _ = self.publish.set(Box::new(publish));
    }

    /// Performs one call of one tool.
    pub(crate) async fn call(
        self: &Arc<Self>,
        tool: &str,
        request: &PreparedRequest,
    ) -> Result<serde_json::Value, ToolError> {
        let (name, class) = (&request.call.tool, request.call.class);
        reach_tracker::mark_reached();
        // Until there is a connection nothing has been sent, however long that takes.
        let replies = &request.call.replies;
        let asking = self.source.question_policy(tool, class);
        // Its questions must not be confused with those of other calls.
        let alone = !replies.is_empty() || self.source.asks_first(tool);
        loop {
            let session =
                request.before_sending(self.session(&request.call.tenant, alone)).await.map_err(|reason| {
                    let message = format!("the MCP server `{}` cannot be reached: {reason}", self.source.name());
                    ToolError::transient(code::SERVICE_UNAVAILABLE, message)
                })?;
            let _turn = request.before_sending(session.lock(alone)).await;
            // A call that this one waited for may have been given up. Each round ends in a wait that the call's
            // time-out bounds.
            if alone && session.is_ambiguous() {
                self.abandon(&request.call.tenant, &session);
                continue;
            }
            let arguments = request.call.arguments.as_object().cloned().unwrap_or_else(Map::new);
            let called: Result<McpCallOutcome, _> = session.call(tool, arguments, replies, asking).await;
            return called
                .map_err(|error| content::failure(name, &error, &session.describe_error(&error), class))
                .and_then(|called| content::answer(name, called, class, asking));
        }
    }

    /// Makes the tenant's next call open another connection. Calls that hold this one keep it.
    fn abandon(&self, tenant: &TenantId, session: &Arc<McpSession>) {
        let lines = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(tenant) {
            line.state().session.take_if(|(kept, _)| Arc::ptr_eq(kept, session));
        }
    }

    /// Returns the current connection, or a new one unless connecting failed recently. If questions must be
    /// attributable (`clear`), a connection on which a call was given up is replaced as soon as no call uses it.
    async fn session(self: &Arc<Self>, tenant: &TenantId, clear: bool) -> SessionResult {
        let line = self.connection(tenant)?;
        let mut opening = {
            let mut state = line.state();
            state.last_used = Some(Instant::now());
            if clear {
                state.drop_ambiguous();
            }
            if let Some(session) = state.live_session() {
                return Ok(session);
            }
            match &state.opening {
                Some(opening) => opening.clone(),
                None => {
                    state.may_open()?;
                    let (opened, opening) = watch::channel(None);
                    state.opening = Some(opening.clone());
                    tokio::spawn(self.open(&line, opened));
                    opening
                }
            }
        };
        let opened = opening.wait_for(Option::is_some).await.map(|opened| opened.clone());
        opened.ok().flatten().unwrap_or_else(|| {
            line.state().opening = None;
            Err("the start of the connection broke off".to_owned())
        })
    }

    /// Returns the tenant's connection, evicting another one if needed.
    fn connection(&self, tenant: &TenantId) -> Result<Arc<TenantConnection>, String> {
        let mut lines = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(tenant) {
            return Ok(line.clone());
        }
        if lines.len() >= TENANTS_MAX {
            let idle = lines.iter().filter_map(|(tenant, line)| Some((line.idle_since()?, tenant.clone())));
            let Some((_, oldest)) = idle.min() else {
                return Err(format!("{TENANTS_MAX} tenants are calling it, and each has a connection of its own"));
            };
            lines.remove(&oldest);
        }
        Ok(lines.entry(tenant.clone()).or_default().clone())
    }

    /// Opens a connection in the background: a call that is given up does not stop the start of a program.
    fn open(
        self: &Arc<Self>,
        line: &Arc<TenantConnection>,
        opened: watch::Sender<Option<SessionResult>>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (source, secrets, outbound) = (self.source.clone(), self.secrets.clone(), self.outbound.clone());
        let (link, line) = (Arc::downgrade(self), line.clone());
        async move {
            let (changed, notices) = mpsc::channel(1);
            let session = McpSession::open(&source, &secrets, &outbound, Some(changed.clone()));
            let session = tokio::time::timeout(START_LIMIT, session).await;
            let session = session.unwrap_or_else(|_| Err(format!("no connection within {} s", START_LIMIT.as_secs())));
            let session = session.map(Arc::new);
            // No caller is left.
            let Some(link) = link.upgrade() else { return };
            let mut state = line.state();
            state.opening = None;
            match &session {
                Ok(session) => {
                    state.session = Some((session.clone(), Instant::now()));
                    state.retry = None;
                    // The known tools may be older than the connection.
                    let _ = changed.try_send(());
                    tokio::spawn(relist(Arc::downgrade(&link), Arc::downgrade(session), notices));
                }
                Err(reason) => state.failed(reason),
            }
            drop(state);
            let _ = opened.send(Some(session));
        }
    }
}

/// Refreshes the list whenever it may have changed, for as long as the connection is used.
async fn relist(link: Weak<McpConnectionPool>, session: Weak<McpSession>, mut notices: mpsc::Receiver<()>) {
    while notices.recv().await.is_some() {
        let (Some(link), Some(session)) = (link.upgrade(), session.upgrade()) else { return };
        if let (Ok(Ok(listing)), Some(publish)) =
            (tokio::time::timeout(LIST_LIMIT, session.list()).await, link.publish.get())
        {
            publish(&link.source, &listing);
        }
    }
}
