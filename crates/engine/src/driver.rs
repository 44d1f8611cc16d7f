//! The asynchronous shell: one lease per process, one task per awake run, and one loop that polls for work.

mod aggregate_task;
mod claim;
mod lease;
mod run_task;
mod slot_guard;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::agent::StepFunction;
use baton_core::bundle::ContentHash;
use baton_core::id::{RunId, TenantId};
use baton_core::run::{IncomingCommand, RunEntry, RunForked, RunStarted, RunState};
use baton_ports::clock::Clock;
use baton_ports::journal::{
    self, AggregateId, AggregateKind, InboxItem, InboxReceipt, InboxSubmission, JournalStore, NewAggregate,
    ProcessLease,
};
use baton_ports::models::{ConsumerKey, ModelService};
use baton_ports::remote_agents::RemoteAgents;
use baton_ports::sandbox::Sandbox;
use baton_ports::tools::ToolGateway;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::consumer_keys::{self, ConsumerKeys};
use crate::dispatcher::{Dispatcher, RunAdmission, TaskExit};
use crate::error::ShutdownError;
use crate::event_bus::{EventBus, Notification, RunSubscription};
use crate::owner::RunOwner;
use crate::reply_stream::{ReplyChunk, ReplyStreams};
use crate::{AgentRegistry, EngineError, EngineOptions, WorkflowCache};

use slot_guard::SlotGuard;

/// A request to start a run.
#[derive(Clone)]
pub struct RunStart {
    pub run: RunId,
    pub tenant: TenantId,
    /// For lists.
    pub workflow: String,
    pub bundle: ContentHash,
    pub input: Value,
    pub context: Value,
    pub caller: baton_core::tool::Caller,
}

/// A request to start a run from the past of another.
#[derive(Clone, Debug)]
pub struct RunFork {
    pub tenant: TenantId,
    /// For lists.
    pub workflow: String,
    /// The inherited history: whole entries of the original, of which the last may be truncated.
    pub past: Vec<RunEntry>,
    pub forked: RunForked,
}

/// The ports that an engine uses.
pub struct EnginePorts {
    pub journal: Arc<dyn JournalStore>,
    pub tools: Arc<dyn ToolGateway>,
    pub models: Arc<dyn ModelService>,
    pub sandbox: Arc<dyn Sandbox>,
    pub thinkers: Arc<dyn RemoteAgents>,
    pub agent_registry: Arc<AgentRegistry>,
    pub think: Arc<dyn StepFunction>,
    pub clock: Arc<dyn Clock>,
    pub workflows: WorkflowCache,
}

/// Moves this process's runs until it is stopped. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<EngineInner>,
}

struct EngineInner {
    ports: EnginePorts,
    options: EngineOptions,
    lease: watch::Sender<ProcessLease>,
    dispatcher: Mutex<Dispatcher>,
    /// Wakes the task of an awake run.
    wakers: Mutex<BTreeMap<RunId, mpsc::Sender<()>>>,
    /// Listeners for the end of a run.
    end_listeners: Mutex<BTreeMap<RunId, oneshot::Sender<RunState>>>,
    keys: ConsumerKeys,
    reply_streams: ReplyStreams,
    calls: Semaphore,
    /// The permits of each tenant's agents, with the limit they were made for.
    agent_permits: Mutex<BTreeMap<TenantId, (usize, Arc<Semaphore>)>>,
    event_bus: Arc<EventBus>,
    /// Notifies that the lease is over.
    lease_lost: Notify,
    stopping: watch::Sender<bool>,
    /// Calls in flight are no longer waited for.
    grace_over: watch::Sender<bool>,
    /// Runs that are still moving after a while of stopping are dropped where they are.
    abandoned: watch::Sender<bool>,
}

/// The part of the shutdown time for runs that are still moving; the rest is for releasing everything.
const DRAIN_PART: f64 = 0.7;
/// The part of that for marked calls in flight.
const GRACE_PART: f64 = 0.6;
/// Maximum number of unfinished runs named in an error.
const NAMED_MAX: usize = 20;

impl Engine {
    /// The registry of tenants and their agents.
    pub fn agent_registry(&self) -> &AgentRegistry {
        &self.inner.ports.agent_registry
    }

