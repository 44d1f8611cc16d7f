//! Arguments of `baton approvals`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// What waits for a yes or a no, oldest first.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// One request: exactly what would be done, who may allow it, who has, until when.
    Show {
        /// The request, as `approvals list` prints it, or as much of its beginning as tells it apart.
        id: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Allow it. Where several must, this is one of them.
    Approve(ApprovalDecisionArgs),
    /// Do not allow it: the run, or the agent that asked, is told so, with the reason.
    Reject(ApprovalDecisionArgs),
}

#[derive(Debug, Args)]
pub struct ApprovalDecisionArgs {
    /// The request, as `approvals list` prints it, or as much of its beginning as tells it apart.
    pub id: String,
    /// Who decides.
    #[arg(long = "as", env = "USER", default_value = "cli", value_name = "WHO")]
    pub by: String,
    /// Why.
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub reason: String,
    /// Only put it into the run's inbox; whoever serves the project moves the run.
    #[arg(long)]
    pub detach: bool,
    /// What became of it, as JSON.
    #[arg(long)]
    pub json: bool,
}
