//! Timed jobs of `baton serve`: starts due schedules, delivers webhooks, and indexes closed conversations.
//!
//! The jobs do not poll in between. Each round returns the time of the next one, and a change to a schedule in this
//! process sends a notification. Changes by another process are seen within [`IDLE_WAIT_MAX`].

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::time::Time;
use baton_engine::conversation_index::ConversationIndexer;
use baton_engine::triggers::TriggerService;
use baton_engine::webhook_delivery::WebhookSender;
use baton_engine::{Engine, Notification};
use baton_ports::backoff::Backoff;
use baton_ports::clock::Clock;
use baton_ports::feed::{FeedSpace, JournalFeed};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use crate::project::Project;
use crate::wiring::ProjectSystem;

/// Maximum time between two rounds.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(15);
/// Initial delay before a failed round is retried. It grows with each further failure.
const RETRY_BACKOFF: Duration = Duration::from_secs(1);
/// Minimum time between two rounds, so that a job that is always due does not occupy a whole processor.
const WAIT_MIN: Duration = Duration::from_millis(50);
/// Delay between a recorded event and the round for it, so that events close together share one round.
const BATCH_DELAY: Duration = Duration::from_millis(200);

pub struct BackgroundJobs {
    pub triggers: TriggerService,
    pub webhook_delivery: WebhookSender,
    /// `Some` if the settings enable search in closed conversations.
    pub conversation_index: Option<ConversationIndexer>,
    feed: Arc<dyn JournalFeed>,
    clock: Arc<dyn Clock>,
    /// The jobs whose last round failed.
    backoffs: Mutex<BTreeMap<&'static str, Backoff>>,
}

impl BackgroundJobs {
    pub fn new(project: &Project, system: &ProjectSystem, engine: &Engine) -> Self {
        Self {
            triggers: system.triggers(project, engine),
            webhook_delivery: system.webhook_delivery(project),
            conversation_index: project.settings.memory.closed_conversations.then(|| system.conversation_index()),
            feed: Arc::new(system.store.clone()),
            clock: system.clock.clone(),
            backoffs: Mutex::default(),
        }
    }

    /// Runs as long as the process serves.
    pub async fn run(&self, engine: &Engine, fresh: watch::Receiver<()>) -> Infallible {
        let (recorded, beside) = (engine.subscribe(), engine.subscribe());
        tokio::select! {
            never = self.run_schedules(fresh.clone()) => never,
            never = self.run_on_event(fresh.clone(), recorded, async || self.deliver_webhooks().await) => never,
            never = self.run_on_event(fresh, beside, async || self.index_conversations().await) => never,
        }
    }

    async fn run_schedules(&self, mut fresh: watch::Receiver<()>) -> Infallible {
        loop {
            let next = self.run_due_schedules().await;
            tokio::select! {
                () = tokio::time::sleep(self.wait_time(next)) => {}
                Ok(()) = fresh.changed() => {}
            }
        }
    }

    /// Runs a round whenever something was recorded, and at the time that the last round returned.
    async fn run_on_event(
        &self,
        mut fresh: watch::Receiver<()>,
        mut recorded: Receiver<Notification>,
        look: impl AsyncFn() -> Option<Time>,
    ) -> Infallible {
        loop {
            let next = look().await;
            tokio::select! {
                () = tokio::time::sleep(self.wait_time(next)) => {}
                Ok(()) = fresh.changed() => {}
                told = recorded.recv() => {
                    if matches!(told, Err(RecvError::Closed)) {
                        tokio::time::sleep(IDLE_WAIT_MAX).await;
                    }
                    tokio::time::sleep(BATCH_DELAY).await;
                    recorded = recorded.resubscribe();
                }
            }
        }
    }

    fn wait_time(&self, next: Option<Time>) -> Duration {
        next.map_or(IDLE_WAIT_MAX, |next| next.since(self.clock.now()).clamp(WAIT_MIN, IDLE_WAIT_MAX))
    }

    /// Starts the due schedules of all tenants. Returns when the next one is due, if known.
    pub async fn run_due_schedules(&self) -> Option<Time> {
        let mut next = None;
        for tenant in self.tenants(FeedSpace::Schedules).await {
            let looked = self.triggers.start_due(&tenant, self.clock.now()).await;
            next = [next, self.log_failure(looked, "schedules could not be looked at")].into_iter().flatten().min();
        }
        next
    }

    /// Delivers the pending webhooks of all tenants. Returns when the next one is due, if known.
    pub async fn deliver_webhooks(&self) -> Option<Time> {
        let mut tenants = self.tenants(FeedSpace::Subscriptions).await;
        tenants.extend(self.tenants(FeedSpace::Deliveries).await);
        tenants.sort_unstable();
        tenants.dedup();
        let looks = tenants.iter().map(|tenant| async move {
            let looked = self.webhook_delivery.deliver_due(tenant).await;
            self.log_failure(looked, "webhooks could not be looked at")
        });
        futures::future::join_all(looks).await.into_iter().flatten().min()
    }

    /// Indexes closed conversations. Returns when more work is due, if known.
    pub async fn index_conversations(&self) -> Option<Time> {
        let looked = self.conversation_index.as_ref()?.index_due().await;
        self.log_failure(looked, "conversations that are over could not be looked at")
    }

    async fn tenants(&self, space: FeedSpace) -> Vec<baton_core::id::TenantId> {
        self.feed.tenants(space).await.unwrap_or_else(|error| {
            tracing::warn!(?space, %error, "whose they are could not be read; it is tried again");
            Vec::new()
        })
    }

    fn log_failure<E: std::fmt::Display>(&self, looked: Result<Option<Time>, E>, what: &'static str) -> Option<Time> {
        let mut failing = self.backoffs.lock().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(next) => {
                failing.remove(what);
                next
            }
            Err(error) => {
                tracing::warn!(%error, "{what}; it is tried again");
                let wait = failing.entry(what).or_insert(Backoff::from(RETRY_BACKOFF)).failed();
                Some(self.clock.now() + wait)
            }
        }
    }
}

#[cfg(test)]
mod tests;
