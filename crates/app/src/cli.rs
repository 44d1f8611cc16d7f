//! The command line: what may be asked, and the help that says so.

mod knowledge;
pub mod models;
mod tools;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use knowledge::{
    Knowledge, KnowledgeAdd, KnowledgeEval, KnowledgeForget, KnowledgeList, KnowledgeReindex, KnowledgeRemove,
    KnowledgeSearch, Mode,
};
pub use tools::{Tools, ToolsList};

/// Runs one list may show.
const RUNS_LISTED_MAX: i64 = 100_000;

const AFTER_HELP: &str = "\
Exit codes: 0 completed, 1 failed, 2 wrong usage or an invalid definition, 3 waiting.
Most commands take --json for programs. Settings are in baton.toml; every key is also a BATON_* variable.";

/// Baton runs work in which AI agents, tools and people pass the baton to each other, and nothing is dropped.
#[derive(Debug, Parser)]
#[command(name = "baton", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// The project folder.
    #[arg(long, short = 'C', global = true, default_value = ".", value_name = "FOLDER")]
    pub project: PathBuf,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Book an appointment end to end, be killed half-way, come back and finish; then be refused a card.
    Demo(Demo),
    /// Make a project folder to start from.
    Init(Init),
    /// Run a workflow to its end, or to where it waits.
    Run(Run),
    /// Move runs and answer requests, until told to stop.
    Serve(Serve),
    /// Look at runs, and act on them.
    #[command(subcommand)]
    Runs(Runs),
    /// What agents know: add documents, search them, measure the search.
    #[command(subcommand)]
    Knowledge(Knowledge),
    /// Have a model write a workflow for a goal; it is checked, and mended until it may run.
    Generate(Generate),
    /// Look at agents, register them and take them out.
    #[command(subcommand)]
    Agents(Agents),
    /// Look at tools: what can be called, and what of the project's documents cannot.
    #[command(subcommand)]
    Tools(Tools),
    /// Look at models: what they cost, why each was asked, what choosing saves.
    #[command(subcommand)]
    Models(models::Models),
    /// What was spent on models: by model, agent, workflow, day.
    Costs(Costs),
    /// What may be spent on models, what is spent, and when it begins anew.
    Budgets(Budgets),
    /// Check definitions: each finding with its file, line, column and a way out.
    Validate(Validate),
    /// Draw a workflow.
    Graph(Graph),
    /// Evaluate an expression.
    Eval(Eval),
    /// Run the workflow tests of a project.
    Test(Test),
    /// Measure this machine: steps per second against what its disk allows, parked runs, recovery.
    Bench(Bench),
    /// Check that everything a project needs is there.
    Doctor(Doctor),
    /// Print a shell's completions.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print a generated reference page.
    #[command(hide = true)]
    Reference { page: Page },
    /// One part of the demo or of a measurement, as a process of its own.
    #[command(hide = true)]
    Part {
        name: String,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// A process that gives up everything and runs what agents write. The pool starts it.
    #[command(hide = true)]
    SandboxChild(SandboxChild),
}

