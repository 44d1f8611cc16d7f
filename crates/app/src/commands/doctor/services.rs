//! Checks that the services behind tools are configured and reachable.

use std::time::Duration;

use baton_core::tool::{Caller, EffectClass, ToolInvocation, ToolOutcome};
use baton_ports::clock::{Clock as _, SystemClock};
use baton_ports::tools::{CheckResult, ToolGateway as _};
use baton_store::sqlite::{SqliteStore, StoreOptions};
use baton_tools::settings::{CalendarProviderKind, DatabaseUrl};
use serde_json::json;

use super::DoctorCheck;
use crate::project::{Project, display_path};
use crate::wiring::ProjectSystem;

/// Time limit for one calendar request.
const CALENDAR_MAX: Duration = Duration::from_secs(10);
/// A calendar service is asked about the first of these days on which the calendar is open.
const DAYS: [&str; 8] = ["tomorrow", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

pub async fn checks(project: &Project) -> Vec<DoctorCheck> {
    // A check must not create a database.
    let system = SqliteStore::in_memory(StoreOptions::default()).map_err(anyhow::Error::from);
    let system = match system.and_then(|store| ProjectSystem::from_store(project, store)) {
        Ok(system) => system,
        Err(error) => return vec![DoctorCheck::fail("services", format!("{error:#}"), "correct it in baton.toml")],
    };
    let mut checks = vec![settings(&system)];
    checks.extend(databases(project));
    checks.extend(calendar(project, &system).await);
    checks
}

/// The database files that `query_database` may read.
fn databases(project: &Project) -> impl Iterator<Item = DoctorCheck> {
    project.settings.tools.databases.iter().filter_map(|(name, database)| {
        let DatabaseUrl::Sqlite(file) = &database.url else { return None };
        let file = project.root.join(file);
        Some(if file.is_file() {
            DoctorCheck::ok("databases", format!("{name}: {} is there", display_path(&file)))
        } else {
            let hint = format!(
                "look at `url` under `[tools.databases.{name}]`: a path there is from the project's folder; nothing \
                 here makes the file"
            );
            DoctorCheck::fail("databases", format!("{name}: there is no file {}", display_path(&file)), hint)
        })
    })
}

/// Asks an external calendar for free times, as a tool call would.
async fn calendar(project: &Project, system: &ProjectSystem) -> Option<DoctorCheck> {
    const WHAT: &str = "calendar";
    let tools = &project.settings.tools;
    let own = tools.tenants.get(&system.tenant).and_then(|tenant| tenant.calendar.as_ref());
    if own.unwrap_or(&tools.calendar).provider == CalendarProviderKind::Internal {
        return None;
    }
    for day in DAYS {
        let outcome = match availability(system, day).await {
            // The service is not asked about a day on which nothing can be booked.
            Some(ToolOutcome::Done { output, .. }) if !matches!(output["reason"].as_str(), None | Some("full")) => {
                continue;
            }
            Some(outcome) => outcome,
            None => return Some(DoctorCheck::ok(WHAT, "not asked: `google_calendar` is held back by the settings")),
        };
        return Some(match outcome {
            ToolOutcome::Done { output, .. } => {
                DoctorCheck::ok(WHAT, format!("{} answers", output["provider"].as_str().unwrap_or("the service")))
            }
            ToolOutcome::NotDone { fault, .. } | ToolOutcome::Unknown { fault } => {
                let hint = "look at `[tools.calendar]`: the address, the account and the calendars' paths or ids";
                DoctorCheck::fail(WHAT, fault.message, hint)
            }
            ToolOutcome::Asks { question, .. } => DoctorCheck::fail(WHAT, question.message, "nobody is asked here"),
        });
    }
    Some(DoctorCheck::ok(WHAT, "not asked: nothing can be booked in the next seven days"))
}

/// `None` if the call is not permitted.
async fn availability(system: &ProjectSystem, day: &str) -> Option<ToolOutcome> {
    let call = ToolInvocation {
        tenant: system.tenant.clone(),
        run: "doctor".into(),
        workflow: String::new(),
        key: format!("doctor/{day}"),
        tool: "google_calendar".to_owned(),
        arguments: json!({"action": "check_availability", "date": day}).into(),
        class: EffectClass::Read,
        agent: None,
        provider: None,
        attempt: 1,
        at: SystemClock.now(),
        replies: Vec::new(),
        caller: Caller::default(),
    };
    match system.tools.check(&call, None).await {
        CheckResult::Permitted(permit) => Some(permit.perform(CALENDAR_MAX).await.outcome),
        CheckResult::Answered(performed) => Some(performed.outcome),
        CheckResult::NeedsApproval(_) | CheckResult::RateLimited { .. } | CheckResult::CircuitOpen { .. } => None,
    }
}

fn settings(system: &ProjectSystem) -> DoctorCheck {
    let lacks = system.tools.unavailable_providers();
    let mut settings: Vec<String> =
        lacks.into_iter().map(|lack| format!("`{}` for {}", lack.setting, lack.provider)).collect();
    settings.sort();
    settings.dedup();
    if settings.is_empty() {
        return DoctorCheck::ok("services", "the providers of tools have what they need");
    }
    let variable = "each is a key of baton.toml, and a variable: `BATON_` and its path, such as \
                    BATON_TOOLS__MESSAGE__TWILIO__AUTH_TOKEN";
    DoctorCheck::warn("services", format!("not there: {}", settings.join(", ")), variable)
}
