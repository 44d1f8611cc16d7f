//! Arguments of `baton people`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum PeopleCommand {
    /// The people of the desk, with their roles and skills.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Register somebody, or replace what is registered of them.
    Put(PersonPutArgs),
    /// Take somebody off the desk.
    Remove {
        /// Their id: the name of their key.
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct PersonPutArgs {
    /// Their id: the name of their key, and the name that they decide under.
    pub id: String,
    /// Where decision links are delivered.
    #[arg(long)]
    pub email: String,
    /// What people call them; their id unless told.
    #[arg(long)]
    pub name: Option<String>,
    /// A role besides `human_agent`, for approvals that ask for one. May be given several times.
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// A skill, for approvals and conversations that ask for one. May be given several times.
    #[arg(long = "skill", value_name = "SKILL")]
    pub skills: Vec<String>,
    /// A language that they speak, such as `es`. May be given several times; none: whatever is asked for.
    #[arg(long = "language", value_name = "CODE")]
    pub languages: Vec<String>,
    /// Conversations at a time; 5 unless told.
    #[arg(long, value_name = "N")]
    pub max_capacity: Option<u32>,
}
