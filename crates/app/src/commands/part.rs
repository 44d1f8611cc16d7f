//! Parts that run as processes of their own, for `bench`.

use crate::{Exit, Misuse, bench};

pub fn run(name: &str, arguments: &[String]) -> anyhow::Result<Exit> {
    match name {
        "cold-start" => super::wait(bench::cold_one())?,
        "parked-serve" => super::wait(bench::parked_serve())?,
        "recover-begin" => {
            let runs = arguments.first().and_then(|count| count.parse().ok());
            let runs = runs.ok_or_else(|| Misuse::new("recover-begin takes a number of runs"))?;
            super::wait(bench::recover_begin(runs))?;
        }
        _ => return Err(Misuse::new(format!("no part `{name}`")).into()),
    }
    Ok(Exit::Completed)
}
