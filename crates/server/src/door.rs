//! What the doors lean on.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::HeaderMap;
use baton_core::definition::Catalog;
use baton_core::id::TenantId;
use baton_core::time::{Time, TimeZone};
use baton_engine::outgoing::Outgoing;
use baton_engine::roster::{Roster, Standing};
use baton_engine::settings::Settings;
use baton_engine::triggers::Triggers;
use baton_engine::{Desks, Engine};
use baton_ports::audit::Audit;
use baton_ports::budget::{Allowed, Budget};
use baton_ports::catalogue::Catalogue;
use baton_ports::circuits::Circuits;
use baton_ports::clock::Clock;
use baton_ports::connections::Connections;
use baton_ports::decisions::Decisions;
use baton_ports::embed::Embedder;
use baton_ports::erasure::Erasure;
use baton_ports::keys::{Hash, Key, Keys, Role};
use baton_ports::mail::Mail;
use baton_ports::memory::{Knowledge, Memory};
use baton_ports::models::Models;
use baton_ports::read::Read;
use baton_ports::records::Records;
use baton_ports::registry::Registry;
use baton_ports::sources::Sources;
use baton_ports::tools::Tools;
use futures::future::BoxFuture;
use tokio::sync::{Semaphore, watch};

use crate::access;
use crate::auth::{Bearer, Known, Refused};
use crate::body::budget::BodyBudget;
use crate::config::Config;
use crate::following::Followers;
use crate::jwt::Judge;
use crate::problem::Problem;
use crate::rate::{self, NoTurn};
use crate::ready::{Check, Checks};
use crate::strangers::Strangers;

/// Bytes of one request's body, unless a process says otherwise.
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;

/// What one process takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way; one more is answered 503.
    pub requests: usize,
    /// Runs that are followed live; one more is answered 503.
    pub streams: usize,
    /// Of them, those of one tenant; one more is answered 503, and leaves room for others.
    pub streams_of_one: usize,
    /// Bytes of one request's body; a larger one is answered 413.
    pub body_bytes: usize,
    /// Bytes of all bodies together, of requests that are read or not answered yet; one that comes beyond them is answered
    /// 503.
    pub bodies_bytes: usize,
    /// How long a connection may take to say a request's headers, and may be idle between requests.
    pub headers: Duration,
    /// How long it may take to bring a request's body; one that takes longer is answered 408.
    pub body: Duration,
    /// The longest a model may take to answer a request.
    pub answer: Duration,
    /// How long requests under way may take once the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 4_096,
            streams: 1_024,
            streams_of_one: 256,
            body_bytes: BODY_BYTES_MAX,
            bodies_bytes: 256 << 20,
            headers: Duration::from_secs(30),
            body: Duration::from_secs(60),
            answer: Duration::from_secs(600),
            drain: Duration::from_secs(30),
        }
    }
}

/// Writes the process's metrics, as they are when it is asked, in Prometheus's text form.
pub type Metrics = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// Takes in somebody who comes back from connecting an account, with the state that their request was given.
pub type Returning = Arc<dyn Fn(String) -> BoxFuture<'static, Returned> + Send + Sync>;

/// What coming back came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    Connected,
    /// The service says that it is not connected yet.
    Unfinished,
    /// The state is not known, was used, or is too old.
    Unknown,
    /// How it stands cannot be said now.
    Unclear,
}

/// Where runs are begun, looked at and acted on.
pub struct Work {
    pub engine: Engine,
    pub read: Arc<dyn Read>,
    pub registry: Arc<dyn Registry>,
    pub records: Arc<dyn Records>,
    pub decisions: Arc<dyn Decisions>,
    /// The tenants' agents.
    pub roster: Arc<Roster>,
    /// What the project's files hold now.
    pub files: watch::Receiver<Arc<Files>>,
    /// Who tells subscribers.
    pub outgoing: Outgoing,
    /// Whose work this server is for, where an address does not say.
    pub tenant: TenantId,
    /// The IANA time zone of runs whose context says none.
    pub zone: Option<String>,
    /// Replies of models come from files.
    pub scripted: bool,
}

