//! `baton serve`: the process that moves runs and answers requests, until it is told to stop.

mod place;
mod ready;
mod reload;
mod rounds;
mod upkeep;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baton_core::id::TenantId;
use baton_engine::Engine;
use baton_engine::settings::Settings;
use baton_ports::backoff::Backoff;
use baton_ports::keys::{DAYS_DEFAULT, Keys, Role};
use baton_server::jwt::Judge;
use baton_server::{Door, Files, House, Limits, Mint, NewKey, Returned, Returning, Work};
use baton_store::sqlite::{self, Depth, Store};
use baton_tools::composio::State;
use baton_tools::{Language, Mailer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::reload::Reload;
use self::rounds::Rounds;
use self::upkeep::Upkeep;
use super::keys;
use super::knowledge::outside::Shelf;
use crate::project::Project;
use crate::sources::Sources;
use crate::wire::System;
use crate::{Exit, Misuse, cli, ending, metrics, print};

/// How often it is looked for what tenants set in other processes.
const TAKE_IN: Duration = Duration::from_secs(2);
/// A larger database is not looked through at each start: it would be read for many seconds.
const LOOKED_THROUGH_BYTES_MAX: u64 = 1 << 30;
/// How long requests under way may take once it is told to stop: half of what there is until it must have ended.
const DRAIN: Duration = Duration::from_secs(ending::LIMIT.as_secs() / 2);

pub async fn run(folder: &Path, args: cli::Serve) -> anyhow::Result<Exit> {
    // Before anything counts, or the first counts are lost.
    let metrics = metrics::install()?;
    place::check(folder, args.init)?;
    // What changes while it is read is read again.
    let seen = reload::Prints::of(folder);
    let project = Project::open(folder)?;
    crate::config::unread::warn(&project.database());
    let mut system = System::open(&project)?;
    let saved = system.save(&project).await?;
    if let Some(note) = saved.workflows.note() {
        print::note(format_args!("note: {note}"));
    }
    metrics::watch(Arc::new(system.store.clone()), system.tenant.clone()).await;
    let mut config = project.settings.serve.clone().within(&project.root);
    config.check().map_err(Misuse::new)?;
    let tokens = Judge::new(project.settings.serve.jwt.clone(), system.clock.clone()).map_err(Misuse::new)?;
    let listener = listen(&args.listen).await?;
    let at = listener.local_addr().context("the address it listens at cannot be read")?;
    let url = format!("{}://{at}", if config.tls.is_some() { "https" } else { "http" });
    if config.public_url.is_none() && at.ip().is_loopback() {
        config.public_url = Some(url.clone());
    }
    let mail = Arc::new(
        Mailer::new(&project.settings.tools, system.clock.clone()).map_err(|error| Misuse::new(error.to_string()))?,
    );
    let files = watch::Sender::new(Arc::new(reload::files(&project, &system)?));
    let (sources, wants) = Sources::of(&project, &system);
    let sources = Arc::new(sources);
    let serves = system.serving(async |engine| {
        system.keep_triggers(&project, &saved.workflows, engine, true).await?;
        let secret = first_key(&system).await?;
        // Whoever reads that we are there may tell us to stop at once.
        let stop = ending::hear().context("signals cannot be heard")?.asked();
        announce(&url, saved.versions.len(), &system, secret.as_deref(), args.json);
        warn_of_no_admin(&project, &system).await?;
        look_through(&project.database(), &system.store);
        let limits = Limits { drain: DRAIN, ..config.limits() };
        let known: Arc<dyn Keys> = Arc::new(system.store.clone());
        let metrics = metrics::at_scrape(metrics, system.purse.clone(), system.tenant.clone());
        let door = Door::new(system.models.clone(), known, system.clock.clone(), metrics, limits, config.clone())
            .with_checks(ready::checks(&system))
            .by_tiers(system.roster.clone())
            .with_work(work(&project, &system, engine, files.subscribe()))
            .with_house(house(&project, &system, &sources, mail));
        let door = match tokens {
            Some(judge) => door.with_tokens(judge),
            None => door,
        };
        let door = match returning(&system) {
            Some(returning) => door.with_returning(returning),
            None => door,
        };
        let (rounds, fresh) = (Rounds::new(&project, &system, engine), door.fresh.subscribe());
        let reload = Reload {
            system: &system,
            engine,
            files: &files,
            sources: &sources,
            fresh: door.fresh.clone(),
            seen,
            wants,
        };
        let upkeep = Upkeep::new(&project.settings, &system, engine);
        tokio::select! {
            served = baton_server::serve(listener, door, stop) => served.context("the listener failed"),
            never = upkeep.run() => match never {},
            never = reload.run(folder) => match never {},
            never = rounds.run(engine, fresh) => match never {},
            never = take_in(&system.settings) => match never {},
        }
    });
    serves.await?;
    Ok(Exit::Completed)
}

/// Looks at every page of the database beside what is served, so that damage is known before somebody meets it.
fn look_through(database: &Path, store: &Store) {
    let (path, store) = (database.to_owned(), store.clone());
    let bytes = path.metadata().map_or(0, |about| about.len());
    if bytes > LOOKED_THROUGH_BYTES_MAX {
        tracing::info!(bytes, "the database is too large to be looked through at each start; `baton doctor` does");
        return;
    }
    let looks = move || match sqlite::check(&path, Depth::Quick) {
        Ok(findings) => {
            if let Some(finding) = findings.into_iter().next() {
                store.report_damage(finding);
            }
        }
        Err(error) => tracing::warn!(%error, "the database could not be looked through"),
    };
    // A thread of its own: nobody waits for it when the process ends.
    if let Err(error) = std::thread::Builder::new().name("baton-look".into()).spawn(looks) {
        tracing::warn!(%error, "the database could not be looked through");
    }
}

/// Goes by what tenants set in other processes, soon after.
async fn take_in(settings: &Settings) -> Infallible {
    let (mut wait, mut backoff) = (TAKE_IN, Backoff::from(TAKE_IN));
    loop {
        tokio::time::sleep(wait).await;
        let taken_in = settings.take_in().await;
        if let Err(error) = &taken_in {
            tracing::warn!(%error, "what tenants set cannot be read; what held holds, and it is tried again");
        }
        wait = backoff.after(&taken_in, TAKE_IN);
    }
}

/// Where the API begins runs, looks at them and acts on them.
fn work(project: &Project, system: &System, engine: &Engine, files: watch::Receiver<Arc<Files>>) -> Work {
    Work {
        engine: engine.clone(),
        read: Arc::new(system.store.clone()),
        registry: Arc::new(system.store.clone()),
        records: system.records.clone(),
        decisions: Arc::new(system.store.clone()),
        roster: system.roster.clone(),
        files,
        tenant: system.tenant.clone(),
        outgoing: system.outgoing(project),
        zone: project.settings.own_zone().map(str::to_owned),
        scripted: system.models.is_scripted(),
    }
}

/// What is looked at and set by who runs the house.
fn house(project: &Project, system: &System, sources: &Arc<Sources>, mail: Arc<Mailer>) -> House {
    let settings = project.settings.clone();
    let language = settings.tools.language;
    let languages: BTreeMap<TenantId, Language> =
        settings.tools.tenants.iter().filter_map(|(tenant, own)| Some((tenant.clone(), own.language?))).collect();
    House {
        tools: system.tools.clone(),
        catalogue: system.tools.clone(),
        connections: system.tools.clone(),
        sources: sources.clone(),
        zone_of: Arc::new(move |tenant| settings.zone(tenant)),
        language_of: Arc::new(move |tenant| languages.get(tenant).copied().unwrap_or(language).tag()),
        embedder: system.memory.embedder(),
        budget: Arc::new(system.store.clone()),
        allowed: system.purse.limits().clone(),
        circuits: Arc::new(system.store.clone()),
        audit: Arc::new(system.store.clone()),
        erasure: Arc::new(system.store.clone()),
        keys: Arc::new(system.store.clone()),
        mint: mint(system),
        settings: system.settings.clone(),
        memory: system.memory.clone(),
        knowledge: Arc::new(Shelf::of(project, system)),
        mail,
    }
}

/// Makes keys as the command line makes them.
fn mint(system: &System) -> Mint {
    let clock = system.clock.clone();
    Arc::new(move |tenant, name, role, days, instead_of| {
        let keys::New { mut key, hash, secret } =
            keys::New::mint(tenant, name, role, days, instead_of.and_then(|old| old.per_minute), clock.now())?;
        key.scopes = instead_of.and_then(|old| old.scopes.clone());
        Ok(NewKey { key, hash, secret })
    })
}

/// Who takes in those that connected an account of Composio's; nobody where there is no Composio.
fn returning(system: &System) -> Option<Returning> {
    let (composio, tenant) = (system.tools.composio()?.clone(), system.tenant.clone());
    Some(Arc::new(move |state| {
        let (composio, tenant) = (composio.clone(), tenant.clone());
        Box::pin(async move {
            match composio.returned(&tenant, &state).await {
                Ok(Some(connection)) if connection.state == State::Active => Returned::Connected,
                Ok(Some(_)) => Returned::Unfinished,
                Ok(None) => Returned::Unknown,
                Err(error) => {
                    tracing::warn!(%error, "somebody connected an account, and how it stands cannot be said");
                    Returned::Unclear
                }
            }
        })
    }))
}

async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    let address: SocketAddr = address.parse().map_err(|_| {
        Misuse::new(format!("`{address}` is no address to listen at")).hint("write HOST:PORT, such as 127.0.0.1:8080")
    })?;
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| {
        let hint = "choose another with --listen; port 0 takes one that is free";
        Misuse::new(format!("cannot listen at {address}: {error}")).hint(hint).into()
    })
}

