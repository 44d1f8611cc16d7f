//! The command line: commands, arguments and help texts.

mod agents;
mod approvals;
mod audit;
mod checks;
mod customers;
mod desk;
mod keys;
mod knowledge;
pub mod models;
mod money;
mod outbox;
mod people;
mod runs;
mod schedules;
mod secrets;
mod tenants;
mod tools;
mod workflows;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use agents::{AgentsCommand, AgentsListArgs, CostClassArg, GenerateArgs};
pub use approvals::{ApprovalDecisionArgs, ApprovalsCommand};
pub use audit::{AuditCommand, AuditListArgs, AuditStatusArg, AuditTenantArgs};
pub use checks::{
    BenchArgs, DoctorArgs, EvalArgs, EvalLanguageArg, GraphArgs, GraphFormatArg, ReferencePageArg, TestArgs,
    ValidateArgs, VerifyArgs,
};
pub use customers::{CustomerArgs, CustomersCommand};
pub use desk::{TaskInboxCommand, TaskResolveArgs};
pub use keys::{KeyCreateArgs, KeyRoleArg, KeyRotateArgs, KeysCommand};
pub use knowledge::{
    KnowledgeAddArgs, KnowledgeCommand, KnowledgeEvalArgs, KnowledgeForgetArgs, KnowledgeListArgs,
    KnowledgeReindexArgs, KnowledgeRemoveArgs, KnowledgeSearchArgs, SearchModeArg,
};
pub use money::{BudgetsArgs, BudgetsCommand, CostGroupArg, CostsArgs, CostsCommand, CostsShowArgs, RoiArgs};
pub use outbox::{OutboxCommand, OutboxListArgs};
pub use people::{PeopleCommand, PersonPutArgs};
pub use runs::{RunActionArgs, RunArgs, RunKeyArgs, RunListArgs, RunSelectorArgs, RunWorkArgs, RunsCommand};
pub use schedules::{ScheduleSelectorArgs, SchedulesCommand};
pub use secrets::SecretsCommand;
pub use tenants::TenantsCommand;
pub use tools::{
    AccountOwnerArgs, ToolCallArgs, ToolConnectArgs, ToolConnectionsArgs, ToolDisconnectArgs, ToolListArgs,
    ToolRefreshArgs, ToolReportArgs, ToolSearchArgs, ToolUsageArgs, ToolsCommand, UsageGroupArg,
};
pub use workflows::{ExportArgs, WorkflowFormatArg, WorkflowImportArgs, WorkflowsCommand};

const AFTER_HELP: &str = "\
Exit codes: 0 completed, 1 failed, 2 wrong usage or an invalid definition, 3 waiting,
4 stopped before everything was given back, 130 stopped by hand.
Most commands take --json for programs. Settings are in baton.toml; every key is also a BATON_* variable.";

/// Baton runs work in which AI agents, tools and people pass the baton to each other, and nothing is dropped.
#[derive(Debug, Parser)]
#[command(name = "baton", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct BatonCli {
    /// The project folder.
    #[arg(long, short = 'C', global = true, default_value = ".", value_name = "FOLDER")]
    pub project: PathBuf,
    #[command(subcommand)]
    pub command: CliCommand,
}

#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Book an appointment end to end, be killed half-way, come back and finish; then be refused a card.
    Demo(DemoArgs),
    /// Make a project folder to start from.
    Init(InitArgs),
    /// Run a workflow to its end, or to where it waits.
    Run(RunArgs),
    /// Move runs and answer requests, until told to stop.
    Serve(ServeArgs),
    /// Look at runs, and act on them.
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Look at schedules, begin one now, pause and resume them.
    #[command(subcommand)]
    Schedules(SchedulesCommand),
    /// What agents know: add documents, search them, measure the search.
    #[command(subcommand)]
    Knowledge(KnowledgeCommand),
    /// Have a model write a workflow for a goal; it is checked, and mended until it may run.
    Generate(GenerateArgs),
    /// Look at versions of workflows.
    #[command(subcommand)]
    Workflows(WorkflowsCommand),
    /// Write a version of a workflow as YAML or JSON.
    Export(ExportArgs),
    /// Take a workflow in from a file: checked first, then written into workflows/ and saved as a version.
    Import(WorkflowImportArgs),
    /// Look at agents, register them and take them out.
    #[command(subcommand)]
    Agents(AgentsCommand),
    /// Look at tools: what can be called, and what of the project's documents cannot.
    #[command(subcommand)]
    Tools(ToolsCommand),
    /// Look at what waits for a yes or a no, and decide it.
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// Look at all that waits for people, and settle it.
    #[command(subcommand)]
    Desk(TaskInboxCommand),
    /// Register people: where decision links reach them, and the roles and skills that approvals ask for.
    #[command(subcommand)]
    People(PeopleCommand),
    /// Look at the messages that were written down and not sent, since no account or server is set up.
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Look at the audit trail: what was done and by whom; check that it is whole; erase a person.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Hand over all that is kept of a customer, or erase them from every store.
    #[command(subcommand)]
    Customers(CustomersCommand),
    /// Look at models: what they cost, why each was asked, what choosing saves.
    #[command(subcommand)]
    Models(models::ModelsCommand),
    /// What was spent on models: by model, agent, workflow, day.
    Costs(CostsArgs),
    /// What may be spent on models, what is spent, and when it begins anew.
    Budgets(BudgetsArgs),
    /// API keys: who may come in over HTTP. Works without a server too, so a lost admin key locks nobody out.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Tenants: made, listed, shut and opened again.
    #[command(subcommand)]
    Tenants(TenantsCommand),
    /// Secrets for `{{ secrets.NAME }}` of tools, sealed in the database.
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Check definitions: each finding with its file, line, column and a way out.
    Validate(ValidateArgs),
    /// Draw a workflow.
    Graph(GraphArgs),
    /// Evaluate an expression.
    Eval(EvalArgs),
    /// Run the workflow tests of a project.
    Test(TestArgs),
    /// Measure this machine: steps per second against what its disk allows, parked runs, recovery.
    Bench(BenchArgs),
    /// Check that everything a project needs is there.
    Doctor(DoctorArgs),
    /// Check that what was recorded is whole: the database's pages, every journal, the audit trail, and all that is
    /// derived of them.
    Verify(VerifyArgs),
    /// Print a shell's completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print a generated reference page.
    #[command(hide = true)]
    Reference { page: ReferencePageArg },
    /// One part of the demo or of a measurement, as a process of its own.
    #[command(hide = true)]
    Part {
        name: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// A process that gives up everything and runs what agents write. The pool starts it.
    #[command(hide = true)]
    SandboxChild(SandboxChildArgs),
    /// A process between Baton and an MCP server that is a program: it ends the server when Baton ends.
    #[command(hide = true)]
    Attend {
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub struct SandboxChildArgs {
    /// What programs may take above what the process needs at rest.
    #[arg(long)]
    pub memory_bytes: u64,
    /// Processor time of all its programs together.
    #[arg(long)]
    pub cpu_seconds: u64,
    /// Run programs even where this machine cannot hold them.
    #[arg(long)]
    pub unconfined: bool,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Do not wait between the steps that are told.
    #[arg(long)]
    pub fast: bool,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to make; it must be new or empty.
    pub folder: PathBuf,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen; port 0 takes one that is free.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Make a project first where the folder is none, as `baton init` does.
    #[arg(long)]
    pub init: bool,
    /// Say where it listens, and the first key, as JSON on one line.
    #[arg(long)]
    pub json: bool,
}
