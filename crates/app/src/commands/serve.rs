//! `baton serve`: the process that moves runs and answers requests, until it is told to stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use baton_core::time::Time;
use baton_ports::keys::{Key, Keys, Role};
use baton_server::{Door, Limits};
use serde_json::json;
use tokio::net::TcpListener;

use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, cli, metrics, print};

/// How long the first key is good for.
const FIRST_KEY_LASTS: std::time::Duration = std::time::Duration::from_secs(90 * 24 * 60 * 60);

pub async fn run(folder: &Path, args: cli::Serve) -> anyhow::Result<Exit> {
    // Before anything counts, or the first counts are lost.
    let metrics = metrics::install()?;
    let project = Project::open(folder)?;
    let mut system = System::open(&project)?;
    let saved = system.save(&project).await?;
    if let Some(note) = saved.workflows.note() {
        print::note(format_args!("note: {note}"));
    }
    metrics::watch(Arc::new(system.store.clone()), system.tenant.clone()).await;
    let listener = listen(&args.listen).await?;
    let at = listener.local_addr().context("the address it listens at cannot be read")?;
    let engine = system.engine().await?;
    let secret = first_key(&system).await?;
    announce(at, saved.versions.len(), &system, secret.as_deref(), args.json);
    let keys: Arc<dyn Keys> = Arc::new(system.store.clone());
    let door = Door::new(system.models.clone(), keys, system.clock.clone(), metrics, Limits::default());
    let served = baton_server::serve(listener, door, told_to_stop()).await;
    engine.stop().await?;
    system.close().await;
    served.context("the listener failed")?;
    Ok(Exit::Completed)
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

/// Makes an admin key where this database has none, and says its secret.
async fn first_key(system: &System) -> anyhow::Result<Option<String>> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no random bytes can be had: {error}"))?;
    let minted = baton_server::mint(&random);
    let now: Time = system.clock.now();
    let key = Key {
        id: format!("key_{}", uuid::Uuid::now_v7().simple()),
        tenant: system.tenant.clone(),
        name: "first start".to_owned(),
        role: Role::Admin,
        created_at: now,
        expires_at: Some(now + FIRST_KEY_LASTS),
        revoked_at: None,
    };
    let made = system.store.add_first(&key, &minted.hash).await?;
    Ok(made.then_some(minted.secret))
}

fn announce(at: SocketAddr, workflows: usize, system: &System, secret: Option<&str>, as_json: bool) {
    let scripted = system.models.is_scripted();
    if as_json {
        print::json(
            &json!({ "url": format!("http://{at}"), "workflows": workflows, "scripted": scripted, "key": secret }),
        );
        return;
    }
    print::line(format_args!("Baton listens at http://{at}, with {workflows} workflows."));
    if scripted {
        print::line("No model is set up: replies come from the project's replies/ files.");
    }
    if let Some(secret) = secret {
        print::line("This is its first start. Here is an admin key, good for 90 days and shown this once:");
        print::line(format_args!("  {secret}"));
        print::line(format_args!(
            "Try it: curl http://{at}/v1/chat/completions -H \"Authorization: Bearer {secret}\" \
             -H \"Content-Type: application/json\" \
             -d '{{\"model\": \"balanced\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'"
        ));
    }
    print::line("Ctrl-C stops it: requests under way finish, runs go on at the next start.");
}

/// Ready once the process is asked to end, by a person or by its supervisor.
async fn told_to_stop() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}
