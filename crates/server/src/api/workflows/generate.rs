//! Generates a workflow from a goal: a model drafts it, it is checked like any other, and the caller decides
//! whether to store it.

use std::collections::BTreeSet;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use baton_core::id::TenantId;
use baton_engine::drafting::{self, DraftError, DraftRequest, TOOLS_FOUND};
use baton_ports::models::ModelCaller;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::api::principal::Principal;
use crate::api::schemas::{GeneratedWorkflow, ProblemSchema};
use crate::api::tenant_catalog;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// What a workflow is to be made for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Goal)]
pub(in crate::api) struct GenerateWorkflowRequest {
    /// What it is to achieve, in your own words; at most 4,000 characters.
    #[schema(pattern = r"\S", max_length = 4000)]
    goal: String,
    /// What it is called. The model names it unless told, and where that name is taken it gets a number.
    #[schema(required = false)]
    name: Option<String>,
    /// Of the planner's prompts: `en` unless told, or `es`.
    #[serde(default = "english")]
    #[schema(default = "en")]
    language: String,
}

fn english() -> String {
    "en".to_owned()
}

/// Drafts a workflow from a goal; keeps nothing
///
/// The agent `workflow_planner` drafts it of the tools and agents there are. It is checked like any other, and mended up to
/// three times. `document` is what `POST /api/v1/workflows` takes. Where the last draft may not run, `ok` is false, and
/// `problem` or `diagnostics` say why; its replies were paid for all the same.
#[utoipa::path(post, path = "/api/v1/workflows/generate", tag = "workflows", request_body = GenerateWorkflowRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one draft a key")),
    responses((status = 200, body = GeneratedWorkflow),
        (status = "4XX", body = ProblemSchema, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn generate(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let GenerateWorkflowRequest { goal, name, language } = body::json(body, state.limits).await?;
    let (services, admin) = (state.run_services()?, state.admin_services()?);
    // Checked before the model is called and paid.
    drafting::check_goal(&goal).map_err(generation_problem)?;
    if let Some(Err(wrong)) = name.as_deref().map(TenantId::parse) {
        return Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, format!("`name`: {wrong}")));
    }
    let taken = used_names(services, &principal).await?;
    if let Some(name) = name.as_ref().filter(|name| taken.contains(*name)) {
        let detail = format!("there is a workflow `{name}` already");
        return Err(
            HttpProblem::new(StatusCode::CONFLICT, code::NAME_TAKEN, detail).with_hint("give it another `name`")
        );
    }
    let catalog = tenant_catalog::catalog(&state, principal.tenant(), "").await?;
    let (found, _fault) = admin.catalogue.search(principal.tenant(), &goal, TOOLS_FOUND).await;
    let asker = ModelCaller {
        key_id: Some(principal.key_id().to_owned()),
        ..ModelCaller::of(principal.tenant().clone(), format!("generate-{}", uuid::Uuid::now_v7()))
    };
    let shipped = admin.catalogue.shipped().iter().map(ToString::to_string);
    let drafting = DraftRequest {
        models: &*state.models,
        asker: &asker,
        catalog: &catalog,
        first: shipped.chain(found.iter().map(|tool| tool.name.to_string())).collect(),
        language: &language,
    };
    let named = |own: Option<&str>| name.clone().or_else(|| own.map(|own| free_name(&taken, own)));
    let drafted = drafting.draft(&goal, &named).await.map_err(generation_problem)?;
    Ok(Json(json!({
        "ok": drafted.is_runnable(),
        "workflow": drafted.name,
        "document": drafted.text,
        "definition": drafted.definition,
        "diagnostics": drafted.diagnostics,
        "problem": drafted.problem,
        "input": drafted.input.schema(),
        "replies": drafted.replies,
        "cost_usd": drafted.cost.as_f64(),
    })))
}

/// Names that a draft must not have.
async fn used_names(services: &RunServices, principal: &Principal) -> Result<BTreeSet<String>, HttpProblem> {
    let all = services.registry.workflows(principal.tenant()).await?.into_iter().map(|version| version.workflow);
    Ok(all.chain(super::edit::RESERVED_NAMES.map(str::to_owned)).collect())
}

/// The name, or the first free one of `NAME_2`, `NAME_3`, ….
fn free_name(taken: &BTreeSet<String>, name: &str) -> String {
    let numbered = (2_usize..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default()
}

fn generation_problem(error: DraftError) -> HttpProblem {
    match error {
        DraftError::GoalTooLong { .. } => {
            HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, error.to_string())
        }
        DraftError::Model(failed) => (*failed).into(),
        DraftError::NoPlanner => HttpProblem::internal("a workflow cannot be drafted", &error),
        DraftError::Prompt(fault) => {
            HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, fault.code.clone(), fault.message)
        }
    }
}
