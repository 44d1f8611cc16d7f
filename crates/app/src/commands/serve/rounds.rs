//! What `baton serve` does on time: begins what schedules say, tells subscribers what happened, and keeps what was said in
//! conversations that are over.
//!
//! Nothing is looked at in between: each round says when the next one is, and whoever changes a schedule here says so. What
//! another process changed is seen within [`LOOK`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::time::Time;
use baton_engine::closed::Closed;
use baton_engine::outgoing::Outgoing;
use baton_engine::triggers::Triggers;
use baton_engine::{Engine, Recorded};
use baton_ports::backoff::Backoff;
use baton_ports::clock::Clock;
use baton_ports::feed::{Feed, Space};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::project::Project;
use crate::wire::System;

/// How long nothing is looked at, at the most.
const LOOK: Duration = Duration::from_secs(15);
/// When what could not be looked at is tried again; later each time that it fails again.
const AGAIN: Duration = Duration::from_secs(1);
/// And at the least, so that what is always due does not take a whole processor.
const REST: Duration = Duration::from_millis(50);
/// How long after something was recorded it is told, so that what comes close together is looked at once.
const GATHER: Duration = Duration::from_millis(200);

pub struct Rounds {
    pub triggers: Triggers,
    pub outgoing: Outgoing,
    /// Where settings want conversations that are over to be findable.
    pub closed: Option<Closed>,
    feed: Arc<dyn Feed>,
    clock: Arc<dyn Clock>,
    /// What could not be looked at the last time.
    failing: Mutex<BTreeMap<&'static str, Backoff>>,
}

impl Rounds {
    pub fn new(project: &Project, system: &System, engine: &Engine) -> Self {
        Self {
            triggers: system.triggers(project, engine),
            outgoing: system.outgoing(project),
            closed: project.settings.memory.closed_conversations.then(|| system.closed()),
            feed: Arc::new(system.store.clone()),
            clock: system.clock.clone(),
            failing: Mutex::default(),
        }
    }

    /// For as long as the process serves.
    pub async fn run(&self, engine: &Engine, fresh: watch::Receiver<()>) -> Infallible {
        let (recorded, beside) = (engine.watch(), engine.watch());
        tokio::select! {
            never = self.keep_time(fresh.clone()) => never,
            never = self.on_news(fresh.clone(), recorded, async || self.webhooks().await) => never,
            never = self.on_news(fresh, beside, async || self.conversations().await) => never,
        }
    }

    async fn keep_time(&self, mut fresh: watch::Receiver<()>) -> Infallible {
        loop {
            let next = self.schedules().await;
            tokio::select! {
                () = tokio::time::sleep(self.until(next)) => {}
                Ok(()) = fresh.changed() => {}
            }
        }
    }

    /// Looks whenever something was recorded, and when the last look says.
    async fn on_news(
        &self,
        mut fresh: watch::Receiver<()>,
        mut recorded: Receiver<Recorded>,
        look: impl AsyncFn() -> Option<Time>,
    ) -> Infallible {
        loop {
            let next = look().await;
            tokio::select! {
                () = tokio::time::sleep(self.until(next)) => {}
                Ok(()) = fresh.changed() => {}
                told = recorded.recv() => {
                    if matches!(told, Err(RecvError::Closed)) {
                        tokio::time::sleep(LOOK).await;
                    }
                    tokio::time::sleep(GATHER).await;
                    recorded = recorded.resubscribe();
                }
            }
        }
    }

    fn until(&self, next: Option<Time>) -> Duration {
        next.map_or(LOOK, |next| next.since(self.clock.now()).clamp(REST, LOOK))
    }

    /// Begins what is due in all tenants. When the next is, as far as is known.
    pub async fn schedules(&self) -> Option<Time> {
        let mut next = None;
        for tenant in self.tenants(Space::Schedules).await {
            let looked = self.triggers.look(&tenant, self.clock.now()).await;
            next = [next, self.told(looked, "schedules could not be looked at")].into_iter().flatten().min();
        }
        next
    }

    /// Tells what is to be told in all tenants. When the next is, as far as is known.
    pub async fn webhooks(&self) -> Option<Time> {
        let mut tenants = self.tenants(Space::Subscriptions).await;
        tenants.extend(self.tenants(Space::Deliveries).await);
        tenants.sort_unstable();
        tenants.dedup();
        let looks = tenants.iter().map(|tenant| async move {
            let looked = self.outgoing.look(tenant).await;
            self.told(looked, "webhooks could not be looked at")
        });
        futures::future::join_all(looks).await.into_iter().flatten().min()
    }

    /// Makes conversations findable that are over. When there is more to do, as far as is known.
    pub async fn conversations(&self) -> Option<Time> {
        let looked = self.closed.as_ref()?.look().await;
        self.told(looked, "conversations that are over could not be looked at")
    }

    async fn tenants(&self, space: Space) -> Vec<baton_core::id::TenantId> {
        self.feed.tenants(space).await.unwrap_or_else(|error| {
            tracing::warn!(?space, %error, "whose they are could not be read; it is tried again");
            Vec::new()
        })
    }

    fn told<E: std::fmt::Display>(&self, looked: Result<Option<Time>, E>, what: &'static str) -> Option<Time> {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(next) => {
                failing.remove(what);
                next
            }
            Err(error) => {
                tracing::warn!(%error, "{what}; it is tried again");
                let wait = failing.entry(what).or_insert(Backoff::from(AGAIN)).failed();
                Some(self.clock.now() + wait)
            }
        }
    }
}

#[cfg(test)]
mod tests;
