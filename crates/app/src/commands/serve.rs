//! `baton serve`: the process that executes runs and serves requests until it is asked to stop.

mod background_jobs;
mod maintenance;
mod project_check;
mod readiness;
mod reload;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baton_core::id::TenantId;
use baton_engine::Engine;
use baton_engine::settings::SettingStore;
use baton_ports::backoff::Backoff;
use baton_ports::keys::{AccessRole, ApiKeyStore, DAYS_DEFAULT};
use baton_server::jwt::JwtVerifier;
use baton_server::{
    AdminServices, AppState, ConnectCallback, ConnectOutcome, KeyMinter, NewKey, RunServices, ServedFiles, ServerLimits,
};
use baton_store::sqlite::{self, CheckDepth, SqliteStore};
use baton_tools::composio::ConnectionStatus;
use baton_tools::{CustomerLanguage, SystemMailer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::background_jobs::BackgroundJobs;
use self::maintenance::MaintenanceJob;
use self::reload::ProjectReloader;
use super::keys;
use super::knowledge::external_index::KnowledgeStores;
use crate::project::Project;
use crate::sources::ToolSources;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, cli, metrics, print, shutdown};

/// Interval for polling tenant settings that other processes changed.
const SETTINGS_POLL: Duration = Duration::from_secs(2);
/// Larger databases are not checked at each start, because that would take many seconds.
const CHECKED_BYTES_MAX: u64 = 1 << 30;
/// How long requests in progress may take after a request to stop: half of the shutdown limit.
const DRAIN: Duration = Duration::from_secs(shutdown::SHUTDOWN_LIMIT.as_secs() / 2);

pub async fn run(folder: &Path, args: cli::ServeArgs) -> anyhow::Result<CommandExit> {
    // Install before anything is counted, or the first counts are lost.
    let metrics = metrics::install()?;
    project_check::check(folder, args.init)?;
    // Take the fingerprint first, so that files that change during the read are read again.
    let seen = reload::ProjectFingerprint::of(folder);
    let project = Project::open(folder)?;
    crate::config::unused_variables::warn_unused(&project.database());
    let mut system = ProjectSystem::open(&project)?;
    let saved = system.save_workflows(&project).await?;
    if let Some(note) = saved.workflows.rejected_note() {
        print::note(format_args!("note: {note}"));
    }
    metrics::watch(Arc::new(system.store.clone()), system.tenant.clone()).await;
    let mut config = project.settings.serve.clone().resolve_paths(&project.root);
    config.check().map_err(UsageError::new)?;
    let tokens = JwtVerifier::new(project.settings.serve.jwt.clone(), system.clock.clone()).map_err(UsageError::new)?;
    let listener = listen(&args.listen).await?;
    let at = listener.local_addr().context("the address it listens at cannot be read")?;
    let url = format!("{}://{at}", if config.tls.is_some() { "https" } else { "http" });
    if config.public_url.is_none() && at.ip().is_loopback() {
        config.public_url = Some(url.clone());
    }
    let mail = Arc::new(
        SystemMailer::new(&project.settings.tools, system.clock.clone())
            .map_err(|error| UsageError::new(error.to_string()))?,
    );
    let files = watch::Sender::new(Arc::new(reload::files(&project, &system)?));
    let (sources, wants) = ToolSources::of(&project, &system);
    let sources = Arc::new(sources);
    let serves = system.serve_with_engine(async |engine| {
        system.save_triggers(&project, &saved.workflows, engine, true).await?;
        let secret = first_key(&system).await?;
        // A supervisor may send a signal as soon as it reads that the server is up.
        let stop = shutdown::install().context("signals cannot be heard")?.requested();
        print_ready(&url, saved.versions.len(), &system, secret.as_deref(), args.json);
        warn_of_no_admin(&project, &system).await?;
        check_pages(&project.database(), &system.store);
        let limits = ServerLimits { drain_timeout: DRAIN, ..config.limits() };
        let known: Arc<dyn ApiKeyStore> = Arc::new(system.store.clone());
        let metrics = metrics::with_budget_gauges(metrics, system.budget.clone(), system.tenant.clone());
        let state = AppState::new(system.models.clone(), known, system.clock.clone(), metrics, limits, config.clone())
            .with_checks(readiness::checks(&system))
            .with_tenant_tiers(system.agent_registry.clone())
            .with_run_services(run_services(&project, &system, engine, files.subscribe()))
            .with_admin_services(admin_services(&project, &system, &sources, mail));
        let state = match tokens {
            Some(verifier) => state.with_jwt_verifier(verifier),
            None => state,
        };
        let state = match composio_return(&system) {
            Some(returning) => state.with_connect_callback(returning),
            None => state,
        };
        let (rounds, fresh) = (BackgroundJobs::new(&project, &system, engine), state.triggers_changed.subscribe());
        let reload = ProjectReloader {
            system: &system,
            engine,
            files: &files,
            sources: &sources,
            files_changed: state.triggers_changed.clone(),
            fingerprint: seen,
            refresh_requests: wants,
        };
        let upkeep = MaintenanceJob::new(&project.settings, &system, engine);
        tokio::select! {
            served = baton_server::serve(listener, state, stop) => served.context("the listener failed"),
            never = upkeep.run() => match never {},
            never = reload.run(folder) => match never {},
            never = rounds.run(engine, fresh) => match never {},
            never = poll_settings(&system.settings) => match never {},
        }
    });
    serves.await?;
    Ok(CommandExit::Completed)
}

