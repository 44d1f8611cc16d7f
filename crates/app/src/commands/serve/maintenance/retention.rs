//! Deletes data that has passed its retention period, once a day and in small transactions, so that writers do not wait
//! long.
//!
//! Deletions are logged and counted in `baton_retention_deleted_total` by kind. Free pages of the database are returned
//! to the file system a few at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use baton_core::time::Time;
use baton_ports::erasure::{ErasureRemainder, ErasureStore as _, MarkResult};
use baton_ports::index::{DocumentIndex as _, MemoryCollection};
use baton_ports::journal::{AggregateId, AggregateKind};
use baton_store::sqlite::retention::RetentionClass;

use super::{DAY, HOUR, TenantMaintenance, job_claim};
use crate::commands::customers;
use crate::commands::knowledge::external_index::KnowledgeStores;
use crate::config::RetentionSettings;
use crate::project::Project;
use crate::wiring::ProjectSystem;

/// Maximum number of deletions of one kind in a day.
const DELETIONS_MAX: usize = 2_000;
/// Number of memory documents in one read.
const DOCUMENTS: usize = 500;
/// Pages of the database that one transaction frees: 1 MB.
const PAGES: u32 = 256;
/// How long an erasure belongs to the process that started it.
const ERASURE_LEASE: Duration = HOUR;

