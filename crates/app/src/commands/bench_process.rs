//! Child processes of `bench`.

use crate::{CommandExit, UsageError, bench};

pub fn run(name: &str, arguments: &[String]) -> anyhow::Result<CommandExit> {
    match name {
        "cold-start" => super::block_on(bench::cold_one())?,
        "parked-serve" => super::block_on(bench::parked_serve())?,
        "recover-begin" => {
            let runs = arguments.first().and_then(|count| count.parse().ok());
            let runs = runs.ok_or_else(|| UsageError::new("recover-begin takes a number of runs"))?;
            super::block_on(bench::recover_begin(runs))?;
        }
        _ => return Err(UsageError::new(format!("no part `{name}`")).into()),
    }
    Ok(CommandExit::Completed)
}
