//! What the doors lean on.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::HeaderMap;
use baton_core::definition::DefinitionCatalog;
use baton_core::id::TenantId;
use baton_core::time::{Time, TimeZone};
use baton_engine::agent_registry::{AgentRegistry, QuotaStatus};
use baton_engine::settings::SettingStore;
use baton_engine::triggers::TriggerService;
use baton_engine::webhook_delivery::WebhookSender;
use baton_engine::{Engine, RoutingQueues};
use baton_ports::audit::AuditTrail;
use baton_ports::budget::{BudgetPolicy, BudgetStore};
use baton_ports::catalogue::ToolCatalogue;
use baton_ports::circuits::ModelCircuitStore;
use baton_ports::clock::Clock;
use baton_ports::connections::AppConnections;
use baton_ports::decisions::DecisionLog;
use baton_ports::embed::Embedder;
use baton_ports::erasure::ErasureStore;
use baton_ports::keys::{AccessRole, ApiKeyRecord, ApiKeyStore, KeyHash};
use baton_ports::mail::MailSender;
use baton_ports::memory::{KnowledgeStore, MemoryStore};
use baton_ports::models::ModelService;
use baton_ports::read::ReadModel;
use baton_ports::records::RecordStore;
use baton_ports::registry::WorkflowRegistry;
use baton_ports::sources::SourceStore;
use baton_ports::tools::ToolGateway;
use futures::future::BoxFuture;
use tokio::sync::{Semaphore, watch};

use crate::access;
use crate::auth::{AuthError, AuthenticatedKey, KeyAuthenticator};
use crate::body::body_budget::BodyBudget;
use crate::config::ServeConfig;
use crate::jwt::JwtVerifier;
use crate::problem::HttpProblem;
use crate::rate_limit::{self, RequestRateError};
use crate::readiness::{ReadinessCheck, ReadinessChecks};
use crate::stream_limits::StreamLimiter;
use crate::unknown_key_limiter::UnknownKeyLimiter;

/// Bytes of one request's body, unless a process says otherwise.
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;

/// What one process takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Requests under way; one more is answered 503.
    pub requests: usize,
    /// Runs that are followed live; one more is answered 503.
    pub streams: usize,
    /// Of them, those of one tenant; one more is answered 503, and leaves room for others.
    pub streams_per_tenant: usize,
    /// Bytes of one request's body; a larger one is answered 413.
    pub body_bytes: usize,
    /// Bytes of all bodies together, of requests that are read or not answered yet; one that comes beyond them is answered
    /// 503.
    pub bodies_bytes: usize,
    /// How long a connection may take to say a request's headers, and may be idle between requests.
    pub header_timeout: Duration,
    /// How long it may take to bring a request's body; one that takes longer is answered 408.
    pub body_timeout: Duration,
    /// The longest a model may take to answer a request.
    pub answer_timeout: Duration,
    /// How long requests under way may take once the server stops.
    pub drain_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            requests: 4_096,
            streams: 1_024,
            streams_per_tenant: 256,
            body_bytes: BODY_BYTES_MAX,
            bodies_bytes: 256 << 20,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(600),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// Writes the process's metrics, as they are when it is asked, in Prometheus's text form.
pub type MetricsRenderer = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// Takes in somebody who comes back from connecting an account, with the state that their request was given.
pub type ConnectCallback = Arc<dyn Fn(String) -> BoxFuture<'static, ConnectOutcome> + Send + Sync>;

/// What coming back came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectOutcome {
    Connected,
    /// The service says that it is not connected yet.
    Unfinished,
    /// The state is not known, was used, or is too old.
    Unknown,
    /// How it stands cannot be said now.
    Unconfirmed,
}

/// Where runs are begun, looked at and acted on.
pub struct RunServices {
    pub engine: Engine,
    pub read: Arc<dyn ReadModel>,
    pub registry: Arc<dyn WorkflowRegistry>,
    pub records: Arc<dyn RecordStore>,
    pub decisions: Arc<dyn DecisionLog>,
    /// The tenants' agents.
    pub agent_registry: Arc<AgentRegistry>,
    /// What the project's files hold now.
    pub files: watch::Receiver<Arc<ServedFiles>>,
    /// Who tells subscribers.
    pub webhook_delivery: WebhookSender,
    /// Whose work this server is for, where an address does not say.
    pub tenant: TenantId,
    /// The IANA time zone of runs whose context says none.
    pub zone: Option<String>,
    /// Replies of models come from files.
    pub scripted: bool,
}

