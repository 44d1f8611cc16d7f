//! What is kept of one customer, handed over whole.

use std::collections::BTreeSet;

use baton_core::audit::Administered;
use baton_core::id::{RunId, TenantId};
use baton_engine::newest;
use baton_ports::audit::{Filter, Order};
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::index::Collection;
use baton_ports::journal::Kind;
use baton_ports::read::PAGE_MAX;
use serde_json::{Value, json};

use super::{Customers, Error, checked};
use crate::api::lines as lines_of;

/// Conversations, documents and rows that are looked through for those of one customer.
const LOOKED_THROUGH_MAX: usize = 100_000;
/// Of each kind, in one answer.
const HANDED_OVER_MAX: usize = 10_000;
/// In one answer, about.
const HANDED_OVER_BYTES_MAX: usize = 32 << 20;

impl Customers<'_> {
    /// Hands over what is kept of a customer. That it was done has a row in the audit trail.
    pub async fn export(&self, tenant: &TenantId, id: &str, by: &str, key_id: Option<&str>) -> Result<Value, Error> {
        checked(id)?;
        let mut found = Found { customers: self, tenant, id, is_whole: true, bytes: 0, runs: BTreeSet::new() };
        let conversations = found.conversations().await?;
        let rows = found.rows().await?;
        let documents = found.documents().await?;
        let person = self.person(tenant, id, &[]).await?;
        let theirs = self.belongings(tenant, &person).await?.into_values();
        found.runs.extend(theirs.filter(|one| one.kind == Kind::Run).map(|one| one.id));
        let executions = found.executions().await?;
        let shown = json!({
            "customer_id": id,
            "exported_at": self.clock.now().to_string(),
            "complete": found.is_whole,
            "also_known_by": person.also,
            "conversations": conversations,
            "executions": executions,
            "documents": documents,
            "audit_rows": rows,
            "erased": self.erased(tenant, id).await?,
        });
        // Whom it is about is in the trail as a digest alone: it outlives them.
        let (action, key_id) = ("customers.export".to_owned(), key_id.map(str::to_owned));
        let after = Some(json!({ "customer_id": id }));
        let act = Administered { action, target: None, by: by.to_owned(), key_id, before: None, after };
        self.audit.note(act.row(tenant, self.clock.now())).await?;
        Ok(shown)
    }
}

/// What was found so far.
struct Found<'d> {
    customers: &'d Customers<'d>,
    tenant: &'d TenantId,
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

    async fn conversations(&mut self) -> Result<Vec<Value>, Error> {
        let (mut all, mut lines) = (Vec::new(), 0);
        let mut filter = ConversationFilter { limit: PAGE_MAX, ..ConversationFilter::default() };
        for _ in 0..LOOKED_THROUGH_MAX / PAGE_MAX {
            let heads = self.customers.read.conversations(self.tenant, filter.clone()).await?;
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
    async fn said(&mut self, head: &ConversationHead) -> Result<Value, Error> {
        let (mut lines, mut after) = (Vec::new(), 0);
        loop {
            let page = self.customers.read.entries(self.tenant, &head.conversation, after, PAGE_MAX).await?;
            if page.is_empty() || !self.has_room(lines.len()) {
                break;
            }
            after += page.len() as u64;
            for entry in page {
                let entry = serde_json::from_slice(&entry).map_err(baton_engine::Error::from)?;
                lines.extend(lines_of(&entry, true));
            }
        }
        self.runs.extend(lines.iter().filter_map(|line| line["execution_id"].as_str()).map(RunId::new));
        let mut shown = head.as_json();
        shown["messages"] = json!(lines);
        Ok(shown)
    }

    async fn rows(&mut self) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let (person, order) = (Some(self.id.to_owned()), Order::OldestFirst);
            let filter = Filter { person, order, cursor, limit: PAGE_MAX, ..Filter::default() };
            let page = self.customers.audit.trail(self.tenant, filter).await?;
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
    async fn documents(&mut self) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        for collection in Collection::ALL {
            let mut after: Option<String> = None;
            for page_number in 0.. {
                let (memory, tenant) = (self.customers.memory, self.tenant);
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
    async fn executions(&mut self) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        let tenant = self.tenant;
        for id in std::mem::take(&mut self.runs) {
            if !self.has_room(all.len()) {
                break;
            }
            let Some(head) = self.customers.read.run(tenant, &id).await? else { continue };
            if head.erased_at.is_some() {
                all.push(self.counted(head.as_json()));
                continue;
            }
            let run = newest::run(self.customers.read, self.customers.engine.library(), tenant, &id).await?;
            let mut shown = head.as_json();
            shown["input_data"] = json!(run.started().map(|started| &started.input));
            all.push(self.counted(shown));
        }
        Ok(all)
    }
}