/// Makes an admin key where this database has none, and says its secret. It is its owner's own, so it may ask as often as it
/// likes.
async fn first_key(system: &System) -> anyhow::Result<Option<String>> {
    let new = keys::New::mint(&system.tenant, "first start", Role::Admin, DAYS_DEFAULT, Some(0), system.clock.now())?;
    let made = system.store.add_first(&new.key, &new.hash).await?;
    Ok(made.then_some(new.secret))
}

/// Says so where nobody has a valid admin key: one is made beside a running server, too.
async fn warn_of_no_admin(project: &Project, system: &System) -> anyhow::Result<()> {
    let (keys, now) = (system.store.all(&system.tenant).await?, system.clock.now());
    if !keys.iter().any(|key| key.role == Role::Admin && key.is_valid(now)) {
        let command = project.command();
        print::note(format_args!("note: no admin key is valid; `{command} keys create NAME --role admin` makes one"));
    }
    Ok(())
}

fn announce(url: &str, workflows: usize, system: &System, secret: Option<&str>, as_json: bool) {
    let scripted = system.models.is_scripted();
    if as_json {
        print::json(&json!({ "url": url, "workflows": workflows, "scripted": scripted, "key": secret }));
        return;
    }
    print::line(format_args!("Baton listens at {url}, with {}.", print::counted(workflows, "workflow")));
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
