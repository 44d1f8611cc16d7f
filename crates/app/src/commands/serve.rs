//! `baton serve`: the process that moves runs and answers requests, until it is told to stop.

mod ready;
mod reload;
mod rounds;
mod upkeep;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use baton_engine::Engine;
use baton_engine::settings::Settings;
use baton_ports::keys::{DAYS_DEFAULT, Keys, Role};
use baton_server::jwt::Judge;
use baton_server::{Door, Files, House, Limits, Mint, NewKey, Returned, Returning, Work};
use baton_tools::composio::State;
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
use crate::{Exit, Misuse, cli, metrics, print};

/// How often it is looked for what tenants set in other processes.
const TAKE_IN: Duration = Duration::from_secs(2);

pub async fn run(folder: &Path, args: cli::Serve) -> anyhow::Result<Exit> {
    // Before anything counts, or the first counts are lost.
    let metrics = metrics::install()?;
    // What changes while it is read is read again.
    let seen = reload::Prints::of(folder);
    let project = Project::open(folder)?;
    let mut system = System::open(&project)?;
    let saved = system.save(&project).await?;
    if let Some(note) = saved.workflows.note() {
        print::note(format_args!("note: {note}"));
    }
    metrics::watch(Arc::new(system.store.clone()), system.tenant.clone()).await;
    let config = project.settings.serve.clone().within(&project.root);
    config.check().map_err(Misuse::new)?;
    let tokens = Judge::new(project.settings.serve.jwt.clone(), system.clock.clone()).map_err(Misuse::new)?;
    let listener = listen(&args.listen).await?;
    let at = listener.local_addr().context("the address it listens at cannot be read")?;
    let url = format!("{}://{at}", if config.tls.is_some() { "https" } else { "http" });
    let files = watch::Sender::new(Arc::new(reload::files(&project, &system)?));
    let (sources, wants) = Sources::of(&project, &system);
    let sources = Arc::new(sources);
    let serves = system.serving(async |engine| {
        system.keep_triggers(&project, &saved.workflows, engine, true).await?;
        let secret = first_key(&system).await?;
        // Whoever reads that we are there may tell us to stop at once.
        let stop = told_to_stop().context("signals cannot be heard")?;
        announce(&url, saved.versions.len(), &system, secret.as_deref(), args.json);
        let known: Arc<dyn Keys> = Arc::new(system.store.clone());
        let metrics = metrics::at_scrape(metrics, system.purse.clone(), system.tenant.clone());
        let door =
            Door::new(system.models.clone(), known, system.clock.clone(), metrics, Limits::default(), config.clone())
                .with_checks(ready::checks(&system))
                .by_tiers(system.roster.clone())
                .with_work(work(&project, &system, engine, files.subscribe()))
                .with_house(house(&project, &system, &sources));
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

/// Goes by what tenants set in other processes, soon after.
async fn take_in(settings: &Settings) -> Infallible {
    loop {
        tokio::time::sleep(TAKE_IN).await;
        if let Err(error) = settings.take_in().await {
            tracing::warn!(%error, "what tenants set cannot be read; what held holds, and it is tried again");
        }
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
fn house(project: &Project, system: &System, sources: &Arc<Sources>) -> House {
    let settings = project.settings.clone();
    House {
        tools: system.tools.clone(),
        catalogue: system.tools.clone(),
        connections: system.tools.clone(),
        sources: sources.clone(),
        zone_of: Arc::new(move |tenant| settings.zone(tenant)),
        budget: Arc::new(system.store.clone()),
        allowed: system.purse.limits().clone(),
        circuits: Arc::new(system.store.clone()),
        audit: Arc::new(system.store.clone()),
        keys: Arc::new(system.store.clone()),
        mint: mint(system),
        settings: system.settings.clone(),
        memory: system.memory.clone(),
        knowledge: Arc::new(Shelf::of(project, system)),
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

/// Hears from now on whether the process is asked to end, by a person or by its supervisor; ready once it is.
#[cfg(unix)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
