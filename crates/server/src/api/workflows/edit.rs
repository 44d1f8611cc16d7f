//! Workflows made and changed: a document in YAML or JSON is checked whole, and kept as a version of its own.

use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use baton_core::bundle::Hash;
use baton_core::definition::{self, Checked, Diagnostic, Severity, source, yaml};
use baton_core::graph::Drawing;
use baton_ports::keys::Need;
use baton_ports::registry::{Change, Changed, New, Standing, Version};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::told;
use crate::api::etag;
use crate::api::execute::no_workflow;
use crate::api::guest::Guest;
use crate::api::known;
use crate::api::query::{Path, Query};
use crate::api::shapes::{Kept, Problem as Refusal, Validated};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

/// Names that stand for something else below `/workflows`.
pub(super) const KEPT_NAMES: [&str; 5] = ["execute", "validate", "import", "generate", "templates"];

/// How a document is taken in.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct How {
    /// Make it the active version, which takes all runs. It takes the role `operator` or `admin`, too.
    #[serde(default)]
    activate: bool,
}

/// A workflow that may run, and what is still to be said of it.
struct Ready {
    name: String,
    label: String,
    text: Vec<u8>,
    hash: Hash,
    diagnostics: Vec<Diagnostic>,
}

/// A document as it came.
async fn document(door: &Door, body: Body) -> Result<String, Problem> {
    let bytes = body::read(body, door.limits).await.map_err(|unread| Problem::unread(&unread, door.limits))?;
    String::from_utf8(bytes.into()).map_err(|_| {
        let detail = "the document is not UTF-8; it is YAML or JSON in UTF-8";
        Problem::new(StatusCode::BAD_REQUEST, code::BODY_INVALID, detail)
    })
}

async fn checked(door: &Door, guest: &Guest, text: &str) -> Result<Checked, Problem> {
    let catalog = known::catalog(door, guest.tenant(), text).await?;
    Ok(definition::check(text.as_bytes(), &catalog))
}

impl Ready {
    async fn read(door: &Door, guest: &Guest, text: &str) -> Result<Self, Problem> {
        let checked = checked(door, guest, text).await?;
        let Some((workflow, bundle)) = checked.ready() else {
            let stops = checked.diagnostics.iter().filter(|found| found.severity <= Severity::Draft).count();
            let detail = format!("the document is no workflow that may run: {stops} findings stand against it");
            return Err(Problem::findings(detail, checked.diagnostics));
        };
        if KEPT_NAMES.contains(&workflow.name.as_str()) {
            let detail =
                format!("a workflow cannot be called `{}`: the address stands for something else", workflow.name);
            let refused = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::WORKFLOW_INVALID, detail);
            return Err(refused.hint("give it another `name`"));
        }
        let sealed = bundle.seal().map_err(|error| Problem::broken("a bundle could not be written", &error));
        let (name, label) = (workflow.name.clone(), workflow.version.clone());
        let (text, hash) = sealed?;
        Ok(Self { name, label, text, hash, diagnostics: checked.diagnostics })
    }

    /// Keeps it as a version, where the workflow has changed so often; 0 for one that must not be there.
    async fn keep(self, door: &Door, guest: &Guest, how: &How, expected: Option<u64>) -> Result<Response, Problem> {
        let work = door.work()?;
        if how.activate {
            guest.must(Need::Operate)?;
            super::stand::four_eyes(work, guest, Some(guest.by()))?;
        }
        let new = New {
            label: self.label,
            bundle: self.text.into(),
            hash: self.hash,
            made_by: Some(guest.by().to_owned()),
            activate: how.activate,
        };
        let change = work.registry.change(guest.tenant(), &self.name, Change::Add(new), expected, door.clock.now());
        match change.await? {
            Changed::Done { version, changes } => {
                let is_first = expected == Some(0);
                Ok(kept(&version, changes, &self.diagnostics, is_first))
            }
            Changed::Stale { .. } if expected == Some(0) => Err(taken(&self.name)),
            Changed::Stale { .. } => Err(etag::stale(&format!("`{}`", self.name))),
            Changed::Missing => Err(no_workflow(work, guest, &self.name).await),
        }
    }
}

fn kept(version: &Version, changes: u64, diagnostics: &[Diagnostic], is_first: bool) -> Response {
    let mut shown = told(version);
    shown["diagnostics"] = json!(diagnostics);
    let status = if is_first { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, Json(shown)).into_response();
    etag::say(&mut response, changes);
    let address = format!("/api/v1/workflows/{}", in_path(&version.workflow));
    if let (true, Ok(address)) = (is_first, HeaderValue::try_from(address)) {
        response.headers_mut().insert(LOCATION, address);
    }
    response
}

