//! `baton tools report`: one week of tool use, for people.

use baton_core::usage::Week;
use baton_ports::audit::Audit;
use baton_ports::clock::{Clock, SystemClock};
use baton_server::report::Report;

use crate::cli::ToolsReport;
use crate::print;
use crate::project::Project;
use crate::wire::System;

pub async fn run(project: &Project, args: &ToolsReport) -> anyhow::Result<()> {
    let tenant = project.tenant()?;
    let zone = project.settings.zone(&tenant);
    let week = args.week.unwrap_or_else(|| Week::before(SystemClock.now(), &zone));
    // Looking makes no database where nothing has run.
    let system = project.has_database().then(|| System::open(project)).transpose()?;
    let (registry, _) = super::registry(project).await?;
    let audit = system.as_ref().map(|system| &system.store as &dyn Audit);
    let report = Report::read(audit, &*registry, tenant, (week, zone)).await?;
    match (args.json, args.html) {
        (true, _) => print::pretty(&report.as_json()),
        (false, true) => print::line(report.html()),
        (false, false) => print::line(report.markdown()),
    }
    Ok(())
}
