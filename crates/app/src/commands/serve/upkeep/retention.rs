//! Deleting what is older than the settings keep it: once a day, piece by piece, so that nobody who writes waits long.
//!
//! What was deleted is in the log, and in `baton_retention_deleted_total` by kind. Pages that hold nothing any more are given
//! back to the file system a few at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use baton_core::time::Time;
use baton_ports::erasure::{Erasure as _, Marked, Remainder};
use baton_ports::index::{Collection, Index as _};
use baton_ports::journal::{AggregateId, Kind};
use baton_store::sqlite::retention::Old;

use super::{DAY, HOUR, Tended, turn};
use crate::commands::customers;
use crate::commands::knowledge::outside::Shelf;
use crate::config::Retention;
use crate::project::Project;
use crate::wire::System;

/// Pieces that are deleted of one kind in a day, at most.
const PIECES_MAX: usize = 2_000;
/// Documents of memory that are looked at at once.
const DOCUMENTS: usize = 500;
/// Pages of the database that one transaction gives back: 1 MB.
const PAGES: u32 = 256;
/// An erasure that somebody is at is theirs to finish for so long.
const THEIRS: Duration = HOUR;

impl Tended<'_> {
    /// Once a day, what the settings do not keep any longer. A kind that fails is said on the log and tried tomorrow; the
    /// others are deleted all the same.
    pub(super) async fn forget(&self) -> anyhow::Result<()> {
        let (System { store, clock, .. }, tenant) = (self.system, self.tenant);
        let now = clock.now();
        if !turn::is_ours(store, tenant, "retention", DAY, now).await? {
            return Ok(());
        }
        let kept = &self.settings.upkeep.retention;
        let Retention { messages_days, effects_days, decisions_days, .. } = *kept;
        let of_effects =
            [Old::Effects, Old::SentTo, Old::ContactsBefore, Old::AskedOnce].map(|what| (what, effects_days));
        let others = [
            (Old::Outbox, messages_days),
            (Old::Told, messages_days),
            (Old::Untold, messages_days),
            (Old::Links, messages_days),
            (Old::ChatTurns, messages_days),
            (Old::Decisions, decisions_days),
        ];
        for (what, days) in of_effects.into_iter().chain(others).filter(|(_, days)| *days > 0) {
            self.count(word(what), self.forget_all(what, now - DAY * days).await, days);
        }
        // Conversations first: what is left of one says whether its runs may go.
        for (kind, name, days) in
            [(Kind::Conversation, "conversations", kept.conversations_days), (Kind::Run, "runs", kept.runs_days)]
        {
            if days > 0 {
                self.count(name, self.forget_aggregates(kind, now - DAY * days, now).await, days);
            }
        }
        if kept.memory_days > 0 {
            self.count("memory", self.forget_memory(now - DAY * kept.memory_days).await, kept.memory_days);
        }
        if kept.audit_days > 0 {
            self.count("audit", self.cut_audit(now - DAY * kept.audit_days, now).await, kept.audit_days);
        }
        self.give_back().await
    }

    /// What a process that died left, whatever day it is. A customer's erasure is done again whole: until all that is tied
    /// to their runs is gone, the marks alone say which runs those were. A file that an erasure could not scrub is scrubbed. What
    /// was marked for its age has contents alone.
    pub(super) async fn finish_erasures(&self) -> anyhow::Result<()> {
        let (store, before) = (&self.system.store, self.system.clock.now() - THEIRS);
        let shelf = self.shelf();
        let customers = customers::stores(self.system, self.engine, &shelf);
        let finished = customers.finish_erasures(self.tenant, before).await;
        for id in store.marked(self.tenant, Remainder::Nothing, Some(before)).await? {
            self.clear(&id).await?;
        }
        finished.context("an erasure of a customer")
    }

    /// Knowledge goes by the settings alone, and by nothing else of a project.
    fn shelf(&self) -> Shelf {
        let project = Project {
            root: PathBuf::new(),
            settings: self.settings.clone(),
            agents: BTreeMap::new(),
            own_agents: BTreeSet::new(),
            tools: Vec::new(),
            servers: Vec::new(),
            documents: Vec::new(),
            unsupported: Vec::new(),
            tool_doubts: Vec::new(),
            secrets_named: Vec::new(),
            replies: Vec::new(),
            workflows: Vec::new(),
        };
        Shelf::of(&project, self.system)
    }

    /// Counts what was deleted of a kind, or says why it was not.
    fn count(&self, kind: &'static str, deleted: anyhow::Result<u64>, days: u32) {
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

    async fn forget_all(&self, what: Old, before: Time) -> anyhow::Result<u64> {
        let (System { store, .. }, tenant) = (self.system, self.tenant);
        let (mut rows, mut after) = (0, None);
        for _ in 0..PIECES_MAX {
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
    async fn forget_aggregates(&self, kind: Kind, before: Time, now: Time) -> anyhow::Result<u64> {
        let (System { store, .. }, tenant) = (self.system, self.tenant);
        let (mut gone, mut after) = (0, None);
        for _ in 0..PIECES_MAX {
            let (families, next) = store.old(tenant, kind, before, after).await?;
            for family in families {
                if store.mark_all(tenant, &family, Remainder::Nothing, now).await? != Marked::Done {
                    // Something came for one of it meanwhile: it is looked at again tomorrow.
                    continue;
                }
                for id in family {
                    self.clear(&id).await?;
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

    async fn clear(&self, id: &AggregateId) -> anyhow::Result<()> {
        while self.system.store.clear(self.tenant, id).await?.more {}
        Ok(())
    }

    async fn forget_memory(&self, before: Time) -> anyhow::Result<u64> {
        let (System { store, .. }, tenant) = (self.system, self.tenant);
        let mut gone = 0;
        for of in [Collection::Conversations, Collection::Executions] {
            let mut after: Option<String> = None;
            for _ in 0..PIECES_MAX {
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

    async fn cut_audit(&self, before: Time, now: Time) -> anyhow::Result<u64> {
        let mut rows = 0;
        for _ in 0..PIECES_MAX {
            let cut = self.system.store.cut_audit(self.tenant, before, now).await?;
            rows += cut;
            if cut == 0 {
                break;
            }
        }
        Ok(rows)
    }

    async fn give_back(&self) -> anyhow::Result<()> {
        let mut pages = 0;
        for _ in 0..PIECES_MAX {
            let given = self.system.store.give_back_pages(PAGES).await?;
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
fn word(what: Old) -> &'static str {
    match what {
        Old::Outbox => "outbox",
        Old::Effects => "effects",
        Old::SentTo => "sent_to",
        Old::ContactsBefore => "contacts_before",
        Old::AskedOnce => "idempotency_keys",
        Old::Told | Old::Untold => "webhook_deliveries",
        Old::Links => "decision_links",
        Old::ChatTurns => "chat_turns",
        Old::Decisions => "model_decisions",
    }
}
