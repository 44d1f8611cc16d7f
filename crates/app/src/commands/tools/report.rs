//! `baton tools report`: one week of tool use, for people.

use baton_core::usage::IsoWeek;
use baton_ports::audit::AuditTrail;
use baton_ports::clock::{Clock, SystemClock};
use baton_server::report::UsageReport;

use crate::cli::ToolReportArgs;
use crate::print;
use crate::project::Project;
use crate::wiring::ProjectSystem;

pub async fn run(project: &Project, args: &ToolReportArgs) -> anyhow::Result<()> {
    let tenant = project.tenant()?;
    let zone = project.settings.zone(&tenant);
    let week = args.week.unwrap_or_else(|| IsoWeek::previous(SystemClock.now(), &zone));
    // Does not create a database if nothing has run.
    let system = project.has_database().then(|| ProjectSystem::open(project)).transpose()?;
    let (registry, _) = super::registry(project).await?;
    let audit = system.as_ref().map(|system| &system.store as &dyn AuditTrail);
    let report = UsageReport::read(audit, &*registry, tenant, (week, zone)).await?;
    match (args.json, args.html) {
        (true, _) => print::pretty(&report.as_json()),
        (false, true) => print::line(report.html()),
        (false, false) => print::line(report.markdown()),
    }
    Ok(())
}
