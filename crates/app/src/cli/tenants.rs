//! Arguments of `baton tenants`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum TenantsCommand {
    /// Make a tenant and its first admin key, which is shown this once.
    Create {
        /// Its id, as runs and keys have it: letters, digits, `.`, `_` and `-`.
        id: String,
        /// What people know it by; its id unless told.
        #[arg(long)]
        name: Option<String>,
        /// `free`, `professional`, `enterprise`, or one of the settings'; as `[agents]` has it unless told.
        #[arg(long)]
        tier: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Those that were made, and since when.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let nobody of it come in any more. Its runs go on; nothing is deleted.
    Disable { id: String },
    /// Let them come in again.
    Enable { id: String },
}