/// What of a project's files the doors have a use for, as they were last read.
#[derive(Debug, Default)]
pub struct ServedFiles {
    /// Whose they are.
    pub tenant: Option<TenantId>,
    /// Its agents, and the tools of all; no workflows.
    pub catalog: DefinitionCatalog,
    /// Agents that its own files define: nobody registers another under such a name.
    pub own_agents: BTreeSet<String>,
    /// Workflows to begin from.
    pub templates: Vec<WorkflowTemplate>,
    /// Whoever made a version is not who activates it.
    pub four_eyes: bool,
}

/// A workflow to begin from.
#[derive(Clone, Copy, Debug)]
pub struct WorkflowTemplate {
    pub name: &'static str,
    /// In YAML.
    pub text: &'static str,
}

/// Says in which time zone a tenant's days and weeks are.
pub type TenantZones = Arc<dyn Fn(&TenantId) -> TimeZone + Send + Sync>;

/// Says in which language a tenant's customers are spoken to where their own is not known, by its IETF tag.
pub type TenantLanguages = Arc<dyn Fn(&TenantId) -> &'static str + Send + Sync>;

/// What people look at and set who run the house: tools, money, models that fail, the audit trail.
pub struct AdminServices {
    pub tools: Arc<dyn ToolGateway>,
    /// The same tools, as they are shown.
    pub catalogue: Arc<dyn ToolCatalogue>,
    pub connections: Arc<dyn AppConnections>,
    /// Where tools come from.
    pub sources: Arc<dyn SourceStore>,
    pub zone_of: TenantZones,
    pub language_of: TenantLanguages,
    pub budget: Arc<dyn BudgetStore>,
    /// What the settings allow to be spent.
    pub allowed: Arc<dyn BudgetPolicy>,
    pub circuits: Arc<dyn ModelCircuitStore>,
    pub audit: Arc<dyn AuditTrail>,
    pub erasure: Arc<dyn ErasureStore>,
    pub memory: Arc<dyn MemoryStore>,
    pub knowledge: Arc<dyn KnowledgeStore>,
    /// What makes the vectors of memory.
    pub embedder: Arc<dyn Embedder>,
    pub keys: Arc<dyn ApiKeyStore>,
    pub mint: KeyMinter,
    /// What tenants set for themselves.
    pub settings: Arc<SettingStore>,
    /// Who sends letters of Baton's own.
    pub mail: Arc<dyn MailSender>,
}

/// A key that is not kept yet: its row, its hash, and the secret that is shown once.
pub struct NewKey {
    pub key: ApiKeyRecord,
    pub hash: KeyHash,
    pub secret: String,
}

/// Makes a key of a tenant's with a name and a role, for so many days; in place of another, it is like that one in all else.
///
/// It fails where no random bytes can be had.
pub type KeyMinter = Arc<
    dyn Fn(
            &TenantId,
            &str,
            AccessRole,
            u32,
            Option<&ApiKeyRecord>,
        ) -> Result<NewKey, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync,
>;