/// What of a project's files the doors have a use for, as they were last read.
#[derive(Debug, Default)]
pub struct Files {
    /// Whose they are.
    pub tenant: Option<TenantId>,
    /// Its agents, and the tools of all; no workflows.
    pub catalog: Catalog,
    /// Agents that its own files define: nobody registers another under such a name.
    pub own_agents: BTreeSet<String>,
    /// Workflows to begin from.
    pub templates: Vec<Template>,
    /// Whoever made a version is not who activates it.
    pub four_eyes: bool,
}

/// A workflow to begin from.
#[derive(Clone, Copy, Debug)]
pub struct Template {
    pub name: &'static str,
    /// In YAML.
    pub text: &'static str,
}

/// Says in which time zone a tenant's days and weeks are.
pub type ZoneOf = Arc<dyn Fn(&TenantId) -> TimeZone + Send + Sync>;

/// Says in which language a tenant's customers are spoken to where their own is not known, by its IETF tag.
pub type LanguageOf = Arc<dyn Fn(&TenantId) -> &'static str + Send + Sync>;

/// What people look at and set who run the house: tools, money, models that fail, the audit trail.
pub struct House {
    pub tools: Arc<dyn Tools>,
    /// The same tools, as they are shown.
    pub catalogue: Arc<dyn Catalogue>,
    pub connections: Arc<dyn Connections>,
    /// Where tools come from.
    pub sources: Arc<dyn Sources>,
    pub zone_of: ZoneOf,
    pub language_of: LanguageOf,
    pub budget: Arc<dyn Budget>,
    /// What the settings allow to be spent.
    pub allowed: Arc<dyn Allowed>,
    pub circuits: Arc<dyn Circuits>,
    pub audit: Arc<dyn Audit>,
    pub erasure: Arc<dyn Erasure>,
    pub memory: Arc<dyn Memory>,
    pub knowledge: Arc<dyn Knowledge>,
    /// What makes the vectors of memory.
    pub embedder: Arc<dyn Embedder>,
    pub keys: Arc<dyn Keys>,
    pub mint: Mint,
    /// What tenants set for themselves.
    pub settings: Arc<Settings>,
    /// Who sends letters of Baton's own.
    pub mail: Arc<dyn Mail>,
}

/// A key that is not kept yet: its row, its hash, and the secret that is shown once.
pub struct NewKey {
    pub key: Key,
    pub hash: Hash,
    pub secret: String,
}

/// Makes a key of a tenant's with a name and a role, for so many days; in place of another, it is like that one in all else.
///
/// It fails where no random bytes can be had.
pub type Mint = Arc<
    dyn Fn(&TenantId, &str, Role, u32, Option<&Key>) -> Result<NewKey, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync,
>;

impl Work {
    /// What keeps triggers, and begins their runs.
    pub(crate) fn triggers(&self) -> Triggers {
        Triggers {
            engine: self.engine.clone(),
            registry: self.registry.clone(),
            records: self.records.clone(),
            read: self.read.clone(),
            zone: self.zone.clone(),
        }
    }
}

/// Everything the doors lean on. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

pub struct Inner {
    pub models: Arc<dyn Models>,
    pub clock: Arc<dyn Clock>,
    pub keys: Known,
    pub metrics: Metrics,
    /// Nothing where no runs are begun here.
    pub work: OnceLock<Work>,
    /// Nothing where nobody runs the house from here.
    pub house: OnceLock<House>,
    /// Nothing where no accounts are connected.
    pub returning: OnceLock<Returning>,
    pub limits: Limits,
    pub config: Config,
    pub(crate) strangers: Strangers,
    /// When this door was made.
    pub began: Time,
    checks: OnceLock<Checks>,
    /// One permit a request under way.
    pub room: Arc<Semaphore>,
    /// Bytes of bodies that are held.
    pub(crate) bodies: BodyBudget,
    /// Who follows a run live.
    pub followers: Followers,
    /// Told where schedules or subscriptions were changed here.
    pub fresh: watch::Sender<()>,
    /// Whether the server is stopping: what waits need not be waited for.
    pub stopping: watch::Sender<bool>,
    /// How often tenants may ask; nothing: as often as they like.
    pub roster: OnceLock<Arc<Roster>>,
    /// Tenants' desks, as they were last looked at.
    pub desks: Desks,
}

