//! A new run that begins where another's past is cut.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_core::expr::nearest;
use baton_core::id::RunId;
use baton_core::run::{Address, Forked, past_before};
use baton_engine::{Followed, Fork as Made};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{Record, whole};
use crate::api::begin::{Begin, begin};
use crate::api::guest::Guest;
use crate::api::once::Asked;
use crate::api::query::Path;
use crate::api::shapes::{Execution, Problem as Refusal};
use crate::body;
use crate::code;
use crate::door::{Door, Work};
use crate::problem::Problem;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Fork {
    /// The node it begins at, as the execution's `nodes` name it: what was recorded before stands, the rest is done anew.
    #[schema(min_length = 1)]
    node_id: String,
    /// Variables that are otherwise in the new run.
    #[serde(default)]
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    /// The new run undoes what it inherited; the original does unless told.
    #[serde(default)]
    owns_undo: bool,
}

/// A fork that is asked for.
pub(in crate::api) struct Wanted {
    of: String,
    fork: Fork,
}

/// Begins a new run where this one's past is cut
///
/// What was recorded before the node began is inherited and not done again. The original stays as it is. What is answered is
/// the new run.
#[utoipa::path(post, path = "/api/v1/executions/{execution_id}/fork", tag = "executions",
    params(("execution_id" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "at most 255 characters; one run a key")),
    request_body = Fork, responses(
    (status = 200, body = Execution), (status = 202, body = Execution),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(in crate::api) async fn fork(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (said, fork) = body::said(body, door.limits).await?;
    let wanted = Begin::Forked(Wanted { of: id.clone(), fork });
    begin(&door, &guest, &headers, Asked::new("fork", &id, &said), wanted).await
}

impl Wanted {
    /// What the engine takes.
    pub async fn make(self, work: &Work, guest: &Guest, run: RunId) -> Result<Made, Problem> {
        let Self { of, fork: Fork { node_id, variables, owns_undo } } = self;
        let (head, Followed { run: origin, entries }) = whole(work, guest, &of).await?;
        let record = Record { head, run: origin };
        let past = past_before(&entries, &Address::parse(&node_id));
        let past = past.ok_or_else(|| never_reached(&record, &node_id))?;
        known(&record, &variables)?;
        let variables = BTreeMap::from_iter(variables);
        let (from, by) = (record.head.run, guest.by().to_owned());
        let forked = Forked { run, from, by, variables, owns_undo };
        Ok(Made { tenant: guest.tenant().clone(), workflow: record.head.workflow, past, forked })
    }
}

/// A variable that nobody has is a misspelt one.
fn known(record: &Record, variables: &Map<String, Value>) -> Result<(), Problem> {
    let names = record.run.variable_names();
    let Some(unknown) = variables.keys().find(|name| !names.contains(*name)) else { return Ok(()) };
    let detail = format!("`variables`: `{}` has no variable `{unknown}`", record.head.run);
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail).about(&record.head.run);
    Err(match nearest(unknown, names.iter().map(String::as_str)) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint(format!("it has {}", Vec::from_iter(names).join(", "))),
    })
}

fn never_reached(record: &Record, node: &str) -> Problem {
    let nodes: Vec<String> = record.run.nodes().iter().map(|row| row.node.to_string()).collect();
    let detail = format!("`node_id`: `{node}` was never begun in `{}`", record.head.run);
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code::BODY_INVALID, detail).about(&record.head.run);
    match nearest(node, nodes.iter().map(String::as_str)).filter(|near| *near != node) {
        Some(near) => problem.hint(format!("did you mean `{near}`?")),
        None => problem.hint("fork at a node that ran; the execution's `nodes` say which did"),
    }
}
