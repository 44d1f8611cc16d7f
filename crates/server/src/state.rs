//! The shared state of the handlers.

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

/// Default maximum size of one request body, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 16 << 20;

/// The limits of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Maximum number of requests in flight; another one is answered with 503.
    pub requests: usize,
    /// Maximum number of open event streams; another one is answered with 503.
    pub streams: usize,
    /// Maximum number of open event streams of one tenant; another one is answered with 503, so that other tenants
    /// have room.
    pub streams_per_tenant: usize,
    /// Maximum size of one request body, in bytes; a larger one is answered with 413.
    pub body_bytes: usize,
    /// Maximum size of all request bodies together that are being read or not answered yet, in bytes; another one
    /// is answered with 503.
    pub bodies_bytes: usize,
    /// How long a connection may take to send a request's headers, and may be idle between requests.
    pub header_timeout: Duration,
    /// How long a request's body may take to arrive; a slower one is answered with 408.
    pub body_timeout: Duration,
    /// Maximum time for a model to answer a request.
    pub answer_timeout: Duration,
    /// How long requests in flight may take after the server is told to stop.
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

/// Renders the current metrics of the process in Prometheus's text format.
pub type MetricsRenderer = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// Completes the connection of an account, given the state of the connection request.
pub type ConnectCallback = Arc<dyn Fn(String) -> BoxFuture<'static, ConnectOutcome> + Send + Sync>;

/// The outcome of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectOutcome {
    Connected,
    /// The service reports that the account is not connected yet.
    Unfinished,
    /// The state is unknown, used or expired.
    Unknown,
    /// The outcome cannot be determined at present.
    Unconfirmed,
}

/// The services to start, read and control runs.
pub struct RunServices {
    pub engine: Engine,
    pub read: Arc<dyn ReadModel>,
    pub registry: Arc<dyn WorkflowRegistry>,
    pub records: Arc<dyn RecordStore>,
    pub decisions: Arc<dyn DecisionLog>,
    /// The tenants' agents.
    pub agent_registry: Arc<AgentRegistry>,
    /// The current contents of the project's files.
    pub files: watch::Receiver<Arc<ServedFiles>>,
    /// Delivers events to subscribers.
    pub webhook_delivery: WebhookSender,
    /// The server's own tenant, used if an address names none.
    pub tenant: TenantId,
    /// The IANA time zone of runs whose context has none.
    pub zone: Option<String>,
    /// Model replies come from files.
    pub scripted: bool,
}

/// The parts of a project's files that the server uses, as last read.
#[derive(Debug, Default)]
pub struct ServedFiles {
    /// The tenant of the files.
    pub tenant: Option<TenantId>,
    /// The tenant's agents, and the shared tools; no workflows.
    pub catalog: DefinitionCatalog,
    /// Agents defined by the project's files. Their names cannot be registered.
    pub own_agents: BTreeSet<String>,
    /// Workflow templates.
    pub templates: Vec<WorkflowTemplate>,
    /// The author of a version may not activate it.
    pub four_eyes: bool,
}

/// A workflow template.
#[derive(Clone, Copy, Debug)]
pub struct WorkflowTemplate {
    pub name: &'static str,
    /// The YAML text.
    pub text: &'static str,
}

/// The time zone of a tenant's days and weeks.
pub type TenantZones = Arc<dyn Fn(&TenantId) -> TimeZone + Send + Sync>;

/// The default language of a tenant's customers, as an IETF tag, for customers whose own language is unknown.
pub type TenantLanguages = Arc<dyn Fn(&TenantId) -> &'static str + Send + Sync>;

/// The services for administration: tools, budgets, circuits, API keys, settings, the audit trail.
pub struct AdminServices {
    pub tools: Arc<dyn ToolGateway>,
    /// The same tools, for display.
    pub catalogue: Arc<dyn ToolCatalogue>,
    pub connections: Arc<dyn AppConnections>,
    /// The tool sources.
    pub sources: Arc<dyn SourceStore>,
    pub zone_of: TenantZones,
    pub language_of: TenantLanguages,
    pub budget: Arc<dyn BudgetStore>,
    /// The budgets that the settings allow.
    pub allowed: Arc<dyn BudgetPolicy>,
    pub circuits: Arc<dyn ModelCircuitStore>,
    pub audit: Arc<dyn AuditTrail>,
    pub erasure: Arc<dyn ErasureStore>,
    pub memory: Arc<dyn MemoryStore>,
    pub knowledge: Arc<dyn KnowledgeStore>,
    /// The embedder of memory.
    pub embedder: Arc<dyn Embedder>,
    pub keys: Arc<dyn ApiKeyStore>,
    pub mint: KeyMinter,
    /// The tenants' own settings.
    pub settings: Arc<SettingStore>,
    /// Sends Baton's own mails.
    pub mail: Arc<dyn MailSender>,
}

/// A new key that is not stored yet: its row, its hash, and the secret that is shown once.
pub struct NewKey {
    pub key: ApiKeyRecord,
    pub hash: KeyHash,
    pub secret: String,
}

