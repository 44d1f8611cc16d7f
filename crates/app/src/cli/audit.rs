//! Arguments of `baton audit`.

use baton_core::time::Time;
use clap::{Args, Subcommand, ValueEnum};

/// Maximum number of rows in one list.
const ROWS_LISTED_MAX: i64 = 100_000;
/// A calendar day, for options that take dates.

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// What was done, newest first: every attempt, who approved it, what was undone.
    List(AuditListArgs),
    /// One row, with all that is known of it.
    Show {
        /// Its number, as `audit list` prints it.
        seq: u64,
        #[command(flatten)]
        of: AuditTenantArgs,
    },
    /// Follow the chain of hashes: says the first row that was changed or removed, and fails then.
    Verify {
        /// A hash noted earlier; it must still be in the chain.
        #[arg(long, value_name = "HASH")]
        expect: Option<String>,
        #[command(flatten)]
        of: AuditTenantArgs,
    },
    /// Remove who it was, which conversation and the details from every row of a person, and from rows of others whose
    /// details mention them by what else is known, for ever.
    Erase {
        /// The person, as rows name them.
        #[arg(long)]
        person: String,
        /// What else they are called: a mail address, a phone number. May be said several times; what their contact in
        /// this installation says is taken too.
        #[arg(long, value_name = "IDENTIFIER", value_parser = identifier)]
        also: Vec<String>,
        /// Who erases, for the trail.
        #[arg(long = "as", env = "USER", default_value = "cli", value_name = "WHO")]
        by: String,
        #[command(flatten)]
        of: AuditTenantArgs,
    },
}

#[derive(Debug, Args)]
pub struct AuditTenantArgs {
    /// Another tenant's trail than the project's.
    #[arg(long)]
    pub tenant: Option<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct AuditListArgs {
    /// Only rows of this run.
    #[arg(long)]
    pub run: Option<String>,
    /// Only rows of this tool.
    #[arg(long)]
    pub tool: Option<String>,
    /// Only rows that name this person.
    #[arg(long)]
    pub person: Option<String>,
    /// Only rows with this status.
    #[arg(long, value_enum)]
    pub status: Option<AuditStatusArg>,
    /// From this day or instant on, in UTC.
    #[arg(long, value_name = "YYYY-MM-DD|TIME", value_parser = Time::parse_day_start)]
    pub from: Option<Time>,
    /// Up to this day, or before this instant.
    #[arg(long, value_name = "YYYY-MM-DD|TIME", value_parser = Time::parse_day_end)]
    pub to: Option<Time>,
    /// How each call stands now: its last attempt, and whether it was undone since.
    #[arg(long)]
    pub latest: bool,
    /// How many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=ROWS_LISTED_MAX))]
    pub limit: u32,
    /// Rows older than this one: the cursor of the next page.
    #[arg(long, value_name = "SEQ")]
    pub before: Option<u64>,
    #[command(flatten)]
    pub of: AuditTenantArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuditStatusArg {
    Success,
    Error,
    Compensated,
}

/// Parses an identifier of a person, such as an e-mail address.
pub(super) fn identifier(text: &str) -> Result<String, String> {
    let text = text.trim();
    match baton_core::identifier::Identifier::of(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("it is too short to be one person's, or a number, a date or an amount; a mail address, a whole phone number \
                     or a full name is not"
            .to_owned()),
    }
}
