//! The task of one awake run: it feeds its owner and carries out the owner's outputs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use baton_core::agent::{self, AgentObservation, AgentStep, StepFunction};
use baton_core::id::{RunId, TenantId};
use baton_core::model;
use baton_core::money::PriceQuote;
use baton_core::run::{CallOutcome, EffectId};
use baton_core::time::Time;
use baton_ports::budget::{CallSpend, ChargeCollector, PendingCharge};
use baton_ports::journal::{self, InboxItem, JournalAppend, ProcessId};

use futures::future::{AbortHandle, Abortable, Aborted, BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};

use super::slot_guard::SlotGuard;
use super::{EngineInner, EnginePorts, lock};
use crate::aggregate_clock::ClockReading;
use crate::effects::{self, AttemptResult, CallPermits};
use crate::event_bus::Notification;
use crate::owner::{Attempt, OwnerInput, OwnerOutput, RunOwner, versions_of};

/// The longest time a task sleeps before it reads the clock again, which may have been set.
pub(super) const SLEEP_MAX: Duration = Duration::from_secs(1);

pub fn spawn(held: SlotGuard, owner: RunOwner, items: Vec<InboxItem>) {
    let (inner, run) = (held.inner(), held.run().clone());
    let nudged = inner.register_waker(&run);
    let (lease, mut abandoned) = (inner.lease.subscribe(), inner.abandoned.subscribe());
    let task = RunTask {
        tenant: owner.tenant().clone(),
        inner,
        run,
        owner,
        calls: FuturesUnordered::new(),
        aborts: BTreeMap::new(),
        charge_collectors: BTreeMap::new(),
        permits: CallPermits::new(),
        performing: BTreeSet::new(),
        charges: VecDeque::new(),
        settling: Vec::new(),
        append: None,
        wake_at: None,
        inbox_retry: false,
        has_ended: false,
        slot: held,
    };
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = until_stopping(&mut abandoned) => {}
            () = task.run_loop(items, nudged, lease) => {}
        }
    });
}

/// A call that returned, panicked (with what it called), or was aborted.
type CallCompletion = (EffectId, Result<Result<AttemptResult, effects::CallTarget>, Aborted>);

struct RunTask {
    inner: Arc<EngineInner>,
    run: RunId,
    tenant: TenantId,
    owner: RunOwner,
    calls: FuturesUnordered<BoxFuture<'static, CallCompletion>>,
    aborts: BTreeMap<EffectId, AbortHandle>,
    /// Where calls to models are charged.
    charge_collectors: BTreeMap<EffectId, ChargeCollector>,
    permits: CallPermits,
    /// Marked calls in flight.
    performing: BTreeSet<EffectId>,
    /// Costs of calls that returned, in the order in which the owner was given them.
    charges: VecDeque<PendingCharge>,
    /// Charges that the append in progress settles. If they are left behind, they go back to this process's ledger.
    settling: Vec<PendingCharge>,
    append: Option<BoxFuture<'static, Result<(), journal::JournalError>>>,
    wake_at: Option<Time>,
    /// The inbox could not be read, and is read again soon.
    inbox_retry: bool,
    has_ended: bool,
    /// Dropped last: the run's slot is kept until then.
    slot: SlotGuard,
}

impl RunTask {
    async fn run_loop(
        mut self,
        items: Vec<InboxItem>,
        mut nudged: mpsc::Receiver<()>,
        mut lease: watch::Receiver<journal::ProcessLease>,
    ) {
        let (mut stopping, mut hurrying) = (self.inner.stopping.subscribe(), self.inner.grace_over.subscribe());
        // The process may have joined again between the claim and this point.
        if lease.borrow().process != self.owner.ownership().process {
            return;
        }
        self.inner.ports.agent_registry.refresh(&self.tenant, self.inner.ports.clock.now()).await;
        self.offer_key().await;
        self.handle_input(OwnerInput::Items(items)).await;
        while !self.has_ended {
            let nap = self.sleep_time();
            tokio::select! {
                biased;
                done = poll_append(&mut self.append) => self.appended(done).await,
                Some(back) = self.calls.next(), if !self.calls.is_empty() => self.call_completed(back).await,
                Some(()) = nudged.recv() => self.read_inbox().await,
                () = tokio::time::sleep(nap.unwrap_or_default()), if nap.is_some() => self.sleep().await,
                Ok(()) = lease.changed() => {
                    let lease = *lease.borrow_and_update();
                    if lease.process != self.owner.ownership().process {
                        tracing::warn!(run = %self.run, "its process has joined anew; the run is claimed afresh");
                        return;
                    }
                    self.handle_input(OwnerInput::Lease { until: lease.until }).await;
                }
                // Marked calls in flight are waited for: if they were abandoned, a person would have to say whether
                // they acted.
                () = until_stopping(&mut stopping), if self.append.is_none() && self.performing.is_empty() => return,
                () = until_stopping(&mut hurrying), if self.append.is_none() => return,
            }
        }
    }

