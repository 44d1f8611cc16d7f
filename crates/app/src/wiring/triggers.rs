//! Stores the triggers of a project's folder beside those that were created over the API.

use std::collections::BTreeSet;
use std::sync::Arc;

use baton_core::time::Time;
use baton_engine::Engine;
use baton_engine::conversation_index::ConversationIndexer;
use baton_engine::triggers::schedule::{self, ScheduleTrigger};
use baton_engine::triggers::webhook::{self, WebhookTrigger};
use baton_engine::triggers::{self as kept, NamedDefinition, TriggerService};
use baton_engine::webhook_delivery::{self, WebhookSender, WebhookSubscription};
use baton_tools::OutboundPoster;

use super::ProjectSystem;
use crate::print;
use crate::project::{Project, ProjectWorkflows};

impl ProjectSystem {
    pub fn triggers(&self, project: &Project, engine: &Engine) -> TriggerService {
        TriggerService {
            engine: engine.clone(),
            registry: Arc::new(self.store.clone()),
            records: self.records.clone(),
            read: Arc::new(self.store.clone()),
            zone: project.settings.own_zone().map(str::to_owned),
        }
    }

    pub fn webhook_delivery(&self, project: &Project) -> WebhookSender {
        WebhookSender {
            records: self.records.clone(),
            feed: Arc::new(self.store.clone()),
            post: Arc::new(OutboundPoster::new(&project.settings.tools)),
            clock: self.clock.clone(),
            retries: project.settings.webhooks.retries().into(),
        }
    }

    /// The indexer of closed conversations.
    pub fn conversation_index(&self) -> ConversationIndexer {
        ConversationIndexer {
            system_tenant: self.tenant.clone(),
            records: self.records.clone(),
            feed: Arc::new(self.store.clone()),
            read: Arc::new(self.store.clone()),
            memory: self.memory.clone(),
            clock: self.clock.clone(),
            scanned_to: Arc::default(),
        }
    }

    /// Stores the triggers that the folder defines, and removes those that it no longer defines. A trigger that cannot
    /// be stored is logged, and the others stay in effect. With `for_good`, data of a removed trigger, such as its
    /// secret, is removed too; otherwise it stays, because a file that disappears during an edit may be back a moment
    /// later.
    pub async fn save_triggers(
        &self,
        project: &Project,
        sorted: &ProjectWorkflows,
        engine: &Engine,
        for_good: bool,
    ) -> anyhow::Result<()> {
        let mut defined = crate::project::ProjectTriggers::read(&project.root)?;
        for ready in &sorted.ready {
            let bundle: serde_json::Value = serde_json::from_slice(&ready.text)?;
            defined.add_nodes(&ready.name, &bundle["definition"]);
        }
        let (triggers, outgoing) = (self.triggers(project, engine), self.webhook_delivery(project));
        let (records, tenant, now) = (&*triggers.records, &self.tenant, self.clock.now());
        // A workflow that cannot run now keeps its current version, and therefore the triggers of that version.
        if sorted.rejected_note().is_none() {
            let [schedules, hooks, subscriptions] = defined.names();
            let beside = |space: &'static str| if for_good { vec![space] } else { Vec::new() };
            self.remove_missing::<ScheduleTrigger>(&schedules, &beside(schedule::STATE), |one| one.from_project, now)
                .await?;
            self.remove_missing::<WebhookTrigger>(&hooks, &beside(webhook::SECRETS), |one| one.from_project, now)
                .await?;
            let secrets = beside(webhook_delivery::SECRETS);
            self.remove_missing::<WebhookSubscription>(&subscriptions, &secrets, |one| one.from_project, now).await?;
        }
        for wanted in &defined.schedules {
            let before = found_or_none(kept::find::<ScheduleTrigger>(records, tenant, &wanted.name).await)?;
            // People pause and resume a trigger. The file must not undo that each time it is read.
            let enabled = before.as_ref().map_or(wanted.enabled, |(_, before)| before.enabled);
            let created_at = before.as_ref().map_or(Time::EPOCH, |(_, before)| before.created_at);
            let set_by = before.as_ref().and_then(|(_, before)| before.set_by.clone());
            let wanted = ScheduleTrigger { from_project: true, enabled, created_at, set_by, ..wanted.clone() };
            if before.as_ref().is_none_or(|(_, before)| *before != wanted) {
                let name = wanted.name.clone();
                log_refused("schedule", &name, triggers.save_schedule(tenant, before, wanted, now).await)?;
            }
        }
        for wanted in &defined.webhooks {
            let before = found_or_none(kept::find::<WebhookTrigger>(records, tenant, &wanted.name).await)?;
            let created_at = before.as_ref().map_or(Time::EPOCH, |(_, before)| before.created_at);
            let set_by = before.as_ref().and_then(|(_, before)| before.set_by.clone());
            let wanted = WebhookTrigger { from_project: true, created_at, set_by, ..wanted.clone() };
            if before.as_ref().is_none_or(|(_, before)| *before != wanted) {
                let name = wanted.name.clone();
                log_refused("webhook", &name, triggers.save_webhook(tenant, before, wanted, None, now).await)?;
            }
        }
        for wanted in &defined.subscriptions {
            let before = found_or_none(kept::find::<WebhookSubscription>(records, tenant, &wanted.name).await)?;
            let (created_at, since) =
                before.as_ref().map_or((Time::EPOCH, 0), |(_, before)| (before.created_at, before.since));
            let wanted = WebhookSubscription { from_project: true, created_at, since, ..wanted.clone() };
            if before.as_ref().is_none_or(|(_, before)| *before != wanted) {
                let name = wanted.name.clone();
                log_refused("subscription", &name, outgoing.save(tenant, before, wanted, None).await)?;
            }
        }
        Ok(())
    }

    /// Removes the triggers of the folder that it no longer names.
    async fn remove_missing<T: NamedDefinition>(
        &self,
        named: &BTreeSet<&str>,
        beside: &[&str],
        is_folders: impl Fn(&T) -> bool,
        now: Time,
    ) -> anyhow::Result<()> {
        let mut after: Option<String> = None;
        loop {
            let page: Vec<T> = kept::list(&self.store, &self.tenant, after.as_deref(), kept::PAGE_MAX).await?;
            for one in page.iter().filter(|one| is_folders(one) && !named.contains(one.name())) {
                kept::delete::<T>(&self.store, &self.tenant, one.name(), beside, now).await?;
            }
            match page.last() {
                Some(last) if page.len() == kept::PAGE_MAX => after = Some(last.name().to_owned()),
                _ => return Ok(()),
            }
        }
    }
}

/// The stored definition, or `None` if it does not exist.
fn found_or_none<T>(found: Result<(u64, T), kept::TriggerError>) -> Result<Option<(u64, T)>, kept::TriggerError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(kept::TriggerError::Unknown { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Logs a definition that was rejected. A failed request to the store is an error.
fn log_refused<T>(kind: &str, name: &str, saved: Result<T, kept::TriggerError>) -> Result<(), kept::TriggerError> {
    match saved {
        Ok(_) => Ok(()),
        Err(error) if error.is_permanent() => {
            print::note(format_args!("note: the {kind} `{name}` is not kept: {error}"));
            Ok(())
        }
        Err(error) => Err(error),
    }
}
