//! Triggers of a project's folder, kept with those that were made over the API.

use std::collections::BTreeSet;
use std::sync::Arc;

use baton_core::time::Time;
use baton_engine::Engine;
use baton_engine::closed::Closed;
use baton_engine::outgoing::{self, Outgoing, Subscription};
use baton_engine::triggers::hook::{self, Hook};
use baton_engine::triggers::schedule::{self, Schedule};
use baton_engine::triggers::{self as kept, Named, Triggers};
use baton_tools::Poster;

use super::System;
use crate::print;
use crate::project::{Project, Sorted};

impl System {
    pub fn triggers(&self, project: &Project, engine: &Engine) -> Triggers {
        Triggers {
            engine: engine.clone(),
            registry: Arc::new(self.store.clone()),
            records: self.records.clone(),
            read: Arc::new(self.store.clone()),
            zone: project.settings.own_zone().map(str::to_owned),
        }
    }

    pub fn outgoing(&self, project: &Project) -> Outgoing {
        Outgoing {
            records: self.records.clone(),
            feed: Arc::new(self.store.clone()),
            post: Arc::new(Poster::new(&project.settings.tools)),
            clock: self.clock.clone(),
            retries: project.settings.webhooks.retries().into(),
        }
    }

    /// What follows conversations to their end.
    pub fn closed(&self) -> Closed {
        Closed {
            own: self.tenant.clone(),
            records: self.records.clone(),
            feed: Arc::new(self.store.clone()),
            read: Arc::new(self.store.clone()),
            memory: self.memory.clone(),
            clock: self.clock.clone(),
            passed: Arc::default(),
        }
    }

    /// Keeps what the folder defines, and takes out what it defined before and does not any more. What cannot be kept is
    /// said, and the rest holds. What was made for one that is taken out, such as its secret, goes with it where `for_good`:
    /// a file that is away while others look may be back the next moment.
    pub async fn keep_triggers(
        &self,
        project: &Project,
        sorted: &Sorted,
        engine: &Engine,
        for_good: bool,
    ) -> anyhow::Result<()> {
        let mut defined = crate::project::Triggers::read(&project.root)?;
        for ready in &sorted.ready {
            let bundle: serde_json::Value = serde_json::from_slice(&ready.text)?;
            defined.add_nodes(&ready.name, &bundle["definition"]);
        }
        let (triggers, outgoing) = (self.triggers(project, engine), self.outgoing(project));
        let (records, tenant, now) = (&*triggers.records, &self.tenant, self.clock.now());
        // A workflow that cannot run now keeps the version it has, and so the triggers of that.
        if sorted.note().is_none() {
            let [schedules, hooks, subscriptions] = defined.names();
            let beside = |space: &'static str| if for_good { vec![space] } else { Vec::new() };
            self.forget::<Schedule>(&schedules, &beside(schedule::STATE), |one| one.from_project, now).await?;
            self.forget::<Hook>(&hooks, &beside(hook::SECRETS), |one| one.from_project, now).await?;
            let secrets = beside(outgoing::SECRETS);
            self.forget::<Subscription>(&subscriptions, &secrets, |one| one.from_project, now).await?;
        }
        for wanted in &defined.schedules {
            let before = there(kept::find::<Schedule>(records, tenant, &wanted.name).await)?;
            // Whether it was paused is said by people, and not by the file again and again.
            let enabled = before.as_ref().map_or(wanted.enabled, |(_, before)| before.enabled);
            let created_at = before.as_ref().map_or(Time::EPOCH, |(_, before)| before.created_at);
            let set_by = before.as_ref().and_then(|(_, before)| before.set_by.clone());
            let wanted = Schedule { from_project: true, enabled, created_at, set_by, ..wanted.clone() };
            if before.as_ref().is_none_or(|(_, before)| *before != wanted) {
                let name = wanted.name.clone();
                told("schedule", &name, triggers.save_schedule(tenant, before, wanted, now).await)?;
            }
        }
        for wanted in &defined.webhooks {
            let before = there(kept::find::<Hook>(records, tenant, &wanted.name).await)?;
            let created_at = before.as_ref().map_or(Time::EPOCH, |(_, before)| before.created_at);
            let set_by = before.as_ref().and_then(|(_, before)| before.set_by.clone());
            let wanted = Hook { from_project: true, created_at, set_by, ..wanted.clone() };
            if before.as_ref().is_none_or(|(_, before)| *before != wanted) {
                let name = wanted.name.clone();
                told("webhook", &name, triggers.save_hook(tenant, before, wanted, None, now).await)?;
            }
        }
        for wanted in &defined.subscriptions {
            let before = there(kept::find::<Subscription>(records, tenant, &wanted.name).await)?;
            let (created_at, since) =
                before.as_ref().map_or((Time::EPOCH, 0), |(_, before)| (before.created_at, before.since));
            let wanted = Subscription { from_project: true, created_at, since, ..wanted.clone() };
            if before.as_ref().is_none_or(|(_, before)| *before != wanted) {
                let name = wanted.name.clone();
                told("subscription", &name, outgoing.save(tenant, before, wanted, None).await)?;
            }
        }
        Ok(())
    }

    /// Takes out those of the folder that it does not name.
    async fn forget<T: Named>(
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

/// What is there, or nothing.
fn there<T>(found: Result<(u64, T), kept::Error>) -> Result<Option<(u64, T)>, kept::Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(kept::Error::Unknown { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says what cannot be kept; what could not be asked is an error.
fn told<T>(kind: &str, name: &str, saved: Result<T, kept::Error>) -> Result<(), kept::Error> {
    match saved {
        Ok(_) => Ok(()),
        Err(error) if error.is_for_good() => {
            print::note(format_args!("note: the {kind} `{name}` is not kept: {error}"));
            Ok(())
        }
        Err(error) => Err(error),
    }
}