/// Checks every page of the database in the background, so that damage is found before a request runs into it.
fn check_pages(database: &Path, store: &SqliteStore) {
    let (path, store) = (database.to_owned(), store.clone());
    let bytes = path.metadata().map_or(0, |about| about.len());
    if bytes > CHECKED_BYTES_MAX {
        tracing::info!(bytes, "the database is too large to be looked through at each start; `baton doctor` does");
        return;
    }
    let looks = move || match sqlite::check(&path, CheckDepth::Quick) {
        Ok(findings) => {
            if let Some(finding) = findings.into_iter().next() {
                store.report_damage(finding);
            }
        }
        Err(error) => tracing::warn!(%error, "the database could not be looked through"),
    };
    // Uses a separate thread that nothing waits for when the process ends.
    if let Err(error) = std::thread::Builder::new().name("baton-look".into()).spawn(looks) {
        tracing::warn!(%error, "the database could not be looked through");
    }
}

/// Applies tenant settings of other processes, with a short delay.
async fn poll_settings(settings: &SettingStore) -> Infallible {
    let (mut wait, mut backoff) = (SETTINGS_POLL, Backoff::from(SETTINGS_POLL));
    loop {
        tokio::time::sleep(wait).await;
        let taken_in = settings.reload().await;
        if let Err(error) = &taken_in {
            tracing::warn!(%error, "what tenants set cannot be read; what held holds, and it is tried again");
        }
        wait = backoff.after(&taken_in, SETTINGS_POLL);
    }
}

/// The services with which the API starts, inspects and controls runs.
fn run_services(
    project: &Project,
    system: &ProjectSystem,
    engine: &Engine,
    files: watch::Receiver<Arc<ServedFiles>>,
) -> RunServices {
    RunServices {
        engine: engine.clone(),
        read: Arc::new(system.store.clone()),
        registry: Arc::new(system.store.clone()),
        records: system.records.clone(),
        decisions: Arc::new(system.store.clone()),
        agent_registry: system.agent_registry.clone(),
        files,
        tenant: system.tenant.clone(),
        webhook_delivery: system.webhook_delivery(project),
        zone: project.settings.own_zone().map(str::to_owned),
        scripted: system.models.is_scripted(),
    }
}

/// The services with which operators inspect and change the system.
fn admin_services(
    project: &Project,
    system: &ProjectSystem,
    sources: &Arc<ToolSources>,
    mail: Arc<SystemMailer>,
) -> AdminServices {
    let settings = project.settings.clone();
    let language = settings.tools.language;
    let languages: BTreeMap<TenantId, CustomerLanguage> =
        settings.tools.tenants.iter().filter_map(|(tenant, own)| Some((tenant.clone(), own.language?))).collect();
    AdminServices {
        tools: system.tools.clone(),
        catalogue: system.tools.clone(),
        connections: system.tools.clone(),
        sources: sources.clone(),
        zone_of: Arc::new(move |tenant| settings.zone(tenant)),
        language_of: Arc::new(move |tenant| languages.get(tenant).copied().unwrap_or(language).tag()),
        embedder: system.memory.embedder(),
        budget: Arc::new(system.store.clone()),
        allowed: system.budget.limits().clone(),
        circuits: Arc::new(system.store.clone()),
        audit: Arc::new(system.store.clone()),
        erasure: Arc::new(system.store.clone()),
        keys: Arc::new(system.store.clone()),
        mint: key_minter(system),
        settings: system.settings.clone(),
        memory: system.memory.clone(),
        knowledge: Arc::new(KnowledgeStores::of(project, system)),
        mail,
    }
}