#[derive(Debug, Args)]
pub struct SandboxChild {
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
pub struct Demo {
    /// Do not wait between the steps that are told.
    #[arg(long)]
    pub fast: bool,
}

#[derive(Debug, Args)]
pub struct Init {
    /// The folder to make; it must be new or empty.
    pub folder: PathBuf,
}

#[derive(Debug, Args)]
pub struct Run {
    /// The workflow's name, or its file.
    pub workflow: String,
    /// The input: JSON, @FILE, or @- for standard input.
    #[arg(long, short, value_name = "JSON|@FILE", default_value = "{}")]
    pub input: String,
    /// One input key; may be repeated. A value that is JSON keeps its type, but for a key that is declared as text.
    #[arg(long = "set", short = 's', value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The run's context: JSON, or @FILE.
    #[arg(long, value_name = "JSON|@FILE", default_value = "null")]
    pub context: String,
    /// The run's id; one that runs or is done is refused.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Answers to the agents' questions, in order.
    #[arg(long = "say", value_name = "TEXT")]
    pub says: Vec<String>,
    /// Return once the run is accepted, without moving it.
    #[arg(long)]
    pub detach: bool,
    /// The result as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen; port 0 takes one that is free.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Say where it listens, and the first key, as JSON on one line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Generate {
    /// What the workflow is to achieve, in your own words.
    pub goal: String,
    /// What it is called; the model names it where left out.
    #[arg(long)]
    pub name: Option<String>,
    /// Print it; write no file.
    #[arg(long)]
    pub print: bool,
    /// What came of it, as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Agents {
    /// The tenant's agents, the cheapest first, with how each has done.
    List(AgentsList),
    /// One agent: its definition, and how it has done.
    Show {
        /// Its name.
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make agents known that no file of the project defines.
    Register {
        /// A file like those in `agents/`.
        file: PathBuf,
    },
    /// Forget a registered agent. Versions that name it keep it.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct AgentsList {
    /// Only those that are good for this: `tool_calling`, `structured_output`, `code`, …
    #[arg(long)]
    pub capability: Option<String>,
    /// Only those that are no dearer.
    #[arg(long, value_enum, value_name = "TIER")]
    pub cost_tier: Option<Cost>,
    /// Only those that are well.
    #[arg(long)]
    pub healthy: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Cost {
    Low,
    Medium,
    High,
}

#[derive(Debug, Subcommand)]
pub enum Runs {
    /// Newest first.
    List(RunsList),
    /// One run: state, nodes, outputs, costs, what is open.
    Show(RunsOne),
    /// Its calls in time.
    Timeline(RunsOne),
    /// Counts and durations.
    Summary(RunsOne),
    /// Its events as they were recorded.
    Journal(RunsOne),
    /// Let nothing new out; what is out is recorded.
    Pause(RunsAct),
    /// Let it go on.
    Resume(RunsAct),
    /// Stop it; with --compensate what it did is undone.
    Cancel {
        #[command(flatten)]
        act: RunsAct,
        /// Undo what it did.
        #[arg(long)]
        compensate: bool,
    },
    /// Give it a signal, or with --message a customer's words.
    Signal {
        #[command(flatten)]
        act: RunsAct,
        /// The signal's name.
        #[arg(required_unless_present = "message")]
        name: Option<String>,
        /// Its payload: JSON, or @FILE.
        #[arg(long, value_name = "JSON|@FILE", default_value = "null")]
        payload: String,
        /// A customer's message.
        #[arg(long, value_name = "TEXT", conflicts_with = "name")]
        message: Option<String>,
    },
    /// Answer a `human` node.
    Answer {
        #[command(flatten)]
        act: RunsAct,
        /// The node's address, or the call that needs leave, as `runs show` prints it.
        node: String,
        /// Yes.
        #[arg(long, conflicts_with_all = ["reject", "form"])]
        approve: bool,
        /// No.
        #[arg(long, conflicts_with = "form")]
        reject: bool,
        /// A filled form: JSON, or @FILE.
        #[arg(long, value_name = "JSON|@FILE")]
        form: Option<String>,
        /// Words that go with a yes or a no.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Say what became of a call whose outcome nobody knows.
    Resolve {
        #[command(flatten)]
        act: RunsAct,
        /// The call, as `runs show` prints it.
        effect: String,
        /// It acted, with this output.
        #[arg(long, value_name = "JSON|@FILE", conflicts_with_all = ["not_done", "repeat"])]
        done: Option<String>,
        /// It did not act.
        #[arg(long)]
        not_done: bool,
        /// Send it again.
        #[arg(long)]
        repeat: bool,
    },
    /// Go on from a failure, on the workflow's newest version unless told otherwise.
    Retry {
        #[command(flatten)]
        act: RunsAct,
        /// Stay on the version it failed on.
        #[arg(long)]
        same_version: bool,
    },
    /// Begin a new run from the recorded past of this one.
    Fork {
        #[command(flatten)]
        act: RunsAct,
        /// The node to begin at; all recorded before it is inherited.
        #[arg(long, value_name = "NODE")]
        at: String,
        /// A variable to change; may be repeated.
        #[arg(long = "set", short = 's', value_name = "KEY=VALUE")]
        sets: Vec<String>,
        /// The new run's id.
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// The new run undoes what it inherited; else the original does.
        #[arg(long)]
        owns_undo: bool,
    },
    /// Give it the consumer's own model key again, from BATON_CONSUMER_KEY or standard input; it goes on here.
    Key(RunsKey),
    /// Undo everything a finished run did.
    Rollback(RunsAct),
    /// Move all runs that have something to do, until none has.
    Work(RunsWork),
}

#[derive(Debug, Args)]
pub struct Costs {
    /// What rows are apart by; may be repeated.
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',', default_value = "model")]
    pub by: Vec<CostsBy>,
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
pub enum CostsBy {
    Day,
    Tenant,
    Key,
    Workflow,
    Agent,
    Profile,
    Model,
    Provider,
}

/// A day as it is written in tables.
fn day(text: &str) -> Result<String, String> {
    let at: Result<baton_core::time::Time, _> = format!("{text}T00:00:00Z").parse();
    match at {
        Ok(at) if at.to_date() == text => Ok(text.to_owned()),
        _ => Err("a day is written YYYY-MM-DD".to_owned()),
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Budgets {
    #[command(subcommand)]
    pub command: Option<BudgetsCommand>,
    #[command(flatten)]
    pub show: BudgetsShow,
}

#[derive(Debug, Subcommand)]
pub enum BudgetsCommand {
    /// Each line: its limit, what is spent and held of it, what is left, and when it begins anew.
    Show(BudgetsShow),
}

#[derive(Debug, Args)]
pub struct BudgetsShow {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RunsList {
    /// Only runs in this state.
    #[arg(long)]
    pub state: Option<String>,
    /// Only runs of this workflow.
    #[arg(long)]
    pub workflow: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=RUNS_LISTED_MAX))]
    pub limit: u32,
    /// Runs older than this one.
    #[arg(long, value_name = "RUN")]
    pub before: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RunsOne {
    /// The run's id.
    pub run: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct RunsAct {
    /// The run's id.
    pub run: String,
    /// Who acts, for the journal.
    #[arg(long, env = "USER", default_value = "cli")]
    pub by: String,
    /// Only put it into the run's inbox; whoever serves the project moves the run.
    #[arg(long)]
    pub detach: bool,
    /// What became of it, as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RunsKey {
    /// The run's id.
    pub run: String,
    /// What became of it, as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RunsWork {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Validate {
    /// Files or project folders; the project folder unless told.
    pub paths: Vec<PathBuf>,
    /// Warnings are errors.
    #[arg(long)]
    pub strict: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Graph {
    /// The workflow's name, or its file.
    pub workflow: String,
    /// How it is drawn.
    #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
    pub format: GraphFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    Mermaid,
    Dot,
    /// Batches that can run in parallel.
    Levels,
}

#[derive(Debug, Args)]
pub struct Eval {
    /// The language.
    #[arg(long = "type", value_enum, value_name = "LANGUAGE")]
    pub language: EvalLanguage,
    /// The expression, or the template.
    pub expression: String,
    /// What it sees: JSON, @FILE, or @- for standard input.
    #[arg(long, short, value_name = "JSON|@FILE", default_value = "{}")]
    pub input: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvalLanguage {
    Jmespath,
    #[value(alias = "python")]
    Expr,
    #[value(alias = "jinja")]
    Template,
}

#[derive(Debug, Args)]
pub struct Test {
    /// Test files; all of `tests/` unless told.
    pub files: Vec<PathBuf>,
    /// Only tests whose name contains this.
    #[arg(long, short)]
    pub filter: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Bench {
    /// Small numbers, only to see that it works.
    #[arg(long)]
    pub smoke: bool,
    /// Only these cases; may be repeated.
    #[arg(long = "case", value_name = "CASE")]
    pub cases: Vec<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    WorkflowSchema,
    Cli,
    Errors,
}
