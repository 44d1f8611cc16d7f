//! The connections to one server: each tenant has its own, which all of its calls share. What a server keeps of those it
//! speaks with, and whom it asks, stays within the tenant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use baton_core::id::TenantId;
use serde_json::Map;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::session::{Called, Session};
use super::{Listing, Source, content};
use crate::code;
use crate::config::Bound;
use crate::contact;
use crate::failure::Failure;
use crate::outbound::Outbound;
use crate::request::Request;

/// Connecting, with the start of a program: its own time, whatever the time-out of the call that wants it first.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The wait after a connection that failed or broke: doubled each time, up to the longest.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// A connection that held so long is not counted as one that failed.
const HELD: Duration = Duration::from_secs(60);
/// Connections to one server. Beyond them, that of the tenant who called longest ago makes room.
const TENANTS_MAX: usize = 32;
/// Asking for the list anew.
const LIST_LIMIT: Duration = Duration::from_secs(30);

/// A new connection, or the reason there is none.
type Opened = Result<Arc<Session>, String>;

/// Who is told what tools a server has now.
type Publish = Box<dyn Fn(&Source, &Listing) + Send + Sync>;

pub(crate) struct Link {
    pub(crate) source: Source,
    secrets: Arc<BTreeMap<String, Bound>>,
    outbound: Arc<Outbound>,
    lines: Mutex<BTreeMap<TenantId, Arc<Line>>>,
    publish: OnceLock<Publish>,
}

/// One tenant's connection, as it is now.
#[derive(Default)]
struct Line(Mutex<State>);

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it was wanted last, if nobody uses it now.
    fn idle_since(self: &Arc<Self>) -> Option<Instant> {
        let state = self.state();
        let is_called = |(session, _): &(Arc<Session>, Instant)| Arc::strong_count(session) > 1;
        let is_used =
            Arc::strong_count(self) > 1 || state.opening.is_some() || state.session.as_ref().is_some_and(is_called);
        (!is_used).then_some(state.wanted).flatten()
    }
}

#[derive(Default)]
struct State {
    session: Option<(Arc<Session>, Instant)>,
    /// One that is being made; all who want one wait for it, and it goes on when they have gone.
    opening: Option<watch::Receiver<Option<Opened>>>,
    failures: u32,
    wanted: Option<Instant>,
    /// Not before this is it tried again, and why.
    waits: Option<(Instant, String)>,
}

impl State {
    /// The connection, if there is one that holds. One that broke counts as a failure, unless it held for a while.
    fn live(&mut self) -> Option<Arc<Session>> {
        let (session, since) = self.session.as_ref()?;
        if !session.is_closed() {
            return Some(session.clone());
        }
        let held = since.elapsed() >= HELD;
        self.session = None;
        if held {
            self.failures = 0;
        } else {
            self.failed("the connection broke");
        }
        None
    }

    /// Gives up a connection on which nobody could tell whose a question is, if nobody uses it now.
    fn leave_muddle(&mut self) {
        self.session.take_if(|(session, _)| session.is_muddled() && Arc::strong_count(session) == 1);
    }

    /// Whether it may be tried now; the error says why not yet.
    fn may_open(&self) -> Result<(), String> {
        let Some((until, reason)) = &self.waits else { return Ok(()) };
        match until.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(format!("{reason}; it is tried again in {} s", wait.as_secs() + 1)),
            None => Ok(()),
        }
    }

    fn failed(&mut self, reason: &str) {
        let wait = WAIT_FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        self.waits = Some((Instant::now() + wait, reason.to_owned()));
    }
}

impl Link {
    pub(crate) fn new(source: Source, secrets: Arc<BTreeMap<String, Bound>>, outbound: Arc<Outbound>) -> Self {
        Self { source, secrets, outbound, lines: Mutex::default(), publish: OnceLock::new() }
    }

    /// Says who hears of another list. The first to say so counts.
    pub(crate) fn publishing(&self, publish: impl Fn(&Source, &Listing) + Send + Sync + 'static) {
        let _ = self.publish.set(Box::new(publish));
    }

