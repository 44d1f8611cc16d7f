//! Arguments of `baton run` and `baton runs`.

use clap::{Args, Subcommand};

/// Maximum number of runs in one list.
const RUNS_LISTED_MAX: i64 = 100_000;

#[derive(Debug, Args)]
pub struct RunArgs {
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

#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Newest first.
    List(RunListArgs),
    /// One run: state, nodes, outputs, costs, what is open.
    Show(RunSelectorArgs),
    /// Its calls in time.
    Timeline(RunSelectorArgs),
    /// Counts and durations.
    Summary(RunSelectorArgs),
    /// Its events as they were recorded.
    Journal(RunSelectorArgs),
    /// Let nothing new out; what is out is recorded.
    Pause(RunActionArgs),
    /// Let it go on.
    Resume(RunActionArgs),
    /// Stop it; with --compensate what it did is undone.
    Cancel {
        #[command(flatten)]
        act: RunActionArgs,
        /// Undo what it did.
        #[arg(long)]
        compensate: bool,
    },
    /// Give it a signal, or with --message a customer's words.
    Signal {
        #[command(flatten)]
        act: RunActionArgs,
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
    /// Answer a `human` node, or what a call asks.
    Answer {
        #[command(flatten)]
        act: RunActionArgs,
        /// The node's address, or the call that asks or needs leave, as `runs show` prints it.
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
        act: RunActionArgs,
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
        act: RunActionArgs,
        /// Stay on the version it failed on.
        #[arg(long)]
        same_version: bool,
    },
    /// Begin a new run from the recorded past of this one.
    Fork {
        #[command(flatten)]
        act: RunActionArgs,
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
    Key(RunKeyArgs),
    /// Undo everything a finished run did.
    Rollback(RunActionArgs),
    /// Move all runs that have something to do, until none has.
    Work(RunWorkArgs),
}

#[derive(Debug, Args)]
pub struct RunListArgs {
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
pub struct RunSelectorArgs {
    /// The run's id, or as much of its beginning as tells it apart: six characters or more.
    pub run: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct RunActionArgs {
    /// The run's id, or as much of its beginning as tells it apart: six characters or more.
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
pub struct RunKeyArgs {
    /// The run's id, or as much of its beginning as tells it apart: six characters or more.
    pub run: String,
    /// What became of it, as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RunWorkArgs {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
