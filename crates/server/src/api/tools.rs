//! Tools: the catalogue, single calls, and usage statistics.

mod rule;

use std::collections::BTreeSet;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::id::TenantId;
use baton_core::money::BudgetWindow;
use baton_core::time::Time;
use baton_core::usage::{IsoWeek, UNDER_USED_DAYS, UsageDimension};
use baton_engine::one_call;
use baton_expr::nearest;
use baton_ports::audit::UsageFilter;
use baton_ports::catalogue::{ToolCatalogue, ToolDescription, ToolFilter};
use baton_ports::keys::AccessScope;
use baton_ports::read::{PAGE_DEFAULT, PAGE_MAX};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::cursor::PagedList;
use super::extractors::{PathParams, QueryParams, limit};
use super::idempotency::RequestFingerprint;
use super::openapi;
use super::principal::Principal;
use super::schemas::ProblemSchema;
use super::schemas::tools::{
    ToolCallResult, ToolListSchema, ToolSchema, ToolSearchSchema, ToolSelection, ToolUsageSchema, WeekReportSchema,
};
use super::start_run::{StartRunCommand, start_and_follow};
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::report::UsageReport;
use crate::state::{AdminServices, AppState};
use crate::tool_usage::{DAY, query_usage, usage_json};

/// The error code of a call to an unknown tool.
const TOOL_NOT_FOUND: &str = "TOOL_NOT_FOUND";
/// Default and maximum number of tools returned by a search.
const RESULTS_DEFAULT: usize = 10;
const RESULTS_MAX: usize = 50;
/// Maximum length of a search text, in characters.
const QUERY_CHARS_MAX: usize = 1_000;
/// Maximum number of tools offered in one selection, because the model receives the schema of each.
const CHOICE_TOOLS_MAX: usize = 100;

pub(super) fn paths() -> OpenApiRouter<AppState> {
    let looks = OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(search))
        .routes(routes!(analytics))
        .routes(routes!(report))
        .routes(routes!(show))
        .routes(routes!(rule::show))
        .routes(routes!(rule::history));
    let runs = OpenApiRouter::new().routes(routes!(select)).routes(routes!(execute));
    let builds = OpenApiRouter::new().routes(routes!(rule::put)).routes(routes!(rule::remove));
    super::require(AccessScope::Look, looks)
        .merge(super::require(AccessScope::Run, runs))
        .merge(super::audited(AccessScope::Build, builds))
}

/// Which tools.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolListQuery {
    /// Words that are all in a tool's names or its description.
    search: Option<String>,
    /// `calendar`, `communication`, `payment`, …
    category: Option<String>,
    /// 1 to 500; 50 unless told.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// As the page before says.
    cursor: Option<String>,
}

/// Lists tools by name
#[utoipa::path(get, path = "/api/v1/tools", tag = "tools", params(ToolListQuery), responses(
    (status = 200, body = ToolListSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(which): QueryParams<ToolListQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = limit(which.limit, PAGE_DEFAULT, PAGE_MAX)?;
    let after = PagedList::Tools.decode(principal.tenant(), which.cursor.as_deref())?;
    let wanted = ToolFilter {
        category: which.category.as_deref(),
        after: after.as_deref(),
        limit: Some(limit),
        ..ToolFilter::with_words(which.search.as_deref().unwrap_or_default())
    };
    let catalogue = &state.admin_services()?.catalogue;
    let page = catalogue.list(principal.tenant(), &wanted);
    let next = page.last().filter(|_| page.len() == limit);
    let next = next.map(|listed| PagedList::Tools.encode(principal.tenant(), &listed.tool.name));
    let tools: Vec<Value> =
        page.iter().map(|listed| tool_json(&**catalogue, &principal, &listed.tool.name, json!(listed))).collect();
    Ok(Json(json!({ "tools": tools, "next_cursor": next })))
}