    /// How long the task may sleep; `None` if it waits for no timer.
    fn sleep_time(&self) -> Option<Duration> {
        let now = ClockReading::of(&*self.inner.ports.clock);
        let wake = self.wake_at.map(|at| self.owner.time_until(at, now).min(SLEEP_MAX));
        wake.or(self.inbox_retry.then_some(SLEEP_MAX))
    }

    async fn sleep(&mut self) {
        if std::mem::take(&mut self.inbox_retry) {
            self.read_inbox().await;
        }
        let now = ClockReading::of(&*self.inner.ports.clock);
        if self.wake_at.is_some_and(|at| self.owner.time_until(at, now).is_zero()) {
            self.wake_at = None;
            self.handle_input(OwnerInput::Wake).await;
        }
    }

    async fn handle_input(&mut self, input: OwnerInput) {
        let inner = self.inner.clone();
        let now = ClockReading::of(&*inner.ports.clock);
        self.owner.set_advice(inner.ports.agent_registry.advice(&self.tenant, now.wall));
        let think = PricedAgents { tenant: &self.tenant, ports: &inner.ports };
        let mut outputs = VecDeque::from(self.owner.handle(input, now, &think, &inner.options));
        while let Some(output) = outputs.pop_front() {
            self.perform_output(output).await;
        }
    }

    async fn perform_output(&mut self, output: OwnerOutput) {
        match output {
            OwnerOutput::Append(append) => self.begin_append(*append),
            // The next owner of the run dispatches it.
            OwnerOutput::Dispatch(_) | OwnerOutput::LookUp(_) if self.inner.is_stopping() => {}
            OwnerOutput::Dispatch(send) => self.start_attempt(*send),
            OwnerOutput::Perform { effect, until } => {
                if let Some(permit) = self.permits.remove(&effect) {
                    self.performing.insert(effect.clone());
                    let (inner, call) = (self.inner.clone(), effect.clone());
                    let performed = async move { effects::perform(&*inner.ports.clock, call, permit, until).await };
                    self.spawn_call(effect, effects::CallTarget::Tool, performed.boxed());
                }
            }
            OwnerOutput::LookUp(send) => self.start_lookup(*send),
            OwnerOutput::Drop { effect } => {
                self.permits.remove(&effect);
                self.performing.remove(&effect);
                if let Some(abort) = self.aborts.remove(&effect) {
                    abort.abort();
                }
            }
            OwnerOutput::Refused { item, refusal } => {
                tracing::info!(run = %self.run, item, code = refusal.code(), %refusal, "refused");
                self.inner.event_bus.publish(Notification::Refused { run: self.run.clone(), item, refusal });
            }
            OwnerOutput::AgentsEnded(outcomes) => {
                let (inner, tenant) = (self.inner.clone(), self.tenant.clone());
                tokio::spawn(async move {
                    inner.ports.agent_registry.record_outcomes(&tenant, &outcomes, inner.ports.clock.now()).await;
                });
            }
            OwnerOutput::Announce(run) => {
                self.inner.announce(&run);
            }
            OwnerOutput::WakeAt(at) => self.wake_at = Some(at),
            OwnerOutput::Released => {
                self.notify_end();
                self.slot.mark_not_owned();
                self.has_ended = true;
            }
            OwnerOutput::Failed => {
                tracing::error!(run = %self.run, "what a run decided cannot be written; it is claimed afresh");
                self.has_ended = true;
            }
            OwnerOutput::Release { wake_at } => {
                let released = self.inner.ports.journal.release(self.owner.ownership(), wake_at).await;
                match released {
                    Ok(()) => {
                        self.notify_end();
                        self.slot.mark_not_owned();
                    }
                    Err(error) => {
                        tracing::warn!(run = %self.run, %error, "a run could not be given back; it is claimed afresh");
                    }
                }
                self.has_ended = true;
            }
        }
    }

