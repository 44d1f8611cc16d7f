//! Arguments of `baton secrets`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Seal a secret, read from standard input; one of the same name is replaced.
    Set {
        /// What `{{ secrets.NAME }}` calls it: lower case letters, digits and `_`.
        name: String,
    },
    /// Names, and the key each is sealed under. Never a secret itself.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Forget a secret.
    Delete { name: String },
    /// Seal under the current key what is sealed under an older one.
    Rotate,
}