    /// Joins the store and starts to poll for work: runs that are due, and runs left behind by a dead process.
    pub async fn begin(world: EnginePorts, options: EngineOptions) -> Result<Self, EngineError> {
        let lease = world.journal.join(world.clock.monotonic()).await?;
        let inner = Arc::new(EngineInner {
            lease: watch::Sender::new(lease),
            dispatcher: Mutex::new(Dispatcher::new(options.awake_max)),
            wakers: Mutex::default(),
            end_listeners: Mutex::default(),
            keys: ConsumerKeys::default(),
            reply_streams: ReplyStreams::default(),
            calls: Semaphore::new(options.calls_in_flight_max),
            agent_permits: Mutex::default(),
            event_bus: Arc::default(),
            lease_lost: Notify::new(),
            stopping: watch::Sender::new(false),
            grace_over: watch::Sender::new(false),
            abandoned: watch::Sender::new(false),
            ports: world,
            options,
        });
        tokio::spawn(lease::renew_loop(inner.clone()));
        tokio::spawn(claim::poll_for_work(inner.clone()));
        Ok(Self { inner })
    }

    /// Accepts a run. It is durable when this returns, and starts here at once if there is a free slot. An input that
    /// does not match the workflow's declaration is refused, and nothing is stored.
    ///
    /// A key in the run's context (`api_key`) is removed first. It stays in this process's memory, for this run and its
    /// child runs.
    pub async fn start(&self, mut start: RunStart) -> Result<(), EngineError> {
        let inner = &self.inner;
        let key = consumer_keys::take(&mut start.context);
        start.caller.own_key |= key.is_some();
        let workflow = inner.ports.workflows.version(&start.bundle).await?;
        workflow.input.validate(&start.input)?;
        let started = RunStarted {
            run: start.run.clone(),
            tenant: start.tenant.clone(),
            bundle: start.bundle.clone(),
            input: Arc::new(start.input),
            context: start.context,
            caller: start.caller,
            origin: baton_core::run::RunOrigin::Caller,
        };
        let lease = *inner.lease.borrow();
        let payload: Arc<[u8]> = serde_json::to_vec(&IncomingCommand::Start(Box::new(started)))?.into();
        // A run with a key stays in the process that has the key, with or without a free slot. Its slot is reserved
        // before the store is asked: if the answer is lost, the run is claimed.
        let held = SlotGuard::reserve(inner, &start.run, key.is_some());
        let submit = InboxSubmission {
            aggregate: start.run.clone(),
            tenant: start.tenant.clone(),
            command_id: "start".to_owned(),
            payload: payload.clone(),
            at: inner.ports.clock.now(),
            creates: Some(NewAggregate {
                kind: AggregateKind::Run,
                workflow: start.workflow,
                parent: None,
                owner: held.as_ref().map(|_| lease.process),
            }),
        };
        let at = submit.at;
        let submitted = inner.ports.journal.submit(submit).await;
        let is_owned = match &submitted {
            Ok(InboxReceipt::Accepted { owned, .. }) => owned.is_some(),
            // It is unknown whether the run is durable.
            Err(journal::JournalError::Unwritable { .. }) => true,
            Ok(InboxReceipt::Duplicate) | Err(_) => false,
        };
        let held = held.and_then(|mut held| {
            if !is_owned {
                held.mark_not_owned();
            }
            is_owned.then_some(held)
        });
        let submitted = submitted?;
        if let (InboxReceipt::Accepted { .. }, Some(key)) = (&submitted, key) {
            inner.keys.put(&start.tenant, &start.run, key);
        }
        match submitted {
            InboxReceipt::Duplicate => Err(EngineError::Exists { run: start.run }),
            InboxReceipt::Accepted { item, owned: Some(ownership), .. } => {
                // A run created without an owner has no slot here.
                let Some(held) = held else { return Ok(()) };
                let mut owner = RunOwner::created(start.run.clone(), start.tenant, ownership, lease.until);
                owner.add_versions([(start.bundle, workflow)]);
                let first = InboxItem { item, command_id: "start".to_owned(), payload, at };
                run_task::spawn(held, owner, vec![first]);
                Ok(())
            }
            InboxReceipt::Accepted { .. } => {
                inner.announce(&start.run);
                Ok(())
            }
        }
    }

