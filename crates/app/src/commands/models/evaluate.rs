//! `baton models evaluate`: compares routing profiles on a table of outcomes.

use std::io::BufReader;
use std::path::Path;

use baton_core::model::ModelProfile;
use baton_models::evaluate::{self, OutcomeFormat, ProfileResult, RouterEvaluation};
use baton_models::profile;
use baton_ports::clock::{Clock, SystemClock};
use serde_json::json;

use crate::cli::models::ModelEvaluateArgs;
use crate::project::{Project, display_path};
use crate::{CommandExit, UsageError, print};

pub fn run(project: &Project, args: &ModelEvaluateArgs) -> anyhow::Result<CommandExit> {
    let profiles = profiles(&args.profiles)?;
    let file = &args.file;
    let unreadable = |error: std::io::Error| UsageError::new(format!("{} cannot be read: {error}", display_path(file)));
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(UsageError::new(format!("{} is no file", display_path(file))).into());
    }
    let input = BufReader::new(std::fs::File::open(file).map_err(unreadable)?);
    let table = evaluate::read(input, format(file))
        .map_err(|problem| UsageError::new(format!("{}: {problem}", display_path(file))).hint(HINT))?;
    let evaluation = evaluate::evaluate(&table, &project.settings.models, &profiles, SystemClock.now())
        .map_err(|error| UsageError::new(error.to_string()).code(error.code()))?;
    if args.json {
        print::pretty(&json!(evaluation));
    } else {
        print_evaluation(&evaluation);
    }
    Ok(CommandExit::Completed)
}

const HINT: &str = "a table has prompt, model, score and cost a row, or RouterBench's columns: docs/guides/models.md";

/// The format, by the file extension.
fn format(file: &Path) -> OutcomeFormat {
    let is_lines = file.extension().is_some_and(|end| ["jsonl", "ndjson", "json"].iter().any(|known| end == *known));
    if is_lines { OutcomeFormat::Jsonl } else { OutcomeFormat::Csv }
}

fn profiles(names: &[String]) -> anyhow::Result<Vec<ModelProfile>> {
    if names.is_empty() {
        return Ok(profile::ALL.into());
    }
    let of = |name: &String| {
        profile::from_word(name).ok_or_else(|| {
            UsageError::new(format!("no profile `{name}`")).hint("there are fast, balanced and powerful").into()
        })
    };
    names.iter().map(of).collect()
}

fn print_evaluation(evaluation: &RouterEvaluation) {
    let names = evaluation.models.iter().map(|single| single.model.len());
    let width = names.max().unwrap_or(0).max("balanced".len() + 2);
    print::line(print::count_noun(evaluation.prompts, "prompt"));
    let title = format!("{:<width$}  {:>8}  {:>12}  {:>10}", "", "QUALITY", "COST", "PROMPTS");
    print::line(print::paint("1", title.trim_end()));
    let line = |name: &str, quality: f64, cost: f64, more: String| {
        print::line(format!("{name:<width$}  {quality:>8.4}  ${cost:>11.4}  {more}").trim_end());
    };
    for single in &evaluation.models {
        let mut more = format!("{:>10}", single.prompts);
        if single.model == evaluation.best_single {
            more.push_str("  best single model");
        }
        if single.facts_from_table {
            more.push_str("  *");
        }
        line(&single.model, single.mean.quality, single.mean.cost_usd, more);
    }
    line("oracle", evaluation.oracle.quality, evaluation.oracle.cost_usd, format!("{:>10}", evaluation.prompts));
    print::line("");
    for routed in &evaluation.profiles {
        line(routed.profile, routed.mean.quality, routed.mean.cost_usd, routing_label(routed));
    }
    if evaluation.models.iter().any(|single| single.facts_from_table) {
        print::line(
            "\n* no catalogue knows it: its facts are this table's own, so the judgement is on the data it was made of",
        );
    }
}

/// The result of a profile compared with the others, and the models it chose.
fn routing_label(routed: &ProfileResult) -> String {
    let chosen: Vec<String> = routed.chosen.iter().map(|(model, count)| format!("{model} {count}")).collect();
    let mut text = format!(
        "{:.1} % of the best single model's quality at {:.1} % of its cost; {:.1} % of the oracle's quality; {}",
        routed.of_best_single_quality * 100.0,
        routed.of_best_single_cost * 100.0,
        routed.of_oracle_quality * 100.0,
        chosen.join(", ")
    );
    if routed.unanswered > 0 {
        text.push_str(&format!("; {} unanswered", routed.unanswered));
    }
    if routed.all_were_candidates {
        text.push_str("; none of its own models is in the table, so all were candidates");
    }
    text
}