    fn begin_append(&mut self, append: JournalAppend) {
        // Spends without a holder are covered by no allowance, so this process did not charge them.
        let settles = append.spends.iter().filter(|spend| spend.holder.is_some()).count();
        self.settling = self.charges.drain(..settles.min(self.charges.len())).collect();
        let inner = self.inner.clone();
        let run = self.run.clone();
        let (refused, recording) = (self.owner.pending_refusals(), self.owner.pending_entry());
        self.append = Some(
            async move {
                let (tenant, seq) = (append.tenant.clone(), append.expected_seq + 1);
                let items: Arc<[i64]> =
                    append.inbox_done.iter().copied().filter(|item| !refused.contains(item)).collect();
                inner.ports.journal.append(append).await?;
                // Subscribers are notified once it is durable.
                match recording {
                    Some(entry) => inner.event_bus.publish(Notification::Entry { tenant, run, seq, entry, items }),
                    None if !items.is_empty() => inner.event_bus.publish(Notification::Consumed { run, items }),
                    None => {}
                }
                Ok(())
            }
            .boxed(),
        );
    }

    async fn appended(&mut self, done: Result<(), journal::JournalError>) {
        self.append = None;
        match done {
            Ok(()) => {
                self.settling.drain(..).for_each(PendingCharge::mark_settled);
                self.slot.mark_progress();
                self.handle_input(OwnerInput::Appended).await;
            }
            // Most likely another process owns the run by now; the claim reports that.
            Err(journal::JournalError::LeaseLost { .. }) => self.has_ended = true,
            Err(error) => {
                tracing::warn!(run = %self.run, %error, "an append failed; the run is claimed afresh");
                self.has_ended = true;
            }
        }
    }

    async fn call_completed(&mut self, (effect, back): CallCompletion) {
        let tab = self.charge_collectors.remove(&effect);
        self.performing.remove(&effect);
        match back {
            Ok(Ok(AttemptResult::Outcome { effect, outcome, audit, charges })) => {
                self.aborts.remove(&effect);
                let spends = spends_of(&charges);
                self.charges.extend(charges);
                self.handle_input(OwnerInput::Outcome { effect, outcome: *outcome, audit, spends }).await;
            }
            Ok(Ok(AttemptResult::Permit { effect, permit })) => {
                self.permits.insert(effect.clone(), permit);
                self.handle_input(OwnerInput::Permitted { effect }).await;
            }
            Ok(Err(asked)) => {
                tracing::error!(run = %self.run, %effect, "a call broke off by a panic, which is a defect");
                self.aborts.remove(&effect);
                let charges = tab.map(|tab| tab.take()).unwrap_or_default();
                let spends = spends_of(&charges);
                let outcome = asked.panic_outcome(spends.iter().map(|spend| spend.cost).sum());
                self.charges.extend(charges);
                self.handle_input(OwnerInput::Outcome { effect, outcome, audit: None, spends }).await;
            }
            // The call is gone by now, and what it had reserved is in its charge collector.
            Err(Aborted) => {
                if let Some(tab) = tab {
                    let outcome = CallOutcome::Dropped { cost: tab.total() };
                    let charges = tab.take();
                    let spends = spends_of(&charges);
                    // The owner holds back an earlier decision until it has this charge, so it goes before all charges
                    // that wait.
                    charges.into_iter().for_each(|charge| self.charges.push_front(charge));
                    self.handle_input(OwnerInput::Outcome { effect, outcome, audit: None, spends }).await;
                }
            }
        }
    }

    fn notify_end(&self) {
        let state = self.owner.run().state();
        if !state.is_end() {
            return;
        }
        self.inner.keys.forget(&self.tenant, &self.run);
        if let Some(tell) = lock(&self.inner.end_listeners).remove(&self.run) {
            // The listener may be gone.
            let _ = tell.send(state);
        }
    }

    /// If the consumer's key is in memory, unblocks calls that wait for it.
    async fn offer_key(&mut self) {
        if self.inner.keys.of(&self.tenant, &self.run).is_some() {
            self.handle_input(OwnerInput::KeyProvided).await;
        }
    }

