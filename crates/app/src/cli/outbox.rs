//! Arguments of `baton outbox`.

use clap::{Args, Subcommand};

/// Maximum number of messages in one list.
const MESSAGES_LISTED_MAX: i64 = 10_000;

#[derive(Debug, Subcommand)]
pub enum OutboxCommand {
    /// The newest messages, the newest last.
    List(OutboxListArgs),
    /// One message, whole.
    Show {
        /// The message, as `outbox list` prints it, or as much of its beginning as tells it apart.
        id: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct OutboxListArgs {
    /// Only those of a channel: `email`, `whatsapp`, `sms`.
    #[arg(long)]
    pub channel: Option<String>,
    /// Only those to this address or number.
    #[arg(long)]
    pub to: Option<String>,
    /// Only those that a run wrote.
    #[arg(long)]
    pub run: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=MESSAGES_LISTED_MAX))]
    pub limit: u32,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
