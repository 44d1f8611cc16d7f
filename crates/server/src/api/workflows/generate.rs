//! A workflow from a goal: drafted by a model, checked like any other, and kept by whoever wants it.

use std::collections::BTreeSet;

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use baton_core::id::TenantId;
use baton_engine::drafting::{self, Drafting, Error, TOOLS_FOUND};
use baton_ports::models::Asker;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::api::guest::Guest;
use crate::api::known;
use crate::api::shapes::{Generated, Problem as Refusal};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// What a workflow is to be made for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Goal {
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
#[utoipa::path(post, path = "/api/v1/workflows/generate", tag = "workflows", request_body = Goal,
    params(("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one draft a key")),
    responses((status = 200, body = Generated),
        (status = "4XX", body = Refusal, content_type = "application/problem+json"),
        (status = "5XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn generate(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let Goal { goal, name, language } = body::json(body, door.limits).await?;
    let (work, house) = (door.work()?, door.house()?);
    // Before anybody outside is asked, and paid.
    drafting::check(&goal).map_err(refused)?;
    if let Some(Err(wrong)) = name.as_deref().map(TenantId::parse) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, format!("`name`: {wrong}")));
    }
    let taken = taken(work, &guest).await?;
    if let Some(name) = name.as_ref().filter(|name| taken.contains(*name)) {
        let detail = format!("there is a workflow `{name}` already");
        return Err(Problem::new(StatusCode::CONFLICT, code::NAME_TAKEN, detail).hint("give it another `name`"));
    }
    let catalog = known::catalog(&door, guest.tenant(), "").await?;
    let (found, _fault) = house.catalogue.search(guest.tenant(), &goal, TOOLS_FOUND).await;
    let asker = Asker {
        key_id: Some(guest.key_id().to_owned()),
        ..Asker::of(guest.tenant().clone(), format!("generate-{}", uuid::Uuid::now_v7()))
    };
    let shipped = house.catalogue.shipped().iter().map(ToString::to_string);
    let drafting = Drafting {
        models: &*door.models,
        asker: &asker,
        catalog: &catalog,
        first: shipped.chain(found.iter().map(|tool| tool.name.to_string())).collect(),
        language: &language,
    };
    let named = |own: Option<&str>| name.clone().or_else(|| own.map(|own| free(&taken, own)));
    let drafted = drafting.draft(&goal, &named).await.map_err(refused)?;
    Ok(Json(json!({
        "ok": drafted.may_run(),
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

/// Names that no draft may have.
async fn taken(work: &Work, guest: &Guest) -> Result<BTreeSet<String>, Problem> {
    let all = work.registry.workflows(guest.tenant()).await?.into_iter().map(|version| version.workflow);
    Ok(all.chain(super::edit::KEPT_NAMES.map(str::to_owned)).collect())
}

/// The name, or the first of `NAME_2`, `NAME_3`, … that is free.
fn free(taken: &BTreeSet<String>, name: &str) -> String {
    let numbered = (2_usize..).map(|number| format!("{name}_{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or_default()
}

fn refused(error: Error) -> Problem {
    match error {
        Error::Goal { .. } => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, error.to_string()),
        Error::Model(failed) => (*failed).into(),
        Error::NoPlanner => Problem::broken("a workflow cannot be drafted", &error),
        Error::Prompt(fault) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, fault.code.clone(), fault.message),
    }
}