impl RunServices {
    /// What keeps triggers, and begins their runs.
    pub(crate) fn triggers(&self) -> TriggerService {
        TriggerService {
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
pub struct AppState(Arc<AppStateInner>);

pub struct AppStateInner {
    pub models: Arc<dyn ModelService>,
    pub clock: Arc<dyn Clock>,
    pub keys: KeyAuthenticator,
    pub metrics: MetricsRenderer,
    /// Nothing where no runs are begun here.
    pub run_services: OnceLock<RunServices>,
    /// Nothing where nobody runs the house from here.
    pub admin_services: OnceLock<AdminServices>,
    /// Nothing where no accounts are connected.
    pub connect_callback: OnceLock<ConnectCallback>,
    pub limits: ServerLimits,
    pub config: ServeConfig,
    pub(crate) unknown_keys: UnknownKeyLimiter,
    /// When this door was made.
    pub started_at: Time,
    checks: OnceLock<ReadinessChecks>,
    /// One permit a request under way.
    pub request_permits: Arc<Semaphore>,
    /// Bytes of bodies that are held.
    pub(crate) body_budget: BodyBudget,
    /// Who follows a run live.
    pub stream_limiter: StreamLimiter,
    /// Told where schedules or subscriptions were changed here.
    pub triggers_changed: watch::Sender<()>,
    /// Whether the server is stopping: what waits need not be waited for.
    pub stopping: watch::Sender<bool>,
    /// How often tenants may ask; nothing: as often as they like.
    pub agent_registry: OnceLock<Arc<AgentRegistry>>,
    /// Tenants' desks, as they were last looked at.
    pub routing_queues: RoutingQueues,
}

impl AppState {
    pub fn new(
        models: Arc<dyn ModelService>,
        keys: Arc<dyn ApiKeyStore>,
        clock: Arc<dyn Clock>,
        metrics: MetricsRenderer,
        limits: ServerLimits,
        config: ServeConfig,
    ) -> Self {
        let room = Arc::new(Semaphore::new(limits.requests));
        let followers = StreamLimiter::new(limits.streams, limits.streams_per_tenant);
        let began = clock.now();
        Self(Arc::new(AppStateInner {
            models,
            keys: KeyAuthenticator::new(keys, clock.clone(), &config),
            clock,
            metrics,
            run_services: OnceLock::new(),
            admin_services: OnceLock::new(),
            connect_callback: OnceLock::new(),
            limits,
            config,
            unknown_keys: UnknownKeyLimiter::default(),
            started_at: began,
            checks: OnceLock::new(),
            request_permits: room,
            body_budget: BodyBudget::new(limits.bodies_bytes),
            stream_limiter: followers,
            triggers_changed: watch::Sender::new(()),
            stopping: watch::Sender::new(false),
            agent_registry: OnceLock::new(),
            routing_queues: RoutingQueues::default(),
        }))
    }

    /// The same, where tenants may ask as often as their tiers let them.
    #[must_use]
    pub fn with_tenant_tiers(self, roster: Arc<AgentRegistry>) -> Self {
        // The first that was named stays.
        let _ = self.0.agent_registry.set(roster);
        self
    }

    /// The same, with runs behind it.
    #[must_use]
    pub fn with_run_services(self, work: RunServices) -> Self {
        // The first that was named stays.
        let _ = self.0.run_services.set(work);
        self
    }

    /// The same, where tokens of an identity provider's are taken beside keys.
    #[must_use]
    pub fn with_jwt_verifier(self, judge: JwtVerifier) -> Self {
        // The first that was named stays.
        let _ = self.keys.tokens.set(judge);
        self
    }

    /// The same, with what it leans on, for whoever asks whether it is ready.
    #[must_use]
    pub fn with_checks(self, checks: Vec<ReadinessCheck>) -> Self {
        // The first that were named stay.
        let _ = self.checks.set(ReadinessChecks::new(checks));
        self
    }

    pub(crate) fn checks(&self) -> &ReadinessChecks {
        self.checks.get_or_init(|| ReadinessChecks::new(Vec::new()))
    }

    pub(crate) fn run_services(&self) -> Result<&RunServices, HttpProblem> {
        self.0.run_services.get().ok_or_else(HttpProblem::not_found)
    }

    /// The same, with a house that is run from here.
    #[must_use]
    pub fn with_admin_services(self, house: AdminServices) -> Self {
        // The first that was named stays.
        let _ = self.0.admin_services.set(house);
        self
    }

    pub(crate) fn admin_services(&self) -> Result<&AdminServices, HttpProblem> {
        self.0.admin_services.get().ok_or_else(HttpProblem::not_found)
    }

    /// Ready once the server is told to stop.
    pub(crate) async fn shutdown_requested(&self) {
        // Its sender lives as long as the door does.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// The key a request brings, if it opens this door and its tenant is not shut.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<AuthenticatedKey>, AuthError> {
        let bearer = self.keys.authenticate(headers).await?;
        access::record_caller(&bearer);
        match self.agent_registry.get() {
            Some(roster) if !roster.tenants().is_enabled(&bearer.tenant, self.clock.now()).await? => {
                Err(AuthError::Disabled(bearer.tenant.clone()))
            }
            _ => Ok(bearer),
        }
    }

    /// A turn for a request: how the limit stands that is nearest, its key's or its tenant's.
    pub(crate) async fn check_rate(&self, bearer: &AuthenticatedKey) -> Result<Option<QuotaStatus>, RequestRateError> {
        let own = bearer.check_rate(self.clock.now())?;
        let tenants = match self.agent_registry.get() {
            Some(roster) => roster.take_quota(&bearer.tenant, self.clock.now()).await?,
            None => None,
        };
        Ok(rate_limit::tighter(own, tenants))
    }

    /// The same, with somebody who takes in those who connected an account.
    #[must_use]
    pub fn with_connect_callback(self, returning: ConnectCallback) -> Self {
        // The first who was named stays.
        let _ = self.connect_callback.set(returning);
        self
    }
}

impl std::ops::Deref for AppState {
    type Target = AppStateInner;

    fn deref(&self) -> &AppStateInner {
        &self.0
    }
}
