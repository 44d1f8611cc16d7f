//! Arguments of `baton desk`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum TaskInboxCommand {
    /// All that waits for people, oldest first: approvals, forms, doubts, what could not be undone, used-up budgets.
    List {
        /// Only items of this kind: `doubt`, `not_undone`, `tool_approval`, `approval`, `form`, `question`, …
        #[arg(long)]
        kind: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// One item: all that is known, and the command that settles it.
    Show {
        /// The item, as `desk list` prints it, or as much of its beginning as tells it apart.
        id: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what became of a call that nobody knows of, that somebody undid by hand what no compensation could, or have
    /// that compensation tried once more.
    Resolve(TaskResolveArgs),
}

#[derive(Debug, Args)]
pub struct TaskResolveArgs {
    /// The item, as `desk list` prints it, or as much of its beginning as tells it apart.
    pub id: String,
    /// A doubt: the call acted, with this output.
    #[arg(long, value_name = "JSON|@FILE", conflicts_with_all = ["not_done", "repeat", "undone", "again"])]
    pub done: Option<String>,
    /// A doubt: it did not act.
    #[arg(long)]
    pub not_done: bool,
    /// A doubt: send it again.
    #[arg(long)]
    pub repeat: bool,
    /// What could not be undone was undone by hand.
    #[arg(long, conflicts_with_all = ["not_done", "repeat", "again"])]
    pub undone: bool,
    /// What could not be undone is tried once more, as it was.
    #[arg(long, conflicts_with_all = ["not_done", "repeat"])]
    pub again: bool,
    /// Who says so.
    #[arg(long = "as", env = "USER", default_value = "cli", value_name = "WHO")]
    pub by: String,
    /// Only put it into the run's inbox; whoever serves the project moves the run.
    #[arg(long)]
    pub detach: bool,
    /// What became of it, as JSON.
    #[arg(long)]
    pub json: bool,
}
