//! What is kept of one customer, handed over whole.

use std::collections::BTreeSet;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use baton_core::audit::Administered;
use baton_core::id::RunId;
use baton_engine::newest;
use baton_ports::audit::{Filter, Order};
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::index::Collection;
use baton_ports::keys::Need;
use baton_ports::read::PAGE_MAX;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::conversations;
use super::guest::Guest;
use super::knowledge::customer;
use super::query::Path;
use super::shapes::Problem as Refusal;
use super::shapes::knowledge::CustomerExport;
use crate::door::{Door, House, Work};
use crate::problem::Problem;

/// Conversations, documents and rows that are looked through for those of one customer.
const LOOKED_THROUGH_MAX: usize = 100_000;
/// Of each kind, in one answer.
const HANDED_OVER_MAX: usize = 10_000;
/// In one answer, about.
const HANDED_OVER_BYTES_MAX: usize = 32 << 20;

pub(super) fn paths() -> OpenApiRouter<Door> {
    super::needing(Need::Administer, OpenApiRouter::new().routes(routes!(export)))
}

/// Hands over what is kept of a customer: conversations with all that was said, executions, documents, and audit rows
///
/// Conversations that are theirs by `user_id`; documents that are about them, without their texts; rows of the trail about
/// them; and the executions that any of these name. Each list has at most 10,000, and all of them 32 MiB; `complete` says
/// whether that was all of these. That it was handed over has a row in the audit trail.
#[utoipa::path(get, path = "/api/v1/customers/{customer_id}/export", tag = "knowledge",
    params(("customer_id" = String, Path)), responses((status = 200, body = CustomerExport),
    (status = "4XX", body = Refusal, content_type = "application/problem+json")))]
pub(super) async fn export(
    State(door): State<Door>,
    Extension(guest): Extension<Guest>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    customer(&id)?;
    let (work, house) = (door.work()?, door.house()?);
    let mut found = Found { work, house, guest: &guest, id: &id, is_whole: true, bytes: 0, runs: BTreeSet::new() };
    let conversations = found.conversations().await?;
    let rows = found.rows().await?;
    let documents = found.documents().await?;
    let executions = found.executions().await?;
    let shown = json!({
        "customer_id": id,
        "exported_at": door.clock.now().to_string(),
        "complete": found.is_whole,
        "also_known_by": house.knowledge.identifiers(guest.tenant(), &id).await?,
        "conversations": conversations,
        "executions": executions,
        "documents": documents,
        "audit_rows": rows,
    });
    // Whom it is about is in the trail as a digest alone: it outlives them.
    let (action, key_id) = ("customers.export".to_owned(), Some(guest.key_id().to_owned()));
    let after = Some(json!({ "customer_id": id }));
    let act = Administered { action, target: None, by: guest.by().to_owned(), key_id, before: None, after };
    house.audit.note(act.row(guest.tenant(), door.clock.now())).await?;
    Ok(Json(shown))
}

/// What was found so far.
struct Found<'d> {
    work: &'d Work,
    house: &'d House,
    guest: &'d Guest,
    id: &'d str,
    is_whole: bool,
    /// Of all that was found.
    bytes: usize,
    /// Theirs, as conversations and rows say.
    runs: BTreeSet<RunId>,
}

