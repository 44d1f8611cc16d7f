//! Arguments of `baton costs` and `baton budgets`.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct CostsArgs {
    #[command(subcommand)]
    pub command: Option<CostsCommand>,
    #[command(flatten)]
    pub show: CostsShowArgs,
}

#[derive(Debug, Subcommand)]
pub enum CostsCommand {
    /// What it is worth: your own numbers, and what was recorded. Nothing is assumed.
    Roi(RoiArgs),
}

/// Each number is yours; one that does not apply is told as 0.
#[derive(Debug, Args)]
pub struct RoiArgs {
    /// Conversations of the period, those included that people took over.
    #[arg(long, value_name = "COUNT")]
    pub conversations: Option<u64>,
    /// How many of a hundred no person had to touch.
    #[arg(long, value_name = "PERCENT")]
    pub handled: Option<f64>,
    /// How many minutes a person takes for one.
    #[arg(long, value_name = "MINUTES")]
    pub minutes: Option<f64>,
    /// What a minute of a person costs, in US dollars.
    #[arg(long, value_name = "USD")]
    pub minute_usd: Option<f64>,
    /// What running it cost in the period beside models and tools: machines, contracts, people.
    #[arg(long, value_name = "USD")]
    pub other_usd: Option<f64>,
    /// What bringing it in cost, once.
    #[arg(long, value_name = "USD")]
    pub once_usd: Option<f64>,
    /// The first day of the period, in UTC; the last 30 days unless told.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub from: Option<String>,
    /// Its last day; today unless told.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub to: Option<String>,
    /// As JSON; as Markdown unless told.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CostsShowArgs {
    /// What rows are apart by; may be repeated.
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',', default_value = "model")]
    pub by: Vec<CostGroupArg>,
    /// From this day on, in UTC; the last 30 days unless told.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub from: Option<String>,
    /// Up to this day.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub to: Option<String>,
    /// Of every tenant of the database.
    #[arg(long)]
    pub all_tenants: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CostGroupArg {
    Day,
    Tenant,
    Key,
    Workflow,
    Agent,
    Profile,
    Model,
    Provider,
}

/// Parses a day in the format that tables use.
fn day(text: &str) -> Result<String, String> {
    let at: Result<baton_core::time::Time, _> = format!("{text}T00:00:00Z").parse();
    match at {
        Ok(at) if at.to_date() == text => Ok(text.to_owned()),
        _ => Err("a day is written YYYY-MM-DD".to_owned()),
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BudgetsArgs {
    #[command(subcommand)]
    pub command: Option<BudgetsCommand>,
    #[command(flatten)]
    pub show: BudgetsShowArgs,
}

#[derive(Debug, Subcommand)]
pub enum BudgetsCommand {
    /// Each line: its limit, what is spent and held of it, what is left, and when it begins anew.
    Show(BudgetsShowArgs),
}

#[derive(Debug, Args)]
pub struct BudgetsShowArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