impl TenantMaintenance<'_> {
    /// Deletes expired data, once a day. A failure of one kind is logged and retried the next day. The others are still
    /// deleted.
    pub(super) async fn apply_retention(&self) -> anyhow::Result<()> {
        let (ProjectSystem { store, clock, .. }, tenant) = (self.system, self.tenant);
        let now = clock.now();
        if !job_claim::claim_period(store, tenant, "retention", DAY, now).await? {
            return Ok(());
        }
        let kept = &self.settings.upkeep.retention;
        let RetentionSettings { messages_days, effects_days, decisions_days, .. } = *kept;
        let of_effects = [
            RetentionClass::Effects,
            RetentionClass::SentTo,
            RetentionClass::ContactsBefore,
            RetentionClass::AskedOnce,
        ]
        .map(|what| (what, effects_days));
        let others = [
            (RetentionClass::Outbox, messages_days),
            (RetentionClass::Told, messages_days),
            (RetentionClass::Untold, messages_days),
            (RetentionClass::Links, messages_days),
            (RetentionClass::ChatTurns, messages_days),
            (RetentionClass::Decisions, decisions_days),
        ];
        for (what, days) in of_effects.into_iter().chain(others).filter(|(_, days)| *days > 0) {
            self.record_deleted(word(what), self.delete_all(what, now - DAY * days).await, days);
        }
        // Conversations come first: what remains of a conversation determines whether its runs may be deleted.
        for (kind, name, days) in [
            (AggregateKind::Conversation, "conversations", kept.conversations_days),
            (AggregateKind::Run, "runs", kept.runs_days),
        ] {
            if days > 0 {
                self.record_deleted(name, self.delete_aggregates(kind, now - DAY * days, now).await, days);
            }
        }
        if kept.memory_days > 0 {
            self.record_deleted("memory", self.delete_memory(now - DAY * kept.memory_days).await, kept.memory_days);
        }
        if kept.audit_days > 0 {
            self.record_deleted("audit", self.trim_audit(now - DAY * kept.audit_days, now).await, kept.audit_days);
        }
        self.vacuum_pages().await
    }

    /// Finishes erasures of processes that died, on any day. A customer's erasure is repeated as a whole: until all
    /// data of their runs is gone, only the marks record which runs those were. A file that an erasure could not scrub
    /// is scrubbed. An aggregate that was marked for its age only needs its contents deleted.
    pub(super) async fn finish_erasures(&self) -> anyhow::Result<()> {
        let (store, before) = (&self.system.store, self.system.clock.now() - ERASURE_LEASE);
        let shelf = self.knowledge_stores();
        let customers = customers::stores(self.system, self.engine, &shelf);
        let finished = customers.finish_erasures(self.tenant, before).await;
        for id in store.marked(self.tenant, ErasureRemainder::Nothing, Some(before)).await? {
            self.delete_aggregate(&id).await?;
        }
        finished.context("an erasure of a customer")
    }

    /// Knowledge depends on the settings alone, and on no other part of a project.
    fn knowledge_stores(&self) -> KnowledgeStores {
        let project = Project {
            root: PathBuf::new(),
            settings: self.settings.clone(),
            agents: BTreeMap::new(),
            own_agents: BTreeSet::new(),
            tools: Vec::new(),
            servers: Vec::new(),
            documents: Vec::new(),
            unsupported: Vec::new(),
            tool_warnings: Vec::new(),
            secrets_named: Vec::new(),
            replies: Vec::new(),
            workflows: Vec::new(),
        };
        KnowledgeStores::of(&project, self.system)
    }

    /// Counts the deletions of one kind, or logs why they failed.
    fn record_deleted(&self, kind: &'static str, deleted: anyhow::Result<u64>, days: u32) {
        let tenant = self.tenant.as_str();
        match deleted {
            Ok(rows) => {
                metrics::counter!("baton_retention_deleted_total", "kind" => kind).increment(rows);
                if rows > 0 {
                    tracing::info!(tenant, kind, rows, days, "deleted, for it is older than the settings keep it");
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(tenant, kind, error, "what is old could not be deleted; it is tried again tomorrow");
            }
        }
    }

    async fn delete_all(&self, what: RetentionClass, before: Time) -> anyhow::Result<u64> {
        let (ProjectSystem { store, .. }, tenant) = (self.system, self.tenant);
        let (mut rows, mut after) = (0, None);
        for _ in 0..DELETIONS_MAX {
            let forgotten = store.expire(tenant, what, before, after).await?;
            rows += forgotten.rows;
            match forgotten.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(rows)
    }

    /// Deletes each aggregate together with everything that it started, or not at all. Those that it started are
    /// deleted first.
    async fn delete_aggregates(&self, kind: AggregateKind, before: Time, now: Time) -> anyhow::Result<u64> {
        let (ProjectSystem { store, .. }, tenant) = (self.system, self.tenant);
        let (mut gone, mut after) = (0, None);
        for _ in 0..DELETIONS_MAX {
            let (families, next) = store.expired(tenant, kind, before, after).await?;
            for family in families {
                if store.mark_all(tenant, &family, ErasureRemainder::Nothing, now).await? != MarkResult::Done {
                    // One of them received new input meanwhile. It is considered again the next day.
                    continue;
                }
                for id in family {
                    self.delete_aggregate(&id).await?;
                    gone += 1;
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(gone)
    }

    async fn delete_aggregate(&self, id: &AggregateId) -> anyhow::Result<()> {
        while self.system.store.clear(self.tenant, id).await?.has_more {}
        Ok(())
    }

    async fn delete_memory(&self, before: Time) -> anyhow::Result<u64> {
        let (ProjectSystem { store, .. }, tenant) = (self.system, self.tenant);
        let mut gone = 0;
        for of in [MemoryCollection::Conversations, MemoryCollection::Executions] {
            let mut after: Option<String> = None;
            for _ in 0..DELETIONS_MAX {
                let page = store.documents(tenant, of, after.as_deref(), DOCUMENTS).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.name.clone());
                for document in page.iter().filter(|document| document.at < before) {
                    gone += u64::from(store.remove(tenant, of, &document.name).await?);
                }
            }
        }
        Ok(gone)
    }

    async fn trim_audit(&self, before: Time, now: Time) -> anyhow::Result<u64> {
        let mut rows = 0;
        for _ in 0..DELETIONS_MAX {
            let cut = self.system.store.cut_audit(self.tenant, before, now).await?;
            rows += cut;
            if cut == 0 {
                break;
            }
        }
        Ok(rows)
    }

    async fn vacuum_pages(&self) -> anyhow::Result<()> {
        let mut pages = 0;
        for _ in 0..DELETIONS_MAX {
            let given = self.system.store.release_pages(PAGES).await?;
            pages += given;
            if given == 0 {
                break;
            }
        }
        if pages > 0 {
            tracing::info!(pages, "pages of the database that held nothing any more were given back");
        }
        Ok(())
    }
}

/// The metric's `kind` label.
fn word(what: RetentionClass) -> &'static str {
    match what {
        RetentionClass::Outbox => "outbox",
        RetentionClass::Effects => "effects",
        RetentionClass::SentTo => "sent_to",
        RetentionClass::ContactsBefore => "contacts_before",
        RetentionClass::AskedOnce => "idempotency_keys",
        RetentionClass::Told | RetentionClass::Untold => "webhook_deliveries",
        RetentionClass::Links => "decision_links",
        RetentionClass::ChatTurns => "chat_turns",
        RetentionClass::Decisions => "model_decisions",
    }
}