    /// Accepts a run that starts from a truncated past of another. It is durable when this returns.
    pub async fn fork(&self, fork: RunFork) -> Result<(), EngineError> {
        let run = fork.forked.run.clone();
        let incoming = IncomingCommand::Fork { past: fork.past, forked: Box::new(fork.forked) };
        let submit = InboxSubmission {
            aggregate: run.clone(),
            tenant: fork.tenant,
            command_id: "start".to_owned(),
            payload: serde_json::to_vec(&incoming)?.into(),
            at: self.inner.ports.clock.now(),
            creates: Some(NewAggregate {
                kind: AggregateKind::Run,
                workflow: fork.workflow,
                parent: None,
                owner: None,
            }),
        };
        match self.inner.ports.journal.submit(submit).await? {
            InboxReceipt::Duplicate => Err(EngineError::Exists { run }),
            InboxReceipt::Accepted { .. } => {
                self.inner.announce(&run);
                Ok(())
            }
        }
    }

    /// Submits a command to a run's inbox: durable when this returns, and exactly once under its `command_id`. Returns
    /// the item's number, which [`Notification`] names when it is consumed; `None` for a duplicate.
    pub async fn submit(
        &self,
        tenant: &TenantId,
        run: &RunId,
        command_id: &str,
        incoming: &IncomingCommand,
    ) -> Result<Option<i64>, EngineError> {
        self.submit_payload(tenant, run, command_id, serde_json::to_vec(incoming)?.into(), None).await
    }

    /// Like [`submit`](Self::submit), but for an aggregate of any kind, with the payload in that kind's own format.
    /// `creates` creates the aggregate if this may be its first item.
    pub async fn submit_payload(
        &self,
        tenant: &TenantId,
        aggregate: &AggregateId,
        command_id: &str,
        payload: Arc<[u8]>,
        creates: Option<NewAggregate>,
    ) -> Result<Option<i64>, EngineError> {
        let submit = InboxSubmission {
            aggregate: aggregate.clone(),
            tenant: tenant.clone(),
            command_id: command_id.to_owned(),
            payload,
            at: self.inner.ports.clock.now(),
            creates,
        };
        match self.inner.ports.journal.submit(submit).await? {
            InboxReceipt::Duplicate => Ok(None),
            InboxReceipt::Accepted { item, .. } => {
                self.inner.announce(aggregate);
                Ok(Some(item))
            }
        }
    }

    /// Provides the consumer's own key for a run to this process, and unblocks calls that wait for it. The key stays in
    /// memory until the run ends. A run that another process moves at this moment does not get it: provide it there.
    pub fn provide_key(&self, tenant: &TenantId, run: &RunId, key: ConsumerKey) {
        self.inner.keys.put(tenant, run, key);
        self.inner.announce(run);
    }

    /// Subscribes to everything recorded of every run from now on, in order for each run.
    pub fn subscribe(&self) -> broadcast::Receiver<Notification> {
        self.inner.event_bus.subscribe_all()
    }

    /// Subscribes to the replies of a run's models from now on, chunk by chunk, while the run moves in this process.
    /// The chunks are provisional: a reply is recorded once it is complete.
    pub fn subscribe_replies(&self, tenant: &TenantId, run: &RunId) -> broadcast::Receiver<ReplyChunk> {
        self.inner.reply_streams.subscribe(tenant, run)
    }

    /// Subscribes to the runs that are added to the subscription.
    pub(crate) fn subscribe_runs(&self) -> RunSubscription {
        self.inner.event_bus.subscribe()
    }

    /// Reports the end of a run, if it ends in this process. Call this before the run is started.
    pub fn watch_end(&self, run: &RunId) -> oneshot::Receiver<RunState> {
        let (tell, told) = oneshot::channel();
        lock(&self.inner.end_listeners).insert(run.clone(), tell);
        told
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.inner.ports.clock
    }

    /// The cache of compiled workflow versions.
    pub fn workflows(&self) -> &WorkflowCache {
        &self.inner.ports.workflows
    }

    /// Number of runs that this process owns now.
    pub fn awake_count(&self) -> usize {
        lock(&self.inner.dispatcher).awake()
    }

    /// Whether this process owns the run now, or is about to.
    pub fn is_awake(&self, run: &RunId) -> bool {
        lock(&self.inner.dispatcher).is_awake(run)
    }

    /// Runs that this program cannot fold: their journals are damaged, or were written by a newer version. Each is
    /// retried every few minutes, and is otherwise left alone.
    pub fn unreadable(&self) -> Vec<RunId> {
        lock(&self.inner.dispatcher).unreadable().cloned().collect()
    }