/// A name as it stands in an address.
pub(in crate::api) fn in_path(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn taken(name: &str) -> Problem {
    let detail = format!("there is a workflow `{name}`, and it says something else");
    let hint = format!("PUT /api/v1/workflows/{} makes a new version of it", in_path(name));
    Problem::new(StatusCode::CONFLICT, code::NAME_TAKEN, detail).hint(hint)
}

/// Makes a workflow
///
/// The body is the document itself, in YAML or JSON. It is checked whole: what stands against it is a 422 with every finding
/// and its place. The version is kept and runs once somebody activates it. The same document sent again is answered as it
/// stands.
#[utoipa::path(post, path = "/api/v1/workflows", tag = "workflows", params(How),
    request_body(content((Object = "application/json"), (String = "application/yaml"))), responses(
    (status = 201, body = Kept), (status = 200, body = Kept, description = "this very version is there already"),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn create(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(how): Query<How>,
    body: Body,
) -> Result<Response, Problem> {
    let text = document(&door, body).await?;
    let ready = Ready::read(&door, &guest, &text).await?;
    make(&door, &guest, ready, &how).await
}

/// One that is put away may be made anew.
async fn make(door: &Door, guest: &Guest, ready: Ready, how: &How) -> Result<Response, Problem> {
    let work = door.work()?;
    let expected = match work.registry.standing(guest.tenant(), &ready.name).await? {
        None => 0,
        Some(Standing { archived_at: Some(_), changes, .. }) => changes,
        Some(standing) => {
            let Some(same) = same(work, guest, &ready).await? else { return Err(taken(&ready.name)) };
            if same.active || !how.activate {
                return Ok(kept(&same, standing.changes, &ready.diagnostics, false));
            }
            standing.changes
        }
    };
    ready.keep(door, guest, how, Some(expected)).await
}

/// The newest version, where it is this one.
async fn same(work: &Work, guest: &Guest, ready: &Ready) -> Result<Option<Version>, Problem> {
    let newest = work.registry.versions(guest.tenant(), &ready.name).await?.into_iter().next();
    Ok(newest.filter(|version| version.bundle == ready.hash))
}

/// Changes a workflow: the document becomes its newest version
///
/// With `If-Match`, only where the workflow stands as it was read. Runs under way keep the version they are on. One that is
/// not there yet is made.
#[utoipa::path(put, path = "/api/v1/workflows/{workflow_id}", tag = "workflows",
    params(("workflow_id" = String, Path), How,
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    request_body(content((Object = "application/json"), (String = "application/yaml"))), responses(
    (status = 200, body = Kept), (status = 201, body = Kept),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn replace(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    Query(how): Query<How>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let expected = etag::expected(&headers)?;
    let text = document(&door, body).await?;
    let work = door.work()?;
    let ready = Ready::read(&door, &guest, &text).await?;
    if ready.name != name {
        let detail = format!("the document is called `{}`, and the address `{name}`", ready.name);
        let hint = "a workflow keeps its name; POST /api/v1/workflows makes another";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::WORKFLOW_INVALID, detail).hint(hint));
    }
    let is_there = work.registry.standing(guest.tenant(), &name).await?.is_some();
    let expected = if is_there || expected.is_some() { expected } else { Some(0) };
    ready.keep(&door, &guest, &how, expected).await
}

/// Puts a workflow away
///
/// No version of it is active any more. Runs under way go on, its versions and runs stay, and activating a version brings it
/// back.
#[utoipa::path(delete, path = "/api/v1/workflows/{workflow_id}", tag = "workflows",
    params(("workflow_id" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the `ETag` that was read")),
    responses((status = 204), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn archive(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    super::stand::changed(&door, &guest, &name, Change::Archive, &headers).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Checks a document, and keeps nothing
#[utoipa::path(post, path = "/api/v1/workflows/validate", tag = "workflows",
    request_body(content((Object = "application/json"), (String = "application/yaml"))), responses(
    (status = 200, body = Validated), (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn validate(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let text = document(&door, body).await?;
    let checked = checked(&door, &guest, &text).await?;
    let workflow = checked.workflow.as_ref();
    Ok(Json(json!({
        "ok": checked.ready().is_some(),
        "workflow": workflow.map(|workflow| &workflow.name),
        "diagnostics": checked.diagnostics,
        "graph": workflow.map(|workflow| Drawing::of(&workflow.graph)),
        "input": workflow.and_then(|workflow| workflow.input.schema()),
    })))
}

/// How a file is taken in.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Import {
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
#[utoipa::path(post, path = "/api/v1/workflows/import", tag = "workflows", params(Import),
    request_body(content((Object = "application/json"), (String = "application/yaml"))), responses(
    (status = 201, body = Kept), (status = 200, body = Kept),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn import(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Query(Import { name, replace, activate }): Query<Import>,
    body: Body,
) -> Result<Response, Problem> {
    let mut text = document(&door, body).await?;
    if let Some(name) = name {
        let tree = source::read(text.as_bytes());
        let mut definition = tree.map_err(|found| Problem::findings("the document cannot be read", found))?.to_json();
        if !yaml::rename(&mut definition, &name) {
            let detail = "the document holds no workflow: it is no mapping of keys";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::WORKFLOW_INVALID, detail));
        }
        text = yaml::written(&definition);
    }
    let work = door.work()?;
    let ready = Ready::read(&door, &guest, &text).await?;
    let how = How { activate };
    match work.registry.standing(guest.tenant(), &ready.name).await? {
        Some(standing) if replace => ready.keep(&door, &guest, &how, Some(standing.changes)).await,
        _ => make(&door, &guest, ready, &how).await,
    }
}