impl Door {
    pub fn new(
        models: Arc<dyn Models>,
        keys: Arc<dyn Keys>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        limits: Limits,
        config: Config,
    ) -> Self {
        let room = Arc::new(Semaphore::new(limits.requests));
        let followers = Followers::new(limits.streams, limits.streams_of_one);
        let began = clock.now();
        Self(Arc::new(Inner {
            models,
            keys: Known::new(keys, clock.clone(), &config),
            clock,
            metrics,
            work: OnceLock::new(),
            house: OnceLock::new(),
            returning: OnceLock::new(),
            limits,
            config,
            strangers: Strangers::default(),
            began,
            checks: OnceLock::new(),
            room,
            bodies: BodyBudget::new(limits.bodies_bytes),
            followers,
            fresh: watch::Sender::new(()),
            stopping: watch::Sender::new(false),
            roster: OnceLock::new(),
            desks: Desks::default(),
        }))
    }

    /// The same, where tenants may ask as often as their tiers let them.
    #[must_use]
    pub fn by_tiers(self, roster: Arc<Roster>) -> Self {
        // The first that was named stays.
        let _ = self.0.roster.set(roster);
        self
    }

    /// The same, with runs behind it.
    #[must_use]
    pub fn with_work(self, work: Work) -> Self {
        // The first that was named stays.
        let _ = self.0.work.set(work);
        self
    }

    /// The same, where tokens of an identity provider's are taken beside keys.
    #[must_use]
    pub fn with_tokens(self, judge: Judge) -> Self {
        // The first that was named stays.
        let _ = self.keys.tokens.set(judge);
        self
    }

    /// The same, with what it leans on, for whoever asks whether it is ready.
    #[must_use]
    pub fn with_checks(self, checks: Vec<Check>) -> Self {
        // The first that were named stay.
        let _ = self.checks.set(Checks::new(checks));
        self
    }

    pub(crate) fn checks(&self) -> &Checks {
        self.checks.get_or_init(|| Checks::new(Vec::new()))
    }

    pub(crate) fn work(&self) -> Result<&Work, Problem> {
        self.0.work.get().ok_or_else(Problem::nothing_here)
    }

    /// The same, with a house that is run from here.
    #[must_use]
    pub fn with_house(self, house: House) -> Self {
        // The first that was named stays.
        let _ = self.0.house.set(house);
        self
    }

    pub(crate) fn house(&self) -> Result<&House, Problem> {
        self.0.house.get().ok_or_else(Problem::nothing_here)
    }

    /// Ready once the server is told to stop.
    pub(crate) async fn stopped(&self) {
        // Its sender lives as long as the door does.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// The key a request brings, if it opens this door and its tenant is not shut.
    pub(crate) async fn bearer(&self, headers: &HeaderMap) -> Result<Arc<Bearer>, Refused> {
        let bearer = self.keys.bearer(headers).await?;
        access::by(&bearer);
        match self.roster.get() {
            Some(roster) if !roster.tenants().is_open(&bearer.tenant, self.clock.now()).await? => {
                Err(Refused::Disabled(bearer.tenant.clone()))
            }
            _ => Ok(bearer),
        }
    }

    /// A turn for a request: how the limit stands that is nearest, its key's or its tenant's.
    pub(crate) async fn turn(&self, bearer: &Bearer) -> Result<Option<Standing>, NoTurn> {
        let own = bearer.turn(self.clock.now())?;
        let tenants = match self.roster.get() {
            Some(roster) => roster.turn(&bearer.tenant, self.clock.now()).await?,
            None => None,
        };
        Ok(rate::nearer(own, tenants))
    }

    /// The same, with somebody who takes in those who connected an account.
    #[must_use]
    pub fn with_returning(self, returning: Returning) -> Self {
        // The first who was named stays.
        let _ = self.returning.set(returning);
        self
    }
}

impl std::ops::Deref for Door {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
