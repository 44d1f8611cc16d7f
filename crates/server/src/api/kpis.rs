//! The key performance indicators of a tenant's service, and their targets.

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use baton_core::kpi::{self, AnswerCounts, KpiTally};
use baton_core::time::Time;
use baton_core::tool::EffectClass;
use baton_core::usage::UsageDimension;
use baton_ports::audit::UsageFilter;
use baton_ports::read::{PAGE_MAX, RunFilter};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::extractors::QueryParams;
use super::principal::Principal;
use super::schemas::{KpiReport, ProblemSchema};
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};
use crate::tool_usage::query_usage;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Default number of days in a report.
const DAYS_DEFAULT: u32 = 30;
const DAYS_MAX: u32 = 366;
/// Maximum number of runs that are counted, newest first. If a busy tenant has more, the older ones are left out
/// and the response says so.
const RUNS_MAX: usize = 10_000;

/// Since when.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct KpiQuery {
    /// Days back, 1 to 366; 30 unless told.
    #[param(minimum = 1, maximum = 366)]
    days: Option<u32>,
}

/// Shows what the service is measured by: each figure with what it is, its target, and whether that was met
#[utoipa::path(get, path = "/api/v1/kpis", tag = "kpis", params(KpiQuery), responses(
    (status = 200, body = KpiReport),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(period): QueryParams<KpiQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let days = period.days.unwrap_or(DAYS_DEFAULT);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(HttpProblem::invalid_parameter("days", format!("it must be 1 to {DAYS_MAX}")));
    }
    let until = state.clock.now();
    let since = until - DAY * days;
    let services = state.run_services()?;
    let (mut tally, cut) = tally(services, &principal, since).await?;
    tally.conversations = Some(services.read.conversations_ended(principal.tenant(), since).await?);
    tally.answers = Some(answers(&state, &principal, since).await?);
    tally.first_response =
        Some(state.routing_queues.current(&*services.read, principal.tenant()).await?.settings().first_response);
    Ok(Json(json!({
        "since": cut.unwrap_or(since).to_string(),
        "until": until.to_string(),
        "complete": cut.is_none(),
        "kpis": kpi::kpis(&tally),
    })))
}

/// The number of answers by models and by read-only tools, and how many of them needed no person.
async fn answers(state: &AppState, principal: &Principal, since: Time) -> Result<AnswerCounts, HttpProblem> {
    let mut answers = AnswerCounts::default();
    for sum in state.run_services()?.decisions.sums(principal.tenant(), since).await? {
        answers.cached += sum.cached;
        answers.all += sum.succeeded;
    }
    // Without admin services, no tools are looked up.
    let Ok(admin) = state.admin_services() else { return Ok(answers) };
    let (tenant, by) = (Some(principal.tenant().clone()), vec![UsageDimension::Tool]);
    let filter = UsageFilter { tenant, from: Some(since), by, ..UsageFilter::default() };
    for usage in query_usage(&*admin.audit, &*admin.catalogue, filter, None).await? {
        let tool = usage.parts.first().and_then(|name| admin.catalogue.describe(principal.tenant(), name));
        if tool.is_some_and(|tool| matches!(tool.facts.class, EffectClass::Pure | EffectClass::Read)) {
            answers.cached += usage.tally.cached;
            answers.all += usage.tally.successes;
        }
    }
    Ok(answers)
}

/// The counts of the runs started since then; and, if there were too many, the instant since which they were
/// counted.
async fn tally(
    services: &RunServices,
    principal: &Principal,
    since: Time,
) -> Result<(KpiTally, Option<Time>), HttpProblem> {
    let mut tally = KpiTally::default();
    let mut filter = RunFilter { limit: PAGE_MAX, ..RunFilter::default() };
    let mut oldest = None;
    for _ in 0..RUNS_MAX / PAGE_MAX {
        let heads = services.read.runs(principal.tenant(), filter.clone()).await?;
        let begun = heads.iter().take_while(|head| head.created_at >= since);
        begun.filter(|head| head.parent.is_none()).for_each(|head| tally.runs.count(head.state));
        match heads.last().filter(|last| last.created_at >= since && heads.len() == PAGE_MAX) {
            None => return Ok((tally, None)),
            Some(last) => (oldest, filter.before) = (Some(last.created_at), Some(last.run.clone())),
        }
    }
    Ok((tally, oldest))
}