/// The JSON form of a tool, with whether the tenant may call it.
fn tool_json(catalogue: &dyn ToolCatalogue, principal: &Principal, name: &str, mut tool: Value) -> Value {
    tool["enabled"] = json!(catalogue.is_enabled(principal.tenant(), name));
    tool
}

/// What is looked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolSearchQuery {
    #[param(pattern = r"\S", max_length = 1000)]
    query: String,
    /// 1 to 50; 10 unless told.
    #[param(minimum = 1, maximum = 50)]
    limit: Option<usize>,
}

/// Searches for tools by what they do, the best first
#[utoipa::path(get, path = "/api/v1/tools/search", tag = "tools", params(ToolSearchQuery), responses(
    (status = 200, body = ToolSearchSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn search(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(sought): QueryParams<ToolSearchQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let limit = limit(sought.limit, RESULTS_DEFAULT, RESULTS_MAX)?;
    let catalogue = &state.admin_services()?.catalogue;
    let (tools, degraded) = catalogue.search(principal.tenant(), check_query("query", &sought.query)?, limit).await;
    let told = |tool: &ToolDescription| tool_json(&**catalogue, &principal, &tool.name, json!(tool));
    Ok(Json(json!({ "tools": tools.iter().map(told).collect::<Vec<_>>(), "degraded_reason": degraded })))
}

/// Checks the length of a search text.
pub(super) fn check_query<'t>(name: &str, text: &'t str) -> Result<&'t str, HttpProblem> {
    match text.chars().count() {
        1..=QUERY_CHARS_MAX => Ok(text),
        _ => Err(HttpProblem::invalid_parameter(name, format!("it must have 1 to {QUERY_CHARS_MAX} characters"))),
    }
}

/// Shows a tool: its facts, and the schema of its parameters
#[utoipa::path(get, path = "/api/v1/tools/{name}", tag = "tools", params(("name" = String, Path)), responses(
    (status = 200, body = ToolSchema), (status = 404, body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn show(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
) -> Result<Json<Value>, HttpProblem> {
    let admin = state.admin_services()?;
    let tool =
        admin.catalogue.describe(principal.tenant(), &name).ok_or_else(|| tool_not_found(admin, &principal, &name))?;
    Ok(Json(tool_json(&*admin.catalogue, &principal, &name, json!(tool))))
}

fn tool_not_found(admin: &AdminServices, principal: &Principal, name: &str) -> HttpProblem {
    let problem = HttpProblem::new(StatusCode::NOT_FOUND, TOOL_NOT_FOUND, format!("there is no tool `{name}`"));
    let names = admin.tools.names_for(principal.tenant());
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
        None => problem.with_hint("GET /api/v1/tools lists those there are"),
    }
}

/// A call of a tool.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ToolCall)]
pub(super) struct ToolCallRequest {
    /// The tool's arguments by name; nothing in them is a template.
    #[serde(default, alias = "parameters")]
    #[schema(value_type = Object)]
    arguments: Map<String, Value>,
    /// On whose behalf: `user_id`, `conversation_id`, `language`, `zone`. An `api_key` is used for this call and written
    /// nowhere.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
}

/// Calls a tool, as a run of its own
///
/// It is checked, limited, approved, kept from happening twice, audited and undone as a call of any other run. Waits as
/// `POST /api/v1/workflows/execute` does, and answers 200 once it has ended, well or not (`success`), else 202.
#[utoipa::path(post, path = "/api/v1/tools/{name}/execute", tag = "tools", request_body = ToolCallRequest,
    params(
        ("name" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one call a key"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS` or `respond-async`"),
    ),
    responses(
        (status = 200, body = ToolCallResult, description = "it has ended"),
        (status = 202, body = ToolCallResult, description = "it goes on, or waits for somebody"),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
    ))]
