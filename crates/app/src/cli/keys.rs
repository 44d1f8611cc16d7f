//! Arguments of `baton keys`.

use baton_ports::keys::AccessScope;
use clap::{Args, Subcommand, ValueEnum};

/// Maximum lifetime of a key, in days.
const KEY_DAYS_MAX: i64 = 3_650;
/// Maximum time for which a rotated key stays valid, in hours: thirty days.
const OVERLAP_HOURS_MAX: i64 = 720;

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key, and show it this once.
    Create(KeyCreateArgs),
    /// The tenant's keys, newest first: whose, what for, until when. Never the keys themselves.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a key in another's place, and let both open the door for a while.
    Rotate(KeyRotateArgs),
    /// Let a key open no door any more.
    Revoke {
        /// Its id, or its name where only one good key has it.
        key: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub struct KeyCreateArgs {
    /// What people know it by: whose it is, or what for.
    pub name: String,
    /// Who its bearer is.
    #[arg(long, value_enum, default_value_t = KeyRoleArg::Service)]
    pub role: KeyRoleArg,
    /// Days it is good for.
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=KEY_DAYS_MAX))]
    pub days: u32,
    /// Requests it may make in a minute; 0: as many as it likes. Unless told, as `[serve] requests_per_minute` has it.
    #[arg(long, value_name = "N")]
    pub per_minute: Option<u32>,
    /// What of all that its role may it may, once for each; all of it unless told.
    #[arg(long, value_enum, value_name = "SCOPE")]
    pub scope: Vec<KeyScopeArg>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct KeyRotateArgs {
    /// Its id, or its name where only one good key has it.
    pub key: String,
    /// Hours the old one is still good for; 0 ends it at once.
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=OVERLAP_HOURS_MAX))]
    pub overlap_hours: u32,
    /// Days the new one is good for.
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=KEY_DAYS_MAX))]
    pub days: u32,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyRoleArg {
    /// Everything, keys included.
    Admin,
    /// Makes workflows, and tries them.
    Builder,
    /// Decides what becomes of runs.
    Operator,
    /// Answers what waits for people.
    #[value(name = "human_agent")]
    HumanAgent,
    /// A program: asks models and runs workflows.
    Service,
}

/// What a key may be limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyScopeArg {
    /// Look, and change nothing.
    Read,
    /// Ask models, begin runs, and say what customers say.
    Run,
    /// Answer what waits for people.
    Answer,
    /// Make what others run and know.
    Build,
    /// Decide what becomes of runs and of models.
    Operate,
    /// Say who comes in, and erase customers.
    Administer,
}

impl KeyScopeArg {
    pub fn need(self) -> AccessScope {
        match self {
            Self::Read => AccessScope::Look,
            Self::Run => AccessScope::Run,
            Self::Answer => AccessScope::Answer,
            Self::Build => AccessScope::Build,
            Self::Operate => AccessScope::Operate,
            Self::Administer => AccessScope::Administer,
        }
    }
}
