//! `baton models list`.

use baton_ports::models::ModelListing;
use serde_json::{Value, json};

use super::ProjectModels;
use crate::cli::models::ModelListArgs;
use crate::project::Project;
use crate::{CommandExit, print};

pub async fn run(project: &Project, args: &ModelListArgs) -> anyhow::Result<CommandExit> {
    let known = ProjectModels::read(project).await?;
    let models = known.gateway.models(&known.tenant);
    if args.json {
        print::pretty(&json!({ "scripted": known.gateway.is_scripted(), "models": models }));
    } else {
        print_models(&models);
        if known.gateway.is_scripted() {
            print::line("\nReplies come from replies/: no provider is set up. The router chooses all the same.");
        }
    }
    Ok(CommandExit::Completed)
}

/// Prints one line for each model. Prices are in US dollars per million tokens.
fn print_models(models: &[ModelListing]) {
    let width =
        |title: &str, of: &dyn Fn(&ModelListing) -> usize| models.iter().map(of).max().unwrap_or(0).max(title.len());
    let name = width("MODEL", &|model| model.name.len());
    let provider = width("PROVIDER", &|model| model.provider.len());
    let title = format!(
        "{:<name$}  {:<provider$}  {:>8}  {:>8}  {:>9}  {:>7}  {:>8}  NOTE",
        "MODEL", "PROVIDER", "$/M IN", "$/M OUT", "CONTEXT", "QUALITY", "LATENCY"
    );
    print::line(print::paint("1", title.trim_end()));
    for model in models {
        let facts = json!(model.facts);
        let cell = |key: &str, unit: &str| match facts.get(key) {
            None | Some(Value::Null) => "-".to_owned(),
            Some(value) => format!("{value}{unit}"),
        };
        let note = model.unusable.as_deref().unwrap_or_default();
        let row = format!(
            "{:<name$}  {:<provider$}  {:>8}  {:>8}  {:>9}  {:>7}  {:>8}  {note}",
            model.name,
            model.provider,
            cell("input_usd_per_million", ""),
            cell("output_usd_per_million", ""),
            cell("context_tokens", ""),
            cell("quality", ""),
            cell("latency_ms", " ms"),
        );
        print::line(row.trim_end());
    }
}