    /// One call of one tool.
    pub(crate) async fn call(self: &Arc<Self>, tool: &str, request: &Request) -> Result<serde_json::Value, Failure> {
        let (name, class) = (&request.call.tool, request.call.class);
        contact::made();
        // Until there is a connection nothing has gone out, however long that takes.
        let replies = &request.call.replies;
        let asking = self.source.asking(tool, class);
        // Its questions must be told apart from those of other calls.
        let alone = !replies.is_empty() || self.source.asks_first(tool);
        loop {
            let session =
                request.before_sending(self.session(&request.call.tenant, alone)).await.map_err(|reason| {
                    let message = format!("the MCP server `{}` cannot be reached: {reason}", self.source.name());
                    Failure::later(code::SERVICE_UNAVAILABLE, message)
                })?;
            let _turn = request.before_sending(session.turn(alone)).await;
            // A call may have been given up on it by those it waited for. Each round ends in a wait that the call's time bounds.
            if alone && session.is_muddled() {
                self.leave(&request.call.tenant, &session);
                continue;
            }
            let arguments = request.call.arguments.as_object().cloned().unwrap_or_else(Map::new);
            let called: Result<Called, _> = session.call(tool, arguments, replies, asking).await;
            return called
                .map_err(|error| content::failure(name, &error, &session.told(&error), class))
                .and_then(|called| content::answer(name, called, class, asking));
        }
    }

    /// The next call of the tenant gets another connection. Those that have this one keep it.
    fn leave(&self, tenant: &TenantId, session: &Arc<Session>) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(tenant) {
            line.state().session.take_if(|(kept, _)| Arc::ptr_eq(kept, session));
        }
    }

    /// The connection there is, or a new one unless it failed a little while ago. Where questions must be told apart
    /// (`clear`), one on which a call was given up makes room for a new one as soon as nobody uses it.
    async fn session(self: &Arc<Self>, tenant: &TenantId, clear: bool) -> Opened {
        let line = self.line(tenant)?;
        let mut opening = {
            let mut state = line.state();
            state.wanted = Some(Instant::now());
            if clear {
                state.leave_muddle();
            }
            if let Some(session) = state.live() {
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

    /// The tenant's, with room made for it.
    fn line(&self, tenant: &TenantId) -> Result<Arc<Line>, String> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Makes a connection, beside whoever waits for it: a call that is given up does not end the start of a program.
    fn open(
        self: &Arc<Self>,
        line: &Arc<Line>,
        opened: watch::Sender<Option<Opened>>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (source, secrets, outbound) = (self.source.clone(), self.secrets.clone(), self.outbound.clone());
        let (link, line) = (Arc::downgrade(self), line.clone());
        async move {
            let (changed, notices) = mpsc::channel(1);
            let session = Session::open(&source, &secrets, &outbound, Some(changed.clone()));
            let session = tokio::time::timeout(START_LIMIT, session).await;
            let session = session.unwrap_or_else(|_| Err(format!("no connection within {} s", START_LIMIT.as_secs())));
            let session = session.map(Arc::new);
            // Nobody can call it any more.
            let Some(link) = link.upgrade() else { return };
            let mut state = line.state();
            state.opening = None;
            match &session {
                Ok(session) => {
                    state.session = Some((session.clone(), Instant::now()));
                    state.waits = None;
                    // What is known of its tools may be older than it is.
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

/// Asks for the list whenever it may be another, for as long as the connection is used.
async fn relist(link: Weak<Link>, session: Weak<Session>, mut notices: mpsc::Receiver<()>) {
    while notices.recv().await.is_some() {
        let (Some(link), Some(session)) = (link.upgrade(), session.upgrade()) else { return };
        if let (Ok(Ok(listing)), Some(publish)) =
            (tokio::time::timeout(LIST_LIMIT, session.list()).await, link.publish.get())
        {
            publish(&link.source, &listing);
        }
    }
}
