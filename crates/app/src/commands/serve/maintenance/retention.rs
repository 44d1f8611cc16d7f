//! Deleting what is older than the settings keep it: once a day, piece by piece, so that nobody who writes waits long.
//!
//! What was deleted is in the log, and in `baton_retention_deleted_total` by kind. Pages that hold nothing any more are given
//! back to the file system a few at a time.

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

/// Pieces that are deleted of one kind in a day, at most.
const DELETIONS_MAX: usize = 2_000;
/// Documents of memory that are looked at at once.
const DOCUMENTS: usize = 500;
/// Pages of the database that one transaction gives back: 1 MB.
const PAGES: u32 = 256;
/// An erasure that somebody is at is theirs to finish for so long.
const ERASURE_LEASE: Duration = HOUR;

impl TenantMaintenance<'_> {
    /// Once a day, what the settings do not keep any longer. A kind that fails is said on the log and tried tomorrow; the
    /// others are deleted all the same.
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
        // Conversations first: what is left of one says whether its runs may go.
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

    /// What a process that died left, whatever day it is. A customer's erasure is done again whole: until all that is tied
    /// to their runs is gone, the marks alone say which runs those were. A file that an erasure could not scrub is scrubbed. What
    /// was marked for its age has contents alone.
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

    /// Knowledge goes by the settings alone, and by nothing else of a project.
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

    /// Counts what was deleted of a kind, or says why it was not.
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

    /// Each with all that it began, or none of it; those that were begun go first.
    async fn delete_aggregates(&self, kind: AggregateKind, before: Time, now: Time) -> anyhow::Result<u64> {
        let (ProjectSystem { store, .. }, tenant) = (self.system, self.tenant);
        let (mut gone, mut after) = (0, None);
        for _ in 0..DELETIONS_MAX {
            let (families, next) = store.expired(tenant, kind, before, after).await?;
            for family in families {
                if store.mark_all(tenant, &family, ErasureRemainder::Nothing, now).await? != MarkResult::Done {
                    // Something came for one of it meanwhile: it is looked at again tomorrow.
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

/// As the metric's `kind` has it.
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
