//! `baton models circuits`: models that are left alone, and people's words on them.

use baton_ports::circuits::{Circuit, Circuits as _, State};
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::models::meant;
use serde_json::json;

use super::{Known, store};
use crate::cli::models::Circuits;
use crate::project::Project;
use crate::wire::System;
use crate::{Exit, Misuse, print};

pub async fn run(project: &Project, args: &Circuits) -> anyhow::Result<Exit> {
    if let Some((model, state)) = asked(args) {
        set(project, args, model, state).await?;
    }
    let circuits = match store(project)? {
        Some(store) => store.circuits().await?,
        None => Vec::new(),
    };
    let now = SystemClock.now();
    let is_open = |circuit: &&Circuit| circuit.state == State::Open;
    if args.json {
        print::pretty(&json!({ "circuits": circuits.iter().map(|circuit| circuit.as_json(now)).collect::<Vec<_>>() }));
        return Ok(Exit::Completed);
    }
    if !circuits.iter().any(|circuit| is_open(&circuit)) {
        print::line("every model is in use: no circuit is open");
    }
    for circuit in circuits.iter().filter(is_open) {
        print::line(format_args!(
            "{:<24} {:<10} since {} by {}: {}",
            circuit.model,
            circuit.word(now),
            circuit.since,
            circuit.by,
            said(&circuit.reason)
        ));
    }
    Ok(Exit::Completed)
}

fn asked(args: &Circuits) -> Option<(&str, State)> {
    let open = args.open.as_deref().map(|model| (model, State::Open));
    open.or(args.close.as_deref().map(|model| (model, State::Closed)))
}

/// Every process that asks models of this database hears it within a second.
async fn set(project: &Project, args: &Circuits, model: &str, state: State) -> anyhow::Result<()> {
    let known = Known::read(project).await?;
    let models = known.gateway.models(&known.tenant);
    let model = meant(&models, model);
    if !models.iter().any(|found| found.name == model) {
        let told = match store(project)? {
            Some(store) => store.circuits().await?,
            None => Vec::new(),
        };
        // One that was asked for by a name no catalogue has may have failed too.
        if !told.iter().any(|circuit| circuit.model == model) {
            return Err(known.unknown(model).into());
        }
    }
    let circuit = Circuit {
        model: model.to_owned(),
        state,
        until: None,
        since: SystemClock.now(),
        by: args.by.clone(),
        reason: args.reason.clone(),
    };
    let system = System::open(project)?;
    system.store.set(circuit).await.map_err(|error| Misuse::new(error.to_string()).into())
}

fn said(reason: &str) -> &str {
    if reason.is_empty() { "no reason was given" } else { reason }
}
