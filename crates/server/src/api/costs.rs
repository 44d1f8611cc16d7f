//! Money: what was spent on models, and what may be.

mod limit;

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use baton_core::id::TenantId;
use baton_core::money::Window;
use baton_core::time::Time;
use baton_ports::budget::{By, CostFilter, CostRow, Row};
use baton_ports::keys::Need;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document;
use super::guest::Guest;
use super::query::Query;
use super::shapes::Problem as Refusal;
use super::shapes::costs::{Budgets, CostRows, CostSummary};
use crate::door::{Door, House};
use crate::problem::Problem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Days that are looked back unless told.
const DAYS_DEFAULT: u32 = 30;
const WEEK_DAYS: u32 = 7;

pub(super) fn paths() -> OpenApiRouter<Door> {
    let looks = OpenApiRouter::new()
        .routes(routes!(summary))
        .routes(routes!(costs))
        .routes(routes!(budgets))
        .routes(routes!(limit::show));
    let administers = OpenApiRouter::new().routes(routes!(limit::put)).routes(routes!(limit::remove));
    super::needing(Need::Look, looks).merge(super::acting(Need::Administer, administers))
}

/// Since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Period {
    /// Today.
    #[default]
    Daily,
    /// The last seven days, today among them.
    Weekly,
    /// This month.
    Monthly,
}

impl Period {
    fn word(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// Its first day, in UTC.
    fn begins(self, now: Time) -> String {
        match self {
            Self::Daily => days_ago(0, now),
            Self::Weekly => days_ago(WEEK_DAYS - 1, now),
            Self::Monthly => Window::Month.begin(now).to_date(),
        }
    }
}

fn days_ago(days: u32, now: Time) -> String {
    (Window::Day.begin(now) - DAY * days).to_date()
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    /// `daily` (today, in UTC; unless told), `weekly` (the last seven days) or `monthly` (this month).
    #[serde(default)]
    #[param(inline)]
    period: Period,
}

/// What was spent on models: today, in a week or in this month
#[utoipa::path(get, path = "/api/v1/costs/summary", tag = "costs", params(Of), responses(
    (status = 200, body = CostSummary), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn summary(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(of): Query<Of>,
) -> Result<Json<Value>, Problem> {
    let filter = CostFilter {
        tenant: Some(guest.tenant().clone()),
        from: Some(of.period.begins(door.clock.now())),
        to: None,
        by: vec![By::Model],
    };
    let rows = door.house()?.budget.costs(filter).await?;
    let mut whole = CostRow::default();
    rows.iter().for_each(|row| whole.add(row));
    let by_model = rows.iter().map(|row| {
        json!({
            "selected_model": row.model.as_deref().unwrap_or_default(), "calls": row.calls,
            "cost_usd": row.cost.as_f64(), "avg_latency_ms": row.avg_latency_ms(),
        })
    });
    Ok(Json(json!({
        "period": of.period.word(),
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
pub(super) struct Which {
    /// What rows are apart by, with commas between: `day`, `key`, `workflow`, `agent`, `profile`, `model`, `provider`; by
    /// model unless told.
    #[param(schema_with = document::costs_by)]
    by: Option<String>,
    /// From this day on, `YYYY-MM-DD` in UTC; the last 30 days unless told.
    #[param(schema_with = document::day)]
    from: Option<String>,
    /// Up to this day.
    #[param(schema_with = document::day)]
    to: Option<String>,
}

/// What was spent on models, by whatever is asked
#[utoipa::path(get, path = "/api/v1/costs", tag = "costs", params(Which), responses(
    (status = 200, body = CostRows), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn costs(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Problem> {
    let by = which.by.as_deref().unwrap_or("model").split(',').map(|word| part(word.trim()));
    let from = which.from.unwrap_or_else(|| days_ago(DAYS_DEFAULT - 1, door.clock.now()));
    let filter = CostFilter {
        tenant: Some(guest.tenant().clone()),
        from: Some(day("from", from)?),
        to: which.to.map(|to| day("to", to)).transpose()?,
        by: by.collect::<Result<BTreeSet<By>, Problem>>()?.into_iter().collect(),
    };
    let (from, to) = (filter.from.clone(), filter.to.clone());
    let rows = door.house()?.budget.costs(filter).await?;
    let rows: Vec<Value> = rows.iter().map(CostRow::as_json).collect();
    Ok(Json(json!({ "from": from, "to": to, "rows": rows })))
}

/// Not by tenant: there is one.
fn part(word: &str) -> Result<By, Problem> {
    const PARTS: [(&str, By); 7] = [
        ("day", By::Day),
        ("key", By::Key),
        ("workflow", By::Workflow),
        ("agent", By::Agent),
        ("profile", By::Profile),
        ("model", By::Model),
        ("provider", By::Provider),
    ];
    let found = PARTS.into_iter().find(|(known, _)| *known == word);
    found.map(|(_, by)| by).ok_or_else(|| {
        let words = PARTS.map(|(word, _)| word).join(", ");
        Problem::parameter("by", format!("`{word}` is none of {words}"))
    })
}

/// A day as it is written in tables.
fn day(name: &str, text: String) -> Result<String, Problem> {
    let at = format!("{text}T00:00:00Z").parse::<Time>();
    match at {
        Ok(at) if at.to_date() == text => Ok(text),
        _ => Err(Problem::parameter(name, "a day is written YYYY-MM-DD")),
    }
}

/// Lists budgets: the limit of each, what is spent and held of it, and when it begins anew
#[utoipa::path(get, path = "/api/v1/budgets", tag = "costs", responses((status = 200, body = Budgets)))]
pub(super) async fn budgets(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
) -> Result<Json<Value>, Problem> {
    let (house, now) = (door.house()?, door.clock.now());
    let standings = house.budget.standings(guest.tenant(), now).await?;
    let own = own_keys(house, guest.tenant()).await?;
    let rows = Row::all(guest.tenant(), &standings, &*house.allowed, |key| own.contains(key), now);
    Ok(Json(json!({ "budgets": rows.iter().map(Row::as_json).collect::<Vec<_>>() })))
}

/// Which of the keys that have limits are this tenant's.
async fn own_keys(house: &House, tenant: &TenantId) -> Result<BTreeSet<String>, Problem> {
    if house.allowed.keys().is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(house.keys.all(tenant).await?.into_iter().map(|key| key.id).collect())
}
