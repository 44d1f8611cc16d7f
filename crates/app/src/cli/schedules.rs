//! Arguments of `baton schedules`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum SchedulesCommand {
    /// All of them by name, with the next instant of each.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// One, what became of it, and when it comes round next.
    Show {
        name: String,
        /// How many coming instants.
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
        next: u8,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Begin a run of it now, beside those that come by themselves; whoever serves the project moves it.
    Run(ScheduleSelectorArgs),
    /// Let it come round no more until it is resumed.
    Pause(ScheduleSelectorArgs),
    /// Let it come round again; what it missed meanwhile is not made up for.
    Resume(ScheduleSelectorArgs),
}

#[derive(Debug, Args)]
pub struct ScheduleSelectorArgs {
    pub name: String,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}