impl Found<'_> {
    /// Whether there is room for one more of a kind.
    fn has_room(&mut self, have: usize) -> bool {
        let has_room = have < HANDED_OVER_MAX && self.bytes < HANDED_OVER_BYTES_MAX;
        self.is_whole &= has_room;
        has_room
    }

    fn counted(&mut self, one: Value) -> Value {
        self.bytes += one.to_string().len();
        one
    }

    async fn conversations(&mut self) -> Result<Vec<Value>, Problem> {
        let (mut all, mut lines) = (Vec::new(), 0);
        let mut filter = ConversationFilter { limit: PAGE_MAX, ..ConversationFilter::default() };
        for _ in 0..LOOKED_THROUGH_MAX / PAGE_MAX {
            let heads = self.work.read.conversations(self.guest.tenant(), filter.clone()).await?;
            let Some(last) = heads.last().map(|head| head.conversation.clone()) else { return Ok(all) };
            for head in heads.iter().filter(|head| head.user.as_deref() == Some(self.id)) {
                if !self.has_room(all.len()) || !self.has_room(lines) {
                    return Ok(all);
                }
                let one = self.said(head).await?;
                lines += one["messages"].as_array().map_or(0, Vec::len);
                all.push(self.counted(one));
            }
            filter.before = Some(last);
        }
        self.is_whole = false;
        Ok(all)
    }

    /// A conversation with all its lines.
    async fn said(&mut self, head: &ConversationHead) -> Result<Value, Problem> {
        let (mut lines, mut after) = (Vec::new(), 0);
        loop {
            let page = self.work.read.entries(self.guest.tenant(), &head.conversation, after, PAGE_MAX).await?;
            if page.is_empty() || !self.has_room(lines.len()) {
                break;
            }
            after += page.len() as u64;
            for entry in page {
                let entry = serde_json::from_slice(&entry).map_err(baton_engine::Error::from)?;
                lines.extend(conversations::lines(&entry, self.guest));
            }
        }
        self.runs.extend(lines.iter().filter_map(|line| line["execution_id"].as_str()).map(RunId::new));
        let mut shown = head.as_json();
        shown["messages"] = json!(lines);
        Ok(shown)
    }

    async fn rows(&mut self) -> Result<Vec<Value>, Problem> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let (person, order) = (Some(self.id.to_owned()), Order::OldestFirst);
            let filter = Filter { person, order, cursor, limit: PAGE_MAX, ..Filter::default() };
            let page = self.house.audit.trail(self.guest.tenant(), filter).await?;
            let Some(last) = page.last() else { return Ok(all) };
            cursor = Some(last.seq);
            for entry in &page {
                if !self.has_room(all.len()) {
                    return Ok(all);
                }
                self.runs.extend(entry.row.run.clone());
                all.push(self.counted(entry.as_json()));
            }
        }
    }

    /// What memory and the knowledge base have about them, by collection.
    async fn documents(&mut self) -> Result<Vec<Value>, Problem> {
        let mut all = Vec::new();
        for collection in Collection::ALL {
            let mut after: Option<String> = None;
            for page_number in 0.. {
                let (memory, tenant) = (&self.house.memory, self.guest.tenant());
                let page = memory.documents(tenant, collection, after.as_deref(), PAGE_MAX).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.name.clone());
                for head in page.iter().filter(|head| head.subject.as_deref() == Some(self.id)) {
                    if !self.has_room(all.len()) {
                        return Ok(all);
                    }
                    let one = json!({
                        "collection": collection, "name": head.name, "title": head.title, "metadata": head.metadata,
                        "updated_at": head.at.to_string(),
                    });
                    all.push(self.counted(one));
                }
                if page_number >= LOOKED_THROUGH_MAX / PAGE_MAX {
                    self.is_whole = false;
                    break;
                }
            }
        }
        Ok(all)
    }

    /// Theirs, with what each was begun with.
    async fn executions(&mut self) -> Result<Vec<Value>, Problem> {
        let mut all = Vec::new();
        let tenant = self.guest.tenant();
        for id in std::mem::take(&mut self.runs) {
            if !self.has_room(all.len()) {
                break;
            }
            let Some(head) = self.work.read.run(tenant, &id).await? else { continue };
            let run = newest::run(&*self.work.read, self.work.engine.library(), tenant, &id).await?;
            let mut shown = head.as_json();
            shown["input_data"] = json!(run.started().map(|started| &started.input));
            all.push(self.counted(shown));
        }
        Ok(all)
    }
}