    /// Reads items submitted by others, with the versions that they name.
    async fn read_inbox(&mut self) {
        lock(&self.inner.dispatcher).wake_handled(&self.run);
        let handle = self.owner.ownership().handle;
        match self.inner.ports.journal.inbox(handle, self.owner.inbox_seen()).await {
            Ok(items) => {
                for hash in versions_of(&[], &items, None) {
                    match self.inner.ports.workflows.version(&hash).await {
                        Ok(workflow) => self.owner.add_versions([(hash, workflow)]),
                        Err(error) => tracing::warn!(%error, run = %self.run, "an inbox item names a bad version"),
                    }
                }
                self.offer_key().await;
                self.handle_input(OwnerInput::Items(items)).await;
            }
            Err(error) => {
                tracing::warn!(run = %self.run, %error, "the inbox cannot be read; trying again");
                self.inbox_retry = true;
            }
        }
    }

    fn start_attempt(&mut self, send: Attempt) {
        let (inner, tenant, run) = (self.inner.clone(), self.tenant.clone(), self.run.clone());
        let effect = send.effect.clone();
        let turns = send.request.counts_as_agent().then(|| inner.agent_permits(&tenant));
        let tab = ChargeCollector::default();
        if send.request.asks_model() {
            self.charge_collectors.insert(effect.clone(), tab.clone());
        }
        let asked = effects::CallTarget::of(&send.request);
        let process = self.owner.ownership().process;
        let call = async move {
            // The semaphores are never closed, so a permit always arrives.
            let _turn = match &turns {
                Some(turns) => Some(turns.acquire().await),
                None => None,
            };
            let _slot = inner.calls.acquire().await;
            effects::run_attempt(effect_ports(&inner, process), &tenant, &run, send, tab).await
        };
        self.spawn_call(effect, asked, call.boxed());
    }

    fn start_lookup(&mut self, send: Attempt) {
        let (inner, process) = (self.inner.clone(), self.owner.ownership().process);
        let effect = send.effect.clone();
        let call = async move {
            let _slot = inner.calls.acquire().await;
            effects::look_up(effect_ports(&inner, process), send).await
        };
        self.spawn_call(effect, effects::CallTarget::Tool, call.boxed());
    }

    /// A call that panics ends with an unknown outcome: neither its run nor other runs fail with it.
    fn spawn_call(&mut self, effect: EffectId, asked: effects::CallTarget, call: BoxFuture<'static, AttemptResult>) {
        let (abort, registration) = AbortHandle::new_pair();
        self.aborts.insert(effect.clone(), abort);
        let call = AssertUnwindSafe(call).catch_unwind().map(move |back| back.map_err(|_| asked));
        self.calls.push(async move { (effect, Abortable::new(call, registration).await) }.boxed());
    }
}

fn spends_of(charges: &[PendingCharge]) -> Vec<CallSpend> {
    charges.iter().map(|charge| charge.spend().clone()).collect()
}

fn effect_ports(inner: &EngineInner, process: ProcessId) -> effects::EffectPorts<'_> {
    let world = &inner.ports;
    effects::EffectPorts {
        tools: &*world.tools,
        models: &*world.models,
        sandbox: &*world.sandbox,
        thinkers: &*world.thinkers,
        code: inner.options.code,
        clock: &*world.clock,
        keys: &inner.keys,
        reply_streams: &inner.reply_streams,
        process,
        lease: &inner.lease,
    }
}

/// The agents' step functions, with the price of their model requests.
struct PricedAgents<'a> {
    tenant: &'a TenantId,
    ports: &'a EnginePorts,
}

impl StepFunction for PricedAgents<'_> {
    fn step(&self, task: &agent::AgentTask, seen: &[AgentObservation]) -> AgentStep {
        self.ports.think.step(task, seen)
    }

    fn quote(&self, request: &model::ModelRequest) -> PriceQuote {
        self.ports.models.quote(self.tenant, request)
    }
}

pub(super) async fn until_stopping(stopping: &mut watch::Receiver<bool>) {
    // A dropped sender stops the task as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn poll_append(
    append: &mut Option<BoxFuture<'static, Result<(), journal::JournalError>>>,
) -> Result<(), journal::JournalError> {
    match append {
        Some(append) => append.await,
        None => std::future::pending().await,
    }
}
