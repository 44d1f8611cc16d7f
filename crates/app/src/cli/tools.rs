//! Arguments of `baton tools`.

use baton_core::time::Time;
use baton_core::usage::IsoWeek;
use clap::{Args, Subcommand, ValueEnum};

/// Maximum number of tools that one search returns.
const TOOLS_FOUND_MAX: i64 = 50;

#[derive(Debug, Subcommand)]
pub enum ToolsCommand {
    /// The tools there are: shipped, defined in `tools/`, out of OpenAPI documents, and of Composio.
    List(ToolListArgs),
    /// The tools that fit what you want to do, the best first.
    Search(ToolSearchArgs),
    /// One tool: its arguments, what it may do, how it is undone.
    Show {
        /// Its name.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Call one tool, as a run of its own: checked, approved, audited and never done twice, like every call.
    Call(ToolCallArgs),
    /// How tools are used: counts, success, latency, errors, cost, by whatever is asked.
    Usage(ToolUsageArgs),
    /// The report of one week, as Markdown.
    Report(ToolReportArgs),
    /// What of the project's OpenAPI documents no tool can use, or not fully.
    Unsupported {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look up anew which actions the Composio toolkits have.
    Refresh(ToolRefreshArgs),
    /// Connect an account of a Composio app: prints the address where its owner signs in.
    Connect(ToolConnectArgs),
    /// The accounts that are connected, and how each stands.
    Connections(ToolConnectionsArgs),
    /// Revoke a connected account, and forget it.
    Disconnect(ToolDisconnectArgs),
}

#[derive(Debug, Args)]
pub struct ToolListArgs {
    /// Only those whose names or descriptions have all of these words.
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// Only those of a category: `calendar`, `communication`, `payment`, …
    #[arg(long)]
    pub category: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ToolSearchArgs {
    /// What you want to do, in your own words.
    #[arg(required = true)]
    pub words: Vec<String>,
    /// How many.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=TOOLS_FOUND_MAX))]
    pub limit: u32,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ToolCallArgs {
    /// Its name, as `tools list` shows it.
    pub name: String,
    /// Its arguments: JSON, @FILE, or @- for standard input.
    #[arg(long, short, value_name = "JSON|@FILE", default_value = "{}")]
    pub input: String,
    /// One argument; may be repeated. A value that is JSON keeps its type, but for an argument that takes only text.
    #[arg(long = "set", short = 's', value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// On whose behalf, as a run's context says it: JSON, or @FILE.
    #[arg(long, value_name = "JSON|@FILE", default_value = "null")]
    pub context: String,
    /// The run's id; one that runs or is done is refused, so the same call is not made twice.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Return once the call is accepted, without making it.
    #[arg(long)]
    pub detach: bool,
    /// The result's envelope as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ToolRefreshArgs {
    /// Pin the newest version of each toolkit whose version the settings do not say.
    #[arg(long)]
    pub newest: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ToolConnectArgs {
    /// The app, as in `shopify`.
    pub app: String,
    #[command(flatten)]
    pub whose: AccountOwnerArgs,
    /// Where the browser is sent afterwards; `baton serve` itself where `callback_base` is set under
    /// `[tools.composio]`.
    #[arg(long, value_name = "URL")]
    pub callback: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ToolConnectionsArgs {
    /// Only what is kept here; Composio is not asked.
    #[arg(long)]
    pub kept: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ToolDisconnectArgs {
    /// The app, as in `shopify`.
    pub app: String,
    #[command(flatten)]
    pub whose: AccountOwnerArgs,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Whose account it is: the company's unless told.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct AccountOwnerArgs {
    /// A user's, by the `user_id` of their runs.
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// A conversation's.
    #[arg(long, value_name = "ID")]
    pub conversation: Option<String>,
    /// An agent's, by its name.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// That of a name which `entity_id_source` says.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct ToolUsageArgs {
    /// What rows are apart by; may be repeated.
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',', default_value = "tool")]
    pub by: Vec<UsageGroupArg>,
    /// Only this tool.
    #[arg(long)]
    pub tool: Option<String>,
    /// From this day or instant on, in UTC; the last 30 days unless told.
    #[arg(long, value_name = "YYYY-MM-DD|TIME", value_parser = Time::parse_day_start)]
    pub from: Option<Time>,
    /// Up to this day, or before this instant.
    #[arg(long, value_name = "YYYY-MM-DD|TIME", value_parser = Time::parse_day_end)]
    pub to: Option<Time>,
    /// Of every tenant of the database.
    #[arg(long)]
    pub all_tenants: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum UsageGroupArg {
    Tool,
    /// What tools are of: an app of Composio, an MCP server, a document.
    App,
    Tenant,
    Agent,
    User,
    Day,
    Month,
}

#[derive(Debug, Args)]
pub struct ToolReportArgs {
    /// The week, Monday to Sunday in the zone of the settings; the last whole one unless told.
    #[arg(long, value_name = "YYYY-Www")]
    pub week: Option<IsoWeek>,
    /// As a page of HTML.
    #[arg(long, conflicts_with = "json")]
    pub html: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
