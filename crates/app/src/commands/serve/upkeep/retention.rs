//! Deleting what is older than the settings keep it: once a day, piece by piece, so that nobody who writes waits long.
//!
//! What was deleted is in the log, and in `baton_retention_deleted_total` by kind. Pages that hold nothing any more are given
//! back to the file system a few at a time.

use std::time::Duration;

use anyhow::Context;
use baton_core::time::Time;
use baton_ports::erasure::{Erasure as _, Marked, Remainder};
use baton_ports::index::{Collection, Index as _};
use baton_ports::journal::{AggregateId, Kind};
use baton_store::sqlite::retention::Old;

use super::{DAY, HOUR, Tended, turn};
use crate::config::Retention;
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
    /// Once a day, what the settings do not keep any longer.
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
            (Old::Decisions, decisions_days),
        ];
        for (what, days) in of_effects.into_iter().chain(others).filter(|(_, days)| *days > 0) {
            let rows = self.forget_all(what, now - DAY * days).await.with_context(|| format!("{what:?}"))?;
            self.count(word(what), rows, days);
        }
        // Conversations first: what is left of one says whether its runs may go.
        for (kind, name, days) in
            [(Kind::Conversation, "conversations", kept.conversations_days), (Kind::Run, "runs", kept.runs_days)]
        {
            if days > 0 {
                let gone = self.forget_aggregates(kind, now - DAY * days, now).await.context(name)?;
                self.count(name, gone, days);
            }
        }
        if kept.memory_days > 0 {
            let gone = self.forget_memory(now - DAY * kept.memory_days).await.context("memory")?;
            self.count("memory", gone, kept.memory_days);
        }
        if kept.audit_days > 0 {
            let rows = self.cut_audit(now - DAY * kept.audit_days, now).await.context("audit")?;
            self.count("audit", rows, kept.audit_days);
        }
        self.give_back().await
    }

    /// What a process that died left marked: its contents go, whatever day it is.
    pub(super) async fn finish_erasures(&self) -> anyhow::Result<()> {
        let (store, before) = (&self.system.store, self.system.clock.now() - THEIRS);
        for rest in [Remainder::Tombstone, Remainder::Nothing] {
            for id in store.marked(self.tenant, rest, Some(before)).await? {
                self.clear(&id).await?;
            }
        }
        Ok(())
    }

    fn count(&self, kind: &'static str, rows: u64, days: u32) {
        metrics::counter!("baton_retention_deleted_total", "kind" => kind).increment(rows);
        if rows > 0 {
            let tenant = self.tenant.as_str();
            tracing::info!(tenant, kind, rows, days, "deleted, for it is older than the settings keep it");
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

    /// Each with all that it began; those that were begun go first.
    async fn forget_aggregates(&self, kind: Kind, before: Time, now: Time) -> anyhow::Result<u64> {
        let (System { store, .. }, tenant) = (self.system, self.tenant);
        let (mut gone, mut after) = (0, None);
        for _ in 0..PIECES_MAX {
            let (families, next) = store.old(tenant, kind, before, after).await?;
            for family in families {
                for id in family {
                    if store.mark(tenant, &id, Remainder::Nothing, now).await? != Marked::Done {
                        // Something came for it meanwhile: it is looked at again tomorrow.
                        break;
                    }
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
        Old::Decisions => "model_decisions",
    }
}
