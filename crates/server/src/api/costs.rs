//! Costs: the spending on models, and its limits.

mod limit;

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use baton_core::id::TenantId;
use baton_core::money::BudgetWindow;
use baton_core::time::Time;
use baton_ports::budget::{BudgetRow, CostDimension, CostFilter, CostRow};
use baton_ports::keys::AccessScope;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extractors::QueryParams;
use super::openapi;
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::schemas::costs::{BudgetListSchema, CostRows, CostSummary};
use crate::problem::HttpProblem;
use crate::state::{AdminServices, AppState};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Default number of days in a report.
const DAYS_DEFAULT: u32 = 30;
const WEEK_DAYS: u32 = 7;

pub(super) fn paths() -> OpenApiRouter<AppState> {
    let looks = OpenApiRouter::new()
        .routes(routes!(summary))
        .routes(routes!(costs))
        .routes(routes!(budgets))
        .routes(routes!(limit::show));
    let administers = OpenApiRouter::new().routes(routes!(limit::put)).routes(routes!(limit::remove));
    super::require(AccessScope::Look, looks).merge(super::audited(AccessScope::Administer, administers))
}

/// Since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Period)]
enum CostPeriod {
    /// Today.
    #[default]
    Daily,
    /// The last seven days, today among them.
    Weekly,
    /// This month.
    Monthly,
}

impl CostPeriod {
    fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// The first day of the period, in UTC.
    fn first_day(self, now: Time) -> String {
        match self {
            Self::Daily => days_ago(0, now),
            Self::Weekly => days_ago(WEEK_DAYS - 1, now),
            Self::Monthly => BudgetWindow::Month.begin(now).to_date(),
        }
    }
}

fn days_ago(days: u32, now: Time) -> String {
    (BudgetWindow::Day.begin(now) - DAY * days).to_date()
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CostSummaryQuery {
    /// `daily` (today, in UTC; unless told), `weekly` (the last seven days) or `monthly` (this month).
    #[serde(default)]
    #[param(inline)]
    period: CostPeriod,
}

/// What was spent on models: today, in a week or in this month
#[utoipa::path(get, path = "/api/v1/costs/summary", tag = "costs", params(CostSummaryQuery), responses(
    (status = 200, body = CostSummary), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn summary(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(of): QueryParams<CostSummaryQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let filter = CostFilter {
        tenant: Some(principal.tenant().clone()),
        from: Some(of.period.first_day(state.clock.now())),
        to: None,
        by: vec![CostDimension::Model],
    };
    let rows = state.admin_services()?.budget.costs(filter).await?;
    let mut whole = CostRow::default();
    rows.iter().for_each(|row| whole.add(row));
    let by_model = rows.iter().map(|row| {
        json!({
            "selected_model": row.model.as_deref().unwrap_or_default(), "calls": row.calls,
            "cost_usd": row.cost.as_f64(), "avg_latency_ms": row.avg_latency_ms(),
        })
    });
    Ok(Json(json!({
        "period": of.period.as_str(),
        "summary": {
            "total_calls": whole.calls, "total_cost_usd": whole.cost.as_f64(), "avg_cost_usd": whole.avg_cost_usd(),
            "total_tokens": whole.tokens(), "avg_latency_ms": whole.avg_latency_ms(),
            "saved_cost_usd": whole.saved.as_f64(),
        },
        "by_model": by_model.collect::<Vec<Value>>(),
    })))
}

/// Which costs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct CostRowsQuery {
    /// What rows are apart by, with commas between: `day`, `key`, `workflow`, `agent`, `profile`, `model`, `provider`; by
    /// model unless told.
    #[param(schema_with = openapi::costs_by)]
    by: Option<String>,
    /// From this day on, `YYYY-MM-DD` in UTC; the last 30 days unless told.
    #[param(schema_with = openapi::day)]
    from: Option<String>,
    /// Up to this day.
    #[param(schema_with = openapi::day)]
    to: Option<String>,
}

/// What was spent on models, by whatever is asked
#[utoipa::path(get, path = "/api/v1/costs", tag = "costs", params(CostRowsQuery), responses(
    (status = 200, body = CostRows), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn costs(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(which): QueryParams<CostRowsQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let by = which.by.as_deref().unwrap_or("model").split(',').map(|word| parse_grouping(word.trim()));
    let from = which.from.unwrap_or_else(|| days_ago(DAYS_DEFAULT - 1, state.clock.now()));
    let filter = CostFilter {
        tenant: Some(principal.tenant().clone()),
        from: Some(day("from", from)?),
        to: which.to.map(|to| day("to", to)).transpose()?,
        by: by.collect::<Result<BTreeSet<CostDimension>, HttpProblem>>()?.into_iter().collect(),
    };
    let (from, to) = (filter.from.clone(), filter.to.clone());
    let rows = state.admin_services()?.budget.costs(filter).await?;
    let rows: Vec<Value> = rows.iter().map(CostRow::as_json).collect();
    Ok(Json(json!({ "from": from, "to": to, "rows": rows })))
}

/// `tenant` is not a dimension, because a report covers a single tenant.
fn parse_grouping(word: &str) -> Result<CostDimension, HttpProblem> {
    const PARTS: [(&str, CostDimension); 7] = [
        ("day", CostDimension::Day),
        ("key", CostDimension::Key),
        ("workflow", CostDimension::Workflow),
        ("agent", CostDimension::Agent),
        ("profile", CostDimension::Profile),
        ("model", CostDimension::Model),
        ("provider", CostDimension::Provider),
    ];
    let found = PARTS.into_iter().find(|(known, _)| *known == word);
    found.map(|(_, by)| by).ok_or_else(|| {
        let words = PARTS.map(|(word, _)| word).join(", ");
        HttpProblem::invalid_parameter("by", format!("`{word}` is none of {words}"))
    })
}

/// A day in the form that the tables use.
fn day(name: &str, text: String) -> Result<String, HttpProblem> {
    let at = format!("{text}T00:00:00Z").parse::<Time>();
    match at {
        Ok(at) if at.to_date() == text => Ok(text),
        _ => Err(HttpProblem::invalid_parameter(name, "a day is written YYYY-MM-DD")),
    }
}

/// Lists budgets: the limit of each, what is spent and held of it, and when it begins anew
#[utoipa::path(get, path = "/api/v1/budgets", tag = "costs", responses((status = 200, body = BudgetListSchema)))]
pub(super) async fn budgets(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
) -> Result<Json<Value>, HttpProblem> {
    let (admin, now) = (state.admin_services()?, state.clock.now());
    let standings = admin.budget.standings(principal.tenant(), now).await?;
    let own = own_keys(admin, principal.tenant()).await?;
    let rows = BudgetRow::all(principal.tenant(), &standings, &*admin.allowed, |key| own.contains(key), now);
    Ok(Json(json!({ "budgets": rows.iter().map(BudgetRow::as_json).collect::<Vec<_>>() })))
}

/// The ids of this tenant's keys; empty if no key has a limit.
async fn own_keys(admin: &AdminServices, tenant: &TenantId) -> Result<BTreeSet<String>, HttpProblem> {
    if admin.allowed.keys().is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(admin.keys.all(tenant).await?.into_iter().map(|key| key.id).collect())
}
