//! Exports all data about one customer.

use std::collections::BTreeSet;

use baton_core::audit::AdminAction;
use baton_core::id::{RunId, TenantId};
use baton_engine::snapshot_reader;
use baton_ports::audit::{AuditFilter, AuditOrder};
use baton_ports::conversations::{ConversationFilter, ConversationHead};
use baton_ports::index::MemoryCollection;
use baton_ports::journal::AggregateKind;
use baton_ports::read::PAGE_MAX;
use serde_json::{Value, json};

use super::{CustomerError, CustomerService, check_id};
use crate::api::lines as entry_lines;

/// Maximum number of conversations, documents and rows that are searched for those of one customer.
const SCAN_MAX: usize = 100_000;
/// Maximum number of items of each kind in one export.
const ITEMS_MAX: usize = 10_000;
/// Approximate maximum size of an export, in bytes.
const EXPORT_BYTES_MAX: usize = 32 << 20;

impl CustomerService<'_> {
    /// Exports the data about a customer. The export is recorded in the audit trail.
    pub async fn export(
        &self,
        tenant: &TenantId,
        id: &str,
        by: &str,
        key_id: Option<&str>,
    ) -> Result<Value, CustomerError> {
        check_id(id)?;
        let mut found =
            ExportCollector { customers: self, tenant, id, is_whole: true, bytes: 0, runs: BTreeSet::new() };
        let conversations = found.conversations().await?;
        let rows = found.audit_rows().await?;
        let documents = found.documents().await?;
        let person = self.person(tenant, id, &[]).await?;
        let theirs = self.belongings(tenant, &person).await?.into_values();
        found.runs.extend(theirs.filter(|one| one.kind == AggregateKind::Run).map(|one| one.id));
        let executions = found.executions().await?;
        let shown = json!({
            "customer_id": id,
            "exported_at": self.clock.now().to_string(),
            "complete": found.is_whole,
            "also_known_by": person.other_names,
            "conversations": conversations,
            "executions": executions,
            "documents": documents,
            "audit_rows": rows,
            "erased": self.erased(tenant, id).await?,
        });
        // The audit row holds the customer only as a digest, because it outlives the customer's data.
        let (action, key_id) = ("customers.export".to_owned(), key_id.map(str::to_owned));
        let after = Some(json!({ "customer_id": id }));
        let act = AdminAction { action, target: None, by: by.to_owned(), key_id, before: None, after };
        self.audit.append_row(act.row(tenant, self.clock.now())).await?;
        Ok(shown)
    }
}

/// Collects the data of an export.
struct ExportCollector<'d> {
    customers: &'d CustomerService<'d>,
    tenant: &'d TenantId,
    id: &'d str,
    is_whole: bool,
    /// Size of everything collected.
    bytes: usize,
    /// The customer's runs, as named by conversations and audit rows.
    runs: BTreeSet<RunId>,
}

impl ExportCollector<'_> {
    /// Whether there is room for one more item of a kind.
    fn has_room(&mut self, have: usize) -> bool {
        let has_room = have < ITEMS_MAX && self.bytes < EXPORT_BYTES_MAX;
        self.is_whole &= has_room;
        has_room
    }

    fn count(&mut self, one: Value) -> Value {
        self.bytes += one.to_string().len();
        one
    }

    async fn conversations(&mut self) -> Result<Vec<Value>, CustomerError> {
        let (mut all, mut lines) = (Vec::new(), 0);
        let mut filter = ConversationFilter { limit: PAGE_MAX, ..ConversationFilter::default() };
        for _ in 0..SCAN_MAX / PAGE_MAX {
            let heads = self.customers.read.conversations(self.tenant, filter.clone()).await?;
            let Some(last) = heads.last().map(|head| head.conversation.clone()) else { return Ok(all) };
            for head in heads.iter().filter(|head| head.user.as_deref() == Some(self.id)) {
                if !self.has_room(all.len()) || !self.has_room(lines) {
                    return Ok(all);
                }
                let one = self.conversation_json(head).await?;
                lines += one["messages"].as_array().map_or(0, Vec::len);
                all.push(self.count(one));
            }
            filter.before = Some(last);
        }
        self.is_whole = false;
        Ok(all)
    }

    /// A conversation with all its lines.
    async fn conversation_json(&mut self, head: &ConversationHead) -> Result<Value, CustomerError> {
        let (mut lines, mut after) = (Vec::new(), 0);
        loop {
            let page = self.customers.read.entries(self.tenant, &head.conversation, after, PAGE_MAX).await?;
            if page.is_empty() || !self.has_room(lines.len()) {
                break;
            }
            after += page.len() as u64;
            for entry in page {
                let entry = serde_json::from_slice(&entry).map_err(baton_engine::EngineError::from)?;
                lines.extend(entry_lines(&entry, true));
            }
        }
        self.runs.extend(lines.iter().filter_map(|line| line["execution_id"].as_str()).map(RunId::new));
        let mut shown = head.as_json();
        shown["messages"] = json!(lines);
        Ok(shown)
    }

    async fn audit_rows(&mut self) -> Result<Vec<Value>, CustomerError> {
        let mut all = Vec::new();
        let mut cursor = None;
        loop {
            let (person, order) = (Some(self.id.to_owned()), AuditOrder::OldestFirst);
            let filter = AuditFilter { person, order, cursor, limit: PAGE_MAX, ..AuditFilter::default() };
            let page = self.customers.audit.trail(self.tenant, filter).await?;
            let Some(last) = page.last() else { return Ok(all) };
            cursor = Some(last.seq);
            for entry in &page {
                if !self.has_room(all.len()) {
                    return Ok(all);
                }
                self.runs.extend(entry.row.run.clone());
                all.push(self.count(entry.as_json()));
            }
        }
    }

    /// The documents about the customer in memory and in the knowledge base, by collection.
    async fn documents(&mut self) -> Result<Vec<Value>, CustomerError> {
        let mut all = Vec::new();
        for collection in MemoryCollection::ALL {
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
                    all.push(self.count(one));
                }
                if page_number >= SCAN_MAX / PAGE_MAX {
                    self.is_whole = false;
                    break;
                }
            }
        }
        Ok(all)
    }

    /// The customer's runs, each with its input.
    async fn executions(&mut self) -> Result<Vec<Value>, CustomerError> {
        let mut all = Vec::new();
        let tenant = self.tenant;
        for id in std::mem::take(&mut self.runs) {
            if !self.has_room(all.len()) {
                break;
            }
            let Some(head) = self.customers.read.run(tenant, &id).await? else { continue };
            if head.erased_at.is_some() {
                all.push(self.count(head.as_json()));
                continue;
            }
            let run =
                snapshot_reader::read_run(self.customers.read, self.customers.engine.workflows(), tenant, &id).await?;
            let mut shown = head.as_json();
            shown["input_data"] = json!(run.started().map(|started| &started.input));
            all.push(self.count(shown));
        }
        Ok(all)
    }
}
