//! Creates and changes workflows: a YAML or JSON document is checked as a whole, and stored as a new version.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::bundle::ContentHash;
use baton_core::definition::{self, CheckedDefinition, Diagnostic, Severity, source, yaml};
use baton_core::graph::GraphDrawing;
use baton_ports::keys::AccessScope;
use baton_ports::registry::{ChangeResult, NewVersion, WorkflowChange, WorkflowStatus, WorkflowVersion};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::version_json;
use crate::api::etag;
use crate::api::execute::workflow_not_found;
use crate::api::extractors::{PathParams, QueryParams};
use crate::api::principal::Principal;
use crate::api::schemas::{ProblemSchema, SavedVersionSchema, ValidationSchema};
use crate::api::tenant_catalog;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::{AppState, RunServices};

/// Names with another meaning below `/workflows`.
pub(super) const RESERVED_NAMES: [&str; 5] = ["execute", "validate", "import", "generate", "templates"];

/// How a document is taken in.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct SaveWorkflowQuery {
    /// Make it the active version, which takes all runs. It takes the role `operator` or `admin`, too.
    #[serde(default)]
    activate: bool,
}

/// A valid workflow, and its remaining diagnostics.
struct CheckedWorkflow {
    name: String,
    label: String,
    text: Vec<u8>,
    hash: ContentHash,
    diagnostics: Vec<Diagnostic>,
}

/// Reads the document from the body.
async fn document(state: &AppState, body: Body) -> Result<String, HttpProblem> {
    let bytes =
        body::read(body, state.limits).await.map_err(|unread| HttpProblem::unreadable_body(&unread, state.limits))?;
    String::from_utf8(bytes.into()).map_err(|_| {
        let detail = "the document is not UTF-8; it is YAML or JSON in UTF-8";
        HttpProblem::new(StatusCode::BAD_REQUEST, code::BODY_INVALID, detail)
    })
}

async fn check_document(state: &AppState, principal: &Principal, text: &str) -> Result<CheckedDefinition, HttpProblem> {
    let catalog = tenant_catalog::catalog(state, principal.tenant(), text).await?;
    Ok(definition::check(text.as_bytes(), &catalog))
}

impl CheckedWorkflow {
    async fn read(state: &AppState, principal: &Principal, text: &str) -> Result<Self, HttpProblem> {
        let checked = check_document(state, principal, text).await?;
        let Some((workflow, bundle)) = checked.runnable() else {
            let stops = checked.diagnostics.iter().filter(|found| found.severity <= Severity::Draft).count();
            let detail = format!("the document is no workflow that may run: {stops} findings stand against it");
            return Err(HttpProblem::findings(detail, checked.diagnostics));
        };
        if RESERVED_NAMES.contains(&workflow.name.as_str()) {
            let detail =
                format!("a workflow cannot be called `{}`: the address stands for something else", workflow.name);
            let refused = HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::WORKFLOW_INVALID, detail);
            return Err(refused.with_hint("give it another `name`"));
        }
        let sealed = bundle.seal().map_err(|error| HttpProblem::internal("a bundle could not be written", &error));
        let (name, label) = (workflow.name.clone(), workflow.version.clone());
        let (text, hash) = sealed?;
        Ok(Self { name, label, text, hash, diagnostics: checked.diagnostics })
    }

    /// Stores it as a version, if the workflow has this number of changes; 0 requires that the workflow does not
    /// exist.
    async fn save(
        self,
        state: &AppState,
        principal: &Principal,
        how: &SaveWorkflowQuery,
        expected: Option<u64>,
    ) -> Result<Response, HttpProblem> {
        let services = state.run_services()?;
        if how.activate {
            principal.require(AccessScope::Operate)?;
            super::activation::check_four_eyes(services, principal, Some(principal.actor_name()))?;
        }
        let new = NewVersion {
            label: self.label,
            bundle: self.text.into(),
            hash: self.hash,
            made_by: Some(principal.actor_name().to_owned()),
            activate: how.activate,
        };
        let change = services.registry.change(
            principal.tenant(),
            &self.name,
            WorkflowChange::Add(new),
            expected,
            state.clock.now(),
        );
        match change.await? {
            ChangeResult::Done { version, changes } => {
                let is_first = expected == Some(0);
                Ok(saved_response(&version, changes, &self.diagnostics, is_first))
            }
            ChangeResult::Stale { .. } if expected == Some(0) => Err(name_taken(&self.name)),
            ChangeResult::Stale { .. } => Err(etag::precondition_failed(&format!("`{}`", self.name))),
            ChangeResult::Missing => Err(workflow_not_found(services, principal, &self.name).await),
        }
    }
}

