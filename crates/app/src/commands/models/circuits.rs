//! `baton models circuits`: models whose circuit is open, and manual overrides.

use baton_ports::circuits::{ModelCircuit, ModelCircuitState, ModelCircuitStore as _};
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::models::resolve_name;
use serde_json::json;

use super::{ProjectModels, store};
use crate::cli::models::CircuitsArgs;
use crate::project::Project;
use crate::wiring::ProjectSystem;
use crate::{CommandExit, UsageError, print};

pub async fn run(project: &Project, args: &CircuitsArgs) -> anyhow::Result<CommandExit> {
    if let Some((model, state)) = requested_state(args) {
        set(project, args, model, state).await?;
    }
    let circuits = match store(project)? {
        Some(store) => store.circuits().await?,
        None => Vec::new(),
    };
    let now = SystemClock.now();
    let is_open = |circuit: &&ModelCircuit| circuit.state == ModelCircuitState::Open;
    if args.json {
        print::pretty(&json!({ "circuits": circuits.iter().map(|circuit| circuit.as_json(now)).collect::<Vec<_>>() }));
        return Ok(CommandExit::Completed);
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
            reason_label(&circuit.reason)
        ));
    }
    Ok(CommandExit::Completed)
}

fn requested_state(args: &CircuitsArgs) -> Option<(&str, ModelCircuitState)> {
    let open = args.open.as_deref().map(|model| (model, ModelCircuitState::Open));
    open.or(args.close.as_deref().map(|model| (model, ModelCircuitState::Closed)))
}

/// Every process that calls models with this database sees the change within a second.
async fn set(project: &Project, args: &CircuitsArgs, model: &str, state: ModelCircuitState) -> anyhow::Result<()> {
    let known = ProjectModels::read(project).await?;
    let models = known.gateway.models(&known.tenant);
    let model = resolve_name(&models, model);
    if !models.iter().any(|found| found.name == model) {
        let told = match store(project)? {
            Some(store) => store.circuits().await?,
            None => Vec::new(),
        };
        // A model that no catalogue contains may have failed too.
        if !told.iter().any(|circuit| circuit.model == model) {
            return Err(known.unknown_model(model).into());
        }
    }
    let circuit = ModelCircuit {
        model: model.to_owned(),
        state,
        until: None,
        since: SystemClock.now(),
        by: args.by.clone(),
        reason: args.reason.clone(),
    };
    let system = ProjectSystem::open(project)?;
    system.store.set(circuit).await.map_err(|error| UsageError::new(error.to_string()).into())
}

fn reason_label(reason: &str) -> &str {
    if reason.is_empty() { "no reason was given" } else { reason }
}
