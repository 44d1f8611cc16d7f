//! Arguments of `baton models`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Maximum number of decisions in one list.
const DECISIONS_LISTED_MAX: i64 = 10_000;

#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// Every model: who serves it, what it costs, and what stands against it now.
    List(ModelListArgs),
    /// One model's facts; or a profile's rules, and whom it would ask now and why.
    Show(ModelShowArgs),
    /// Take prices from the public LiteLLM price map, into models.imported.yaml.
    Import(PriceImportArgs),
    /// Replay a table of outcomes (prompt, model, score, cost) through the router, beside the best single model and an
    /// oracle.
    Evaluate(ModelEvaluateArgs),
    /// Models that are left alone because they fail; take one out of use, or back into it.
    Circuits(CircuitsArgs),
    /// Why each model was asked, and what came of it: the newest, a line or two each.
    Decisions(DecisionsArgs),
    /// Why the models of one run, or of one call, were asked: candidates with their scores, and who was dropped and
    /// why.
    Explain(ExplainArgs),
    /// What choosing models saves: an example, your own numbers, or what was recorded.
    Savings(SavingsArgs),
}

#[derive(Debug, Args)]
pub struct ModelListArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ModelShowArgs {
    /// A model's name, or `fast`, `balanced` or `powerful`.
    pub name: String,
    /// For a profile: the size of the request that is imagined, in tokens.
    #[arg(long, default_value_t = 1_000)]
    pub tokens: u64,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct PriceImportArgs {
    /// The price map, `model_prices_and_context_window.json`.
    pub file: PathBuf,
    /// Only models of this provider, by its name there; may be repeated. Unless told: openai, anthropic, and those that
    /// are set up here.
    #[arg(long = "provider", value_name = "PROVIDER", conflicts_with = "all")]
    pub providers: Vec<String>,
    /// Models of all providers.
    #[arg(long)]
    pub all: bool,
    /// Print what would be written, and write nothing.
    #[arg(long)]
    pub print: bool,
    /// What was taken, as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ModelEvaluateArgs {
    /// CSV with a head line, or JSON Lines (.jsonl): RouterBench's form, or one outcome a row.
    pub file: PathBuf,
    /// Only this profile; may be repeated.
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CircuitsArgs {
    /// Take this model out of use until it is closed.
    #[arg(long, value_name = "MODEL", conflicts_with = "close")]
    pub open: Option<String>,
    /// Ask this model again.
    #[arg(long, value_name = "MODEL")]
    pub close: Option<String>,
    /// Why, for those who look.
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Who acts.
    #[arg(long, env = "USER", default_value = "cli")]
    pub by: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DecisionsArgs {
    /// Only those of this run.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=DECISIONS_LISTED_MAX))]
    pub limit: u32,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A run, or the key of a call as the decisions and the journal show it.
    #[arg(value_name = "RUN|KEY")]
    pub what: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SavingsArgs {
    /// Conversations a day.
    #[arg(long, default_value_t = 1_000)]
    pub conversations: u64,
    /// Days of a month.
    #[arg(long, default_value_t = 30)]
    pub days: u64,
    /// What one conversation costs with the one model for everything, in US dollars.
    #[arg(long, value_name = "USD")]
    pub naive: Option<f64>,
    /// A profile's share of the conversations in per cent, and what one costs with it; may be repeated, and then all
    /// shares are to be told.
    #[arg(long = "share", value_name = "PROFILE=PERCENT:USD")]
    pub shares: Vec<String>,
    /// From the decisions recorded here: what was paid, against the same tokens at one model's price.
    #[arg(long, conflicts_with_all = ["shares", "naive"])]
    pub recorded: bool,
    /// With --recorded: the one model.
    #[arg(long, value_name = "MODEL", default_value = "gpt-4", requires = "recorded")]
    pub against: String,
    /// With --recorded: how far back.
    #[arg(long, value_name = "DURATION", default_value = "30d", requires = "recorded")]
    pub since: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