fn saved_response(version: &WorkflowVersion, changes: u64, diagnostics: &[Diagnostic], is_first: bool) -> Response {
    let mut shown = version_json(version);
    shown["diagnostics"] = json!(diagnostics);
    let status = if is_first { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, Json(shown)).into_response();
    etag::set_etag(&mut response, changes);
    let address = format!("/api/v1/workflows/{}", in_path(&version.workflow));
    if let (true, Ok(address)) = (is_first, HeaderValue::try_from(address)) {
        response.headers_mut().insert(LOCATION, address);
    }
    response
}

/// A name, percent-encoded for a path.
pub(in crate::api) fn in_path(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn name_taken(name: &str) -> HttpProblem {
    let detail = format!("there is a workflow `{name}`, and it says something else");
    let hint = format!("PUT /api/v1/workflows/{} makes a new version of it", in_path(name));
    HttpProblem::new(StatusCode::CONFLICT, code::NAME_TAKEN, detail).with_hint(hint)
}

/// Makes a workflow
///
/// The body is the document itself, in YAML or JSON. It is checked whole: what stands against it is a 422 with every finding
/// and its place. The version is kept and runs once somebody activates it. The same document sent again is answered as it
/// stands.
#[utoipa::path(post, path = "/api/v1/workflows", tag = "workflows", params(SaveWorkflowQuery),
    request_body(content((Object = "application/json"), (String = "application/yaml"))), responses(
    (status = 201, body = SavedVersionSchema), (status = 200, body = SavedVersionSchema, description = "this very version is there already"),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn create(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(how): QueryParams<SaveWorkflowQuery>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let text = document(&state, body).await?;
    let ready = CheckedWorkflow::read(&state, &principal, &text).await?;
    save_new(&state, &principal, ready, &how).await
}

/// Creates a workflow. An archived one may be created again.
async fn save_new(
    state: &AppState,
    principal: &Principal,
    ready: CheckedWorkflow,
    how: &SaveWorkflowQuery,
) -> Result<Response, HttpProblem> {
    let services = state.run_services()?;
    let expected = match services.registry.workflow_status(principal.tenant(), &ready.name).await? {
        None => 0,
        Some(WorkflowStatus { archived_at: Some(_), changes, .. }) => changes,
        Some(standing) => {
            let Some(same) = find_same_version(services, principal, &ready).await? else {
                return Err(name_taken(&ready.name));
            };
            if same.active || !how.activate {
                return Ok(saved_response(&same, standing.changes, &ready.diagnostics, false));
            }
            standing.changes
        }
    };
    ready.save(state, principal, how, Some(expected)).await
}

/// The newest version, if it is identical to this one.
async fn find_same_version(
    services: &RunServices,
    principal: &Principal,
    ready: &CheckedWorkflow,
) -> Result<Option<WorkflowVersion>, HttpProblem> {
    let newest = services.registry.versions(principal.tenant(), &ready.name).await?.into_iter().next();
    Ok(newest.filter(|version| version.bundle == ready.hash))
}

/// Changes a workflow: the document becomes its newest version
///
/// With `If-Match`, only where the workflow stands as it was read. Runs under way keep the version they are on. One that is
/// not there yet is made.
#[utoipa::path(put, path = "/api/v1/workflows/{workflow_id}", tag = "workflows",
    params(("workflow_id" = String, Path), SaveWorkflowQuery,
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    request_body(content((Object = "application/json"), (String = "application/yaml"))), responses(
    (status = 200, body = SavedVersionSchema), (status = 201, body = SavedVersionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn replace(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    QueryParams(how): QueryParams<SaveWorkflowQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpProblem> {
    let expected = etag::if_match(&headers)?;
    let text = document(&state, body).await?;
    let services = state.run_services()?;
    let ready = CheckedWorkflow::read(&state, &principal, &text).await?;
    if ready.name != name {
        let detail = format!("the document is called `{}`, and the address `{name}`", ready.name);
        let hint = "a workflow keeps its name; POST /api/v1/workflows makes another";
        return Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::WORKFLOW_INVALID, detail).with_hint(hint));
    }
    let is_there = services.registry.workflow_status(principal.tenant(), &name).await?.is_some();
    let expected = if is_there || expected.is_some() { expected } else { Some(0) };
    ready.save(&state, &principal, &how, expected).await
}

/// Puts a workflow away
///
/// No version of it is active any more. Runs under way go on, its versions and runs stay, and activating a version brings it
/// back.
#[utoipa::path(delete, path = "/api/v1/workflows/{workflow_id}", tag = "workflows",
    params(("workflow_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    responses((status = 204), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn archive(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
) -> Result<Response, HttpProblem> {
    super::activation::change_workflow(&state, &principal, &name, WorkflowChange::Archive, &headers).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Checks a document, and keeps nothing
#[utoipa::path(post, path = "/api/v1/workflows/validate", tag = "workflows",
    request_body(content((Object = "application/json"), (String = "application/yaml"))), responses(
    (status = 200, body = ValidationSchema), (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn validate(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    body: Body,
) -> Result<Json<Value>, HttpProblem> {
    let text = document(&state, body).await?;
    let checked = check_document(&state, &principal, &text).await?;
    let workflow = checked.workflow.as_ref();
    Ok(Json(json!({
        "ok": checked.runnable().is_some(),
        "workflow": workflow.map(|workflow| &workflow.name),
        "diagnostics": checked.diagnostics,
        "graph": workflow.map(|workflow| GraphDrawing::of(&workflow.graph)),
        "input": workflow.and_then(|workflow| workflow.input.schema()),
    })))
}

/// How a file is taken in.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ImportQuery {
    /// Call it so, whatever it calls itself.
    name: Option<String>,
    /// Where there is a workflow of this name that says something else, make it a new version of that one.
    #[serde(default)]
    replace: bool,
    /// Make it the active version, which takes all runs. It takes the role `operator` or `admin`, too.
    #[serde(default)]
    activate: bool,
}

/// Takes a workflow in from a file
#[utoipa::path(post, path = "/api/v1/workflows/import", tag = "workflows", params(ImportQuery),
    request_body(content((Object = "application/json"), (String = "application/yaml"))), responses(
    (status = 201, body = SavedVersionSchema), (status = 200, body = SavedVersionSchema),
    (status = "4XX", body = ProblemSchema, content_type = "application/problem+json")))]
pub(in crate::api) async fn import(
    State(state): State<AppState>,
    Extension(principal): Extension<Principal>,
    QueryParams(ImportQuery { name, replace, activate }): QueryParams<ImportQuery>,
    body: Body,
) -> Result<Response, HttpProblem> {
    let mut text = document(&state, body).await?;
    if let Some(name) = name {
        let tree = source::read(text.as_bytes());
        let mut definition =
            tree.map_err(|found| HttpProblem::findings("the document cannot be read", found))?.to_json();
        if !yaml::rename_workflow(&mut definition, &name) {
            let detail = "the document holds no workflow: it is no mapping of keys";
            return Err(HttpProblem::new(StatusCode::UNPROCESSABLE_ENTITY, code::WORKFLOW_INVALID, detail));
        }
        text = yaml::to_yaml(&definition);
    }
    let services = state.run_services()?;
    let ready = CheckedWorkflow::read(&state, &principal, &text).await?;
    let how = SaveWorkflowQuery { activate };
    match services.registry.workflow_status(principal.tenant(), &ready.name).await? {
        Some(standing) if replace => ready.save(&state, &principal, &how, Some(standing.changes)).await,
        _ => save_new(&state, &principal, ready, &how).await,
    }
}
