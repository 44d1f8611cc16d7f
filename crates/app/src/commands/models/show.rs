//! `baton models show`: one model, or one profile.

use baton_core::model::ModelProfile;
use baton_models::{ModelHealth, profile};
use baton_ports::models::ModelListing;
use serde_json::{Value, json};

use super::ProjectModels;
use crate::cli::models::ModelShowArgs;
use crate::project::Project;
use crate::{CommandExit, print};

pub async fn run(project: &Project, args: &ModelShowArgs) -> anyhow::Result<CommandExit> {
    let known = ProjectModels::read(project).await?;
    match profile::from_word(&args.name) {
        Some(wanted) => show_profile(&known, wanted, args),
        None => show_model(&known, args)?,
    }
    Ok(CommandExit::Completed)
}

fn show_model(known: &ProjectModels, args: &ModelShowArgs) -> anyhow::Result<()> {
    let models = known.gateway.models(&known.tenant);
    let model = models.iter().find(|model| model.name == args.name).ok_or_else(|| known.unknown_model(&args.name))?;
    let fare = known.gateway.model_health().into_iter().find(|fare| fare.model == args.name);
    let profiles: Vec<Value> = profile::ALL.into_iter().filter_map(|wanted| place(known, wanted, &args.name)).collect();
    if args.json {
        print::pretty(&json!({
            "name": model.name, "provider": model.provider, "facts": model.facts, "unusable": model.unusable,
            "profiles": profiles, "fares": fare,
        }));
    } else {
        print_model(model, fare.as_ref(), &profiles);
    }
    Ok(())
}

/// The position of a model in a profile.
fn place(known: &ProjectModels, wanted: ModelProfile, model: &str) -> Option<Value> {
    let groups = known.gateway.rules(&known.tenant, wanted).groups;
    let group = groups.iter().position(|group| group.iter().any(|name| name == model))?;
    Some(json!({ "profile": profile::word(wanted), "group": group + 1 }))
}

fn print_model(model: &ModelListing, fare: Option<&ModelHealth>, profiles: &[Value]) {
    print::line(format_args!("{} at {}", model.name, model.provider));
    let fact = |name: &str, value: String| print::line(format_args!("  {name:<28} {value}"));
    match json!(model.facts) {
        Value::Object(facts) => {
            let shown = facts.iter().filter(|(name, _)| *name != "provider");
            shown.for_each(|(name, value)| fact(name, plain_text(value)));
        }
        _ => fact(
            "facts",
            "none: it is not asked where a budget bounds the call, until models.yaml has its price".to_owned(),
        ),
    }
    for place in profiles {
        fact("profile", format!("{}, group {}", plain_text(&place["profile"]), place["group"]));
    }
    if let Some(fare) = fare {
        fact("circuit", plain_text(&json!(fare.circuit)));
    }
    fact("usable", model.unusable.as_ref().map_or("yes".to_owned(), |why| format!("no: {why}")));
}

fn show_profile(known: &ProjectModels, wanted: ModelProfile, args: &ModelShowArgs) {
    let rules = known.gateway.rules(&known.tenant, wanted);
    let preview = known.gateway.preview(&known.tenant, wanted, args.tokens);
    if args.json {
        print::pretty(&known.gateway.profile(&known.tenant, wanted, args.tokens));
        return;
    }
    let weights = rules.weights;
    print::line(format_args!(
        "{}: at most {} and {} ms a call; latency {:.2}, cost {:.2}, quality {:.2}",
        profile::word(wanted),
        rules.max_cost,
        rules.max_latency.as_millis(),
        weights.latency,
        weights.cost,
        weights.quality
    ));
    print::line(format_args!("\nfor a request of {} tokens, now:", args.tokens));
    print_choice(&preview);
}

/// Prints a recorded model choice.
pub fn print_choice(choice: &Value) {
    print::line(format_args!("  {}", plain_text(&choice["reasoning"])));
    for candidate in choice["candidates"].as_array().into_iter().flatten() {
        print::line(format_args!(
            "  {:<24} score {:.4} = latency {:.2}, cost {:.2}, quality {:.2}; about ${:.6}, {} ms; group {}",
            plain_text(&candidate["model"]),
            number(&candidate["score"]),
            number(&candidate["latency_score"]),
            number(&candidate["cost_score"]),
            number(&candidate["quality_score"]),
            number(&candidate["estimated_cost_usd"]),
            candidate["expected_latency_ms"],
            candidate["group"],
        ));
    }
    for dropped in choice["dropped"].as_array().into_iter().flatten() {
        print::line(format_args!(
            "  {:<24} not asked: {}",
            plain_text(&dropped["model"]),
            plain_text(&dropped["says"])
        ));
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}

/// A string without its quotes.
fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
