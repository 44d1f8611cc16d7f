//! `baton models decisions`: why each model was chosen, and the result of the attempt.

use baton_core::id::RunId;
use baton_ports::decisions::{DecisionFilter, DecisionLog as _, ModelDecision};
use serde_json::{Value, json};

use super::store;
use crate::cli::models::DecisionsArgs;
use crate::project::Project;
use crate::{CommandExit, print};

pub async fn run(project: &Project, args: &DecisionsArgs) -> anyhow::Result<CommandExit> {
    let tenant = project.settings.tenant.as_str().into();
    let filter = DecisionFilter { run: args.run.as_deref().map(RunId::from), key: None, limit: args.limit as usize };
    let found = match store(project)? {
        Some(store) => store.decisions(&tenant, filter).await?,
        None => Vec::new(),
    };
    if args.json {
        print::pretty(&found.iter().map(as_json).collect());
    } else if found.is_empty() {
        print::line("no model was asked");
    } else {
        for decision in found.iter().rev() {
            print_decision(decision);
            if let Some(why) = choice(decision).as_ref().and_then(|choice| choice["reasoning"].as_str()) {
                print::line(format_args!("  {why}"));
            }
        }
    }
    Ok(CommandExit::Completed)
}

/// With the column names of `llm_routing_decisions`.
pub fn as_json(decision: &ModelDecision) -> Value {
    let mut shown = json!(decision);
    let choice = choice(decision);
    if let Value::Object(fields) = &mut shown {
        fields.insert("estimated_cost".into(), json!(decision.estimated_cost.as_f64()));
        fields.insert("actual_cost".into(), json!(decision.actual_cost.as_f64()));
        fields.insert("created_at".into(), json!(decision.created_at.to_string()));
        fields.remove("explanation");
        fields.insert("choice".into(), choice.unwrap_or_default());
    }
    shown
}

/// The model choice, if it is recorded with this attempt.
pub fn choice(decision: &ModelDecision) -> Option<Value> {
    serde_json::from_str(decision.explanation.as_deref()?).ok()
}

/// Prints one attempt on one line.
pub fn print_decision(decision: &ModelDecision) {
    let outcome = match (&decision.error_code, decision.cached) {
        (Some(code), _) => print::paint("31", code),
        (None, true) => "from the cache".to_owned(),
        (None, false) => format!("{} in {} ms", decision.actual_cost, decision.latency_ms),
    };
    let whom = if decision.model.is_empty() { "nobody" } else { decision.model.as_str() };
    print::line(format_args!(
        "{}  {:<32} {:<10} {whom:<20} {outcome}",
        decision.created_at,
        decision.key,
        baton_models::profile::word(decision.profile),
    ));
}