    /// Stops taking work, lets appends in progress finish, waits a while for the results of marked calls in flight, and
    /// releases every run. It ends within [`EngineOptions::stop_within`], whatever a tool or the store does.
    ///
    /// # Errors
    /// [`EngineError::Unfinished`] if runs were still moving then, or if the store did not take back what this process
    /// owned. Other processes take over once this process is gone.
    pub async fn stop(&self) -> Result<(), EngineError> {
        self.stop_within(self.inner.options.stop_within).await
    }

    /// Like [`stop`](Self::stop), but within the given time.
    ///
    /// # Errors
    /// As for [`stop`](Self::stop).
    pub async fn stop_within(&self, within: Duration) -> Result<(), EngineError> {
        let (inner, begun) = (&self.inner, Instant::now());
        inner.stopping.send_replace(true);
        let (hand_over, grace) = (within.mul_f64(DRAIN_PART), within.mul_f64(DRAIN_PART * GRACE_PART));
        if tokio::time::timeout(grace, self.wait_idle()).await.is_err() {
            inner.grace_over.send_replace(true);
        }
        let moving = match tokio::time::timeout(hand_over.saturating_sub(begun.elapsed()), self.wait_idle()).await {
            Ok(()) => Vec::new(),
            Err(_) => lock(&inner.dispatcher).busy().cloned().collect(),
        };
        inner.abandoned.send_replace(true);
        let process = inner.lease.borrow().process;
        let left = within.saturating_sub(begun.elapsed());
        let kept = match tokio::time::timeout(left, inner.ports.journal.leave(process)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the store did not answer".to_owned()),
        };
        if moving.is_empty() && kept.is_none() {
            return Ok(());
        }
        let (count, named) = (moving.len(), moving.into_iter().take(NAMED_MAX).collect());
        Err(EngineError::Unfinished(Box::new(ShutdownError { count, first_runs: named, within, release_error: kept })))
    }

    /// Waits until nothing is being claimed or moved.
    async fn wait_idle(&self) {
        let mut left = self.inner.stopping.subscribe();
        // Each task touches the flag when it exits.
        while lock(&self.inner.dispatcher).awake() > 0 && left.changed().await.is_ok() {}
    }
}

impl EngineInner {
    /// Announces that this run has work. This is only a hint: the store knows.
    fn announce(self: &Arc<Self>, run: &RunId) -> RunAdmission {
        if self.is_stopping() {
            return RunAdmission::Queued;
        }
        let admission = lock(&self.dispatcher).announce(run);
        match admission {
            RunAdmission::Claim => self.claim(run.clone()),
            RunAdmission::Wake => {
                if let Some(nudge) = lock(&self.wakers).get(run) {
                    // A full channel means that a wake-up is already pending.
                    let _ = nudge.try_send(());
                }
            }
            RunAdmission::Queued | RunAdmission::Backoff => {}
        }
        admission
    }

    /// Claims a run that has its slot.
    fn claim(self: &Arc<Self>, run: RunId) {
        tokio::spawn(claim::claim(self.clone(), run));
    }

    /// Registers the waker of a task that is about to move a run.
    fn register_waker(&self, run: &RunId) -> mpsc::Receiver<()> {
        let (nudge, nudged) = mpsc::channel(1);
        // Registered before the run is reported as awake, so that no wake-up is missed.
        lock(&self.wakers).insert(run.clone(), nudge.clone());
        if lock(&self.dispatcher).task_started(run) {
            // A full channel means that a wake-up is already pending.
            let _ = nudge.try_send(());
        }
        nudged
    }

    /// The run is no longer moved here.
    fn task_exited(self: &Arc<Self>, run: &RunId, left: TaskExit) {
        lock(&self.wakers).remove(run);
        let again = lock(&self.dispatcher).task_exited(run, left, self.ports.clock.monotonic());
        for run in again {
            self.announce(&run);
        }
        if *self.stopping.borrow() {
            self.stopping.send_replace(true);
        }
    }

    /// The permits of a tenant's agents: as many as its tier allows at once, in this process.
    fn agent_permits(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let limit = self.ports.agent_registry.tier(tenant).limits.concurrency.min(Semaphore::MAX_PERMITS);
        let fresh = || (limit, Arc::new(Semaphore::new(limit)));
        let mut all = lock(&self.agent_permits);
        let turns = all.entry(tenant.clone()).or_insert_with(fresh);
        // The tier has changed; permits taken before stay valid.
        if turns.0 != limit {
            *turns = fresh();
        }
        turns.1.clone()
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// These locks guard short sections that do not panic, so a poisoned lock can be used as it is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