pub(super) async fn execute(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let ToolCallRequest { arguments, context } = body::json(body, state.limits).await?;
    let admin = state.admin_services()?;
    if admin.tools.facts_for(principal.tenant(), &name).is_none() {
        return Err(tool_not_found(admin, &principal, &name));
    }
    let context = Value::Object(context);
    let mut said = json!({ "arguments": arguments, "context": context });
    // The caller's own model key is removed from everything that is stored, even from what is hashed.
    baton_engine::take_key(&mut said["context"]);
    let asked = RequestFingerprint::new("call", &name, &said);
    let begun = start_and_follow(
        &state,
        &principal,
        &headers,
        asked,
        StartRunCommand::Call { tool: name.clone(), arguments, context },
    )
    .await?;
    Ok(begun.respond_with(|run, follower| one_call::as_json(run, one_call::envelope(run), &follower.open_waits())))
}

/// What tools are to be chosen for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ToolChoice)]
pub(super) struct ToolSelectRequest {
    /// What the customer says.
    #[schema(pattern = r"\S")]
    message: String,
    /// Those that may be chosen, at most 100.
    #[schema(min_items = 1, max_items = 100)]
    tools: BTreeSet<String>,
    /// On whose behalf, as for executions.
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Map<String, Value>,
}

/// Chooses the tools that a message needs, or none; calls nothing
///
/// A model chooses, in a run of its own: `tools`, the `reasoning`, the `tool_requests` with their parameters, and what the
/// calls of the tools that were left out would have cost.
#[utoipa::path(post, path = "/api/v1/tools/select", tag = "tools", request_body = ToolSelectRequest,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one choice a key"),
        ("Prefer" = Option<String>, Header, description = "`wait=SECONDS` or `respond-async`"),
    ),
    responses(
        (status = 200, body = ToolSelection, description = "it has ended"),
        (status = 202, body = ToolSelection, description = "it goes on"),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
    ))]
pub(super) async fn select(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let ToolSelectRequest { message, tools, context } = body::json(body, state.limits).await?;
    let admin = state.admin_services()?;
    if !(1..=CHOICE_TOOLS_MAX).contains(&tools.len()) {
        let detail = format!("`tools` names 1 to {CHOICE_TOOLS_MAX} tools, not {}", tools.len());
        let problem = HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail);
        return Err(problem.with_hint("GET /api/v1/tools/search finds those that a message may need"));
    }
    if let Some(none) = tools.iter().find(|tool| admin.tools.facts_for(principal.tenant(), tool).is_none()) {
        return Err(tool_not_found(admin, &principal, none));
    }
    let context = Value::Object(context);
    let mut said = json!({ "message": message, "tools": tools, "context": context });
    baton_engine::take_key(&mut said["context"]);
    let choice = StartRunCommand::Choice { message, tools: tools.into_iter().collect(), context };
    let begun =
        start_and_follow(&state, &principal, &headers, RequestFingerprint::new("select", "tools", &said), choice)
            .await?;
    Ok(begun.respond_with(|run, follower| one_call::choice_as_json(run, &follower.open_waits())))
}

/// Which uses.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolUsageQuery {
    /// What rows are apart by, with commas between: `tool`, `app`, `agent`, `user`, `day`, `month`; by tool unless told.
    #[param(schema_with = openapi::uses_by)]
    by: Option<String>,
    /// Of one tool; its presets and other names count as the tool.
    tool: Option<String>,
    /// From this day (`YYYY-MM-DD`, in UTC) or instant on; the last 30 days unless told.
    #[param(schema_with = openapi::moment)]
    from: Option<String>,
    /// Up to this day, or before this instant.
    #[param(schema_with = openapi::moment)]
    to: Option<String>,
}