/// Creates API keys in the same way as the command line.
fn key_minter(system: &ProjectSystem) -> KeyMinter {
    let clock = system.clock.clone();
    Arc::new(move |tenant, name, role, days, instead_of| {
        let keys::UnsavedKey { mut key, hash, secret } =
            keys::UnsavedKey::mint(tenant, name, role, days, instead_of.and_then(|old| old.per_minute), clock.now())?;
        key.scopes = instead_of.and_then(|old| old.scopes.clone());
        Ok(NewKey { key, hash, secret })
    })
}

/// The callback for users who have connected a Composio account. `None` without Composio.
fn composio_return(system: &ProjectSystem) -> Option<ConnectCallback> {
    let (composio, tenant) = (system.tools.composio()?.clone(), system.tenant.clone());
    Some(Arc::new(move |state| {
        let (composio, tenant) = (composio.clone(), tenant.clone());
        Box::pin(async move {
            match composio.complete_callback(&tenant, &state).await {
                Ok(Some(connection)) if connection.state == ConnectionStatus::Active => ConnectOutcome::Connected,
                Ok(Some(_)) => ConnectOutcome::Unfinished,
                Ok(None) => ConnectOutcome::Unknown,
                Err(error) => {
                    tracing::warn!(%error, "somebody connected an account, and how it stands cannot be said");
                    ConnectOutcome::Unconfirmed
                }
            }
        })
    }))
}

async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    let address: SocketAddr = address.parse().map_err(|_| {
        UsageError::new(format!("`{address}` is no address to listen at"))
            .hint("write HOST:PORT, such as 127.0.0.1:8080")
    })?;
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| {
        let hint = "choose another with --listen; port 0 takes one that is free";
        UsageError::new(format!("cannot listen at {address}: {error}")).hint(hint).into()
    })
}

/// Creates an admin key if this database has none, and returns its secret. The key belongs to the owner of the
/// installation, so it has no rate limit.
async fn first_key(system: &ProjectSystem) -> anyhow::Result<Option<String>> {
    let new = keys::UnsavedKey::mint(
        &system.tenant,
        "first start",
        AccessRole::Admin,
        DAYS_DEFAULT,
        Some(0),
        system.clock.now(),
    )?;
    let made = system.store.add_first(&new.key, &new.hash).await?;
    Ok(made.then_some(new.secret))
}

/// Warns if there is no valid admin key. A key can also be created while the server runs.
async fn warn_of_no_admin(project: &Project, system: &ProjectSystem) -> anyhow::Result<()> {
    let (keys, now) = (system.store.all(&system.tenant).await?, system.clock.now());
    if !keys.iter().any(|key| key.role == AccessRole::Admin && key.is_valid(now)) {
        let command = project.command();
        print::note(format_args!("note: no admin key is valid; `{command} keys create NAME --role admin` makes one"));
    }
    Ok(())
}

fn print_ready(url: &str, workflows: usize, system: &ProjectSystem, secret: Option<&str>, as_json: bool) {
    let scripted = system.models.is_scripted();
    if as_json {
        print::json(&json!({ "url": url, "workflows": workflows, "scripted": scripted, "key": secret }));
        return;
    }
    print::line(format_args!("Baton listens at {url}, with {}.", print::count_noun(workflows, "workflow")));
    if scripted {
        print::line("No model is set up: replies come from the project's replies/ files.");
    }
    if let Some(secret) = secret {
        print::line("This is its first start. Here is an admin key, good for 90 days and shown this once:");
        print::line(format_args!("  {secret}"));
        print::line(format_args!(
            "Open {url}/ in a browser and sign in with it: the page shows runs and what they wait for."
        ));
        print::line(format_args!(
            "Try it: curl {url}/v1/chat/completions -H \"Authorization: Bearer {secret}\" \
             -H \"Content-Type: application/json\" \
             -d '{{\"model\": \"balanced\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'"
        ));
    }
    print::line("Ctrl-C stops it: requests under way finish, runs go on at the next start.");
}
