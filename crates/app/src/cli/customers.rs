//! Arguments of `baton customers`.

use clap::{Args, Subcommand};

use super::audit::identifier;

#[derive(Debug, Subcommand)]
pub enum CustomersCommand {
    /// All that is kept of a customer, as JSON: conversations, runs, documents, audit rows, and whether they were
    /// erased.
    Export {
        /// The customer, as `user_id` names them.
        id: String,
        /// Who asks, for the trail.
        #[arg(long = "as", env = "USER", default_value = "cli", value_name = "WHO")]
        by: String,
        #[command(flatten)]
        of: CustomerArgs,
    },
    /// Erase a customer from every store, for ever: conversations, inputs and results of runs, records of tools,
    /// memory, and the personal part of audit rows. Run again, it finishes what was interrupted.
    Erase {
        /// The customer, as `user_id` names them.
        id: String,
        /// What else they are called: a mail address, a phone number, a full name. May be said several times; what
        /// their contact in this installation says is taken too. A bare number is not taken: others' records have it
        /// too.
        #[arg(long, value_name = "IDENTIFIER", value_parser = identifier)]
        also: Vec<String>,
        /// Cancel their runs and resolve their conversations first. Without it, one that has not ended is an error.
        #[arg(long)]
        end_runs: bool,
        /// Write the whole database anew, however large it is, with `baton serve` stopped. Meanwhile nobody else can
        /// write: requests fail after 5 s (503), and after 45 s runs lose their owner.
        #[arg(long)]
        vacuum: bool,
        /// Who erases, for the trail.
        #[arg(long = "as", env = "USER", default_value = "cli", value_name = "WHO")]
        by: String,
        #[command(flatten)]
        of: CustomerArgs,
    },
}

#[derive(Debug, Args)]
pub struct CustomerArgs {
    /// Another tenant's customer than the project's.
    #[arg(long)]
    pub tenant: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