/// Creates a key of a tenant with a name, a role and a lifetime in days. If it replaces another key, it takes over
/// that key's other properties.
///
/// It fails if no random bytes are available.
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
    /// The service that stores triggers and starts their runs.
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

/// Shared state of all handlers. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<AppStateInner>);

pub struct AppStateInner {
    pub models: Arc<dyn ModelService>,
    pub clock: Arc<dyn Clock>,
    pub keys: KeyAuthenticator,
    pub metrics: MetricsRenderer,
    /// Unset if this process starts no runs.
    pub run_services: OnceLock<RunServices>,
    /// Unset if this process has no admin services.
    pub admin_services: OnceLock<AdminServices>,
    /// Unset if no accounts can be connected.
    pub connect_callback: OnceLock<ConnectCallback>,
    pub limits: ServerLimits,
    pub config: ServeConfig,
    pub(crate) unknown_keys: UnknownKeyLimiter,
    /// When this state was created.
    pub started_at: Time,
    checks: OnceLock<ReadinessChecks>,
    /// One permit for each request in flight.
    pub request_permits: Arc<Semaphore>,
    /// The budget for request bodies.
    pub(crate) body_budget: BodyBudget,
    /// Limits the number of event streams.
    pub stream_limiter: StreamLimiter,
    /// Notified when schedules or subscriptions change in this process.
    pub triggers_changed: watch::Sender<()>,
    /// Whether the server is stopping, so that waiting requests can end early.
    pub stopping: watch::Sender<bool>,
    /// The tenants' rate limits. If unset, tenants have none.
    pub agent_registry: OnceLock<Arc<AgentRegistry>>,
    /// The tenants' routing queues, as last read.
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

    /// Adds the tenants' rate limits, by their tiers.
    #[must_use]
    pub fn with_tenant_tiers(self, agent_registry: Arc<AgentRegistry>) -> Self {
        // The first value stays.
        let _ = self.0.agent_registry.set(agent_registry);
        self
    }

    /// Adds the services for runs.
    #[must_use]
    pub fn with_run_services(self, services: RunServices) -> Self {
        // The first value stays.
        let _ = self.0.run_services.set(services);
        self
    }

    /// Accepts JWTs of an identity provider besides API keys.
    #[must_use]
    pub fn with_jwt_verifier(self, verifier: JwtVerifier) -> Self {
        // The first value stays.
        let _ = self.keys.tokens.set(verifier);
        self
    }

    /// Adds the dependencies for the readiness report.
    #[must_use]
    pub fn with_checks(self, checks: Vec<ReadinessCheck>) -> Self {
        // The first value stays.
        let _ = self.checks.set(ReadinessChecks::new(checks));
        self
    }

    pub(crate) fn checks(&self) -> &ReadinessChecks {
        self.checks.get_or_init(|| ReadinessChecks::new(Vec::new()))
    }

    pub(crate) fn run_services(&self) -> Result<&RunServices, HttpProblem> {
        self.0.run_services.get().ok_or_else(HttpProblem::not_found)
    }

    /// Adds the services for administration.
    #[must_use]
    pub fn with_admin_services(self, admin: AdminServices) -> Self {
        // The first value stays.
        let _ = self.0.admin_services.set(admin);
        self
    }

    pub(crate) fn admin_services(&self) -> Result<&AdminServices, HttpProblem> {
        self.0.admin_services.get().ok_or_else(HttpProblem::not_found)
    }

    /// Completes once the server is told to stop.
    pub(crate) async fn shutdown_requested(&self) {
        // The sender lives as long as this state.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Authenticates the request's key, and checks that its tenant is enabled.
    pub(crate) async fn authenticate(&self, headers: &HeaderMap) -> Result<Arc<AuthenticatedKey>, AuthError> {
        let bearer = self.keys.authenticate(headers).await?;
        access::record_caller(&bearer);
        match self.agent_registry.get() {
            Some(agent_registry) if !agent_registry.tenants().is_enabled(&bearer.tenant, self.clock.now()).await? => {
                Err(AuthError::Disabled(bearer.tenant.clone()))
            }
            _ => Ok(bearer),
        }
    }

    /// Takes one request from the rate limits of the key and of its tenant. Returns the quota that is closer to its
    /// limit.
    pub(crate) async fn check_rate(&self, bearer: &AuthenticatedKey) -> Result<Option<QuotaStatus>, RequestRateError> {
        let own = bearer.check_rate(self.clock.now())?;
        let tenants = match self.agent_registry.get() {
            Some(agent_registry) => agent_registry.take_quota(&bearer.tenant, self.clock.now()).await?,
            None => None,
        };
        Ok(rate_limit::tighter(own, tenants))
    }

    /// Adds the callback for connected accounts.
    #[must_use]
    pub fn with_connect_callback(self, returning: ConnectCallback) -> Self {
        // The first value stays.
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