/// How tools are used: counts, success, times, errors by code, cost
#[utoipa::path(get, path = "/api/v1/tools/analytics", tag = "tools", params(ToolUsageQuery), responses(
    (status = 200, body = ToolUsageSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn analytics(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(uses): QueryParams<ToolUsageQuery>,
) -> Result<Json<Value>, HttpProblem> {
    let by = uses.by.as_deref().unwrap_or("tool").split(',').map(|word| parse_grouping(word.trim()));
    let by: Vec<UsageDimension> = by.collect::<Result<BTreeSet<UsageDimension>, HttpProblem>>()?.into_iter().collect();
    let from =
        uses.from.map(|text| Time::parse_day_start(&text).map_err(|why| HttpProblem::invalid_parameter("from", why)));
    let from =
        from.transpose()?.unwrap_or_else(|| BudgetWindow::Day.begin(state.clock.now()) - DAY * (UNDER_USED_DAYS - 1));
    let to = uses
        .to
        .map(|text| Time::parse_day_end(&text).map_err(|why| HttpProblem::invalid_parameter("to", why)))
        .transpose()?;
    let tenant = Some(principal.tenant().clone());
    let filter = UsageFilter { tenant, from: Some(from), to, by: by.clone(), ..UsageFilter::default() };
    let admin = state.admin_services()?;
    let usage = query_usage(&*admin.audit, &*admin.catalogue, filter, uses.tool.as_deref()).await?;
    let rows: Vec<Value> = usage.iter().map(|usage| usage_json(&by, usage)).collect();
    Ok(Json(json!({ "from": from.to_string(), "to": to.map(|to| to.to_string()), "usage": rows })))
}

/// `tenant` is not a dimension, because a report covers a single tenant.
fn parse_grouping(word: &str) -> Result<UsageDimension, HttpProblem> {
    const PARTS: [UsageDimension; 6] = [
        UsageDimension::Tool,
        UsageDimension::App,
        UsageDimension::Agent,
        UsageDimension::User,
        UsageDimension::Day,
        UsageDimension::Month,
    ];
    PARTS.into_iter().find(|part| part.word() == word).ok_or_else(|| {
        let words = PARTS.map(UsageDimension::word).join(", ");
        HttpProblem::invalid_parameter("by", format!("`{word}` is none of {words}"))
    })
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Format)]
enum ReportFormat {
    #[default]
    Json,
    Markdown,
    Html,
}

/// Which week, and how it is told.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WeekReportQuery {
    /// As ISO 8601 writes it, `2026-W47`; the last whole week unless told.
    #[param(pattern = r"^[0-9]{4}-W(0[1-9]|[1-4][0-9]|5[0-3])$")]
    week: Option<String>,
    /// `json` unless told, `markdown` or `html`.
    #[serde(default)]
    #[param(inline)]
    format: ReportFormat,
}

/// One week of tool use, with the tools that are hardly used
#[utoipa::path(get, path = "/api/v1/tools/report", tag = "tools", params(WeekReportQuery), responses(
    (status = 200, content(
        (WeekReportSchema = "application/json"), (String = "text/markdown"), (String = "text/html"))),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(super) async fn report(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(asked): QueryParams<WeekReportQuery>,
) -> Result<Response, HttpProblem> {
    let (admin, tenant): (&AdminServices, &TenantId) = (state.admin_services()?, principal.tenant());
    let zone = (admin.zone_of)(tenant);
    let week = asked
        .week
        .map(|text| text.parse::<IsoWeek>().map_err(|why| HttpProblem::invalid_parameter("week", why)))
        .transpose()?;
    let week = week.unwrap_or_else(|| IsoWeek::previous(state.clock.now(), &zone));
    let report = UsageReport::read(Some(&*admin.audit), &*admin.catalogue, tenant.clone(), (week, zone)).await?;
    Ok(match asked.format {
        ReportFormat::Json => Json(report.as_json()).into_response(),
        ReportFormat::Markdown => ([(CONTENT_TYPE, "text/markdown; charset=utf-8")], report.markdown()).into_response(),
        ReportFormat::Html => {
            let policy = "default-src 'none'; style-src 'unsafe-inline'";
            let headers = [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, policy)];
            (headers, report.html()).into_response()
        }
    })
}
