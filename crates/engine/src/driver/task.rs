//! One awake run: a task that feeds its owner and carries out what comes of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use baton_core::agent::{self, Seen, Step, Think};
use baton_core::id::{RunId, TenantId};
use baton_core::model;
use baton_core::money::Quote;
use baton_core::run::{EffectId, Outcome};
use baton_core::time::Time;
use baton_ports::budget::{Charge, Spend, Tab};
use baton_ports::journal::{self, Append, InboxItem, ProcessId};

use futures::future::{AbortHandle, Abortable, Aborted, BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};

use super::held::Held;
use super::{Inner, World, lock};
use crate::effects::{self, Back, Permits};
use crate::notices::Recorded;
use crate::own_time::Now;
use crate::owner::{Input, Output, Owner, Send, versions_of};

/// The longest that a task sleeps before it looks at the clock again, which somebody may have set.
pub(super) const NAP: Duration = Duration::from_secs(1);

pub fn spawn(held: Held, owner: Owner, items: Vec<InboxItem>) {
    let (inner, run) = (held.inner(), held.run().clone());
    let nudged = inner.woke(&run);
    let (lease, mut abandoned) = (inner.lease.subscribe(), inner.abandoned.subscribe());
    let task = Task {
        tenant: owner.tenant().clone(),
        inner,
        run,
        owner,
        calls: FuturesUnordered::new(),
        aborts: BTreeMap::new(),
        tabs: BTreeMap::new(),
        permits: Permits::new(),
        performing: BTreeSet::new(),
        charges: VecDeque::new(),
        settling: Vec::new(),
        append: None,
        wake_at: None,
        reads_again: false,
        has_ended: false,
        held,
    };
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = stopped(&mut abandoned) => {}
            () = task.go(items, nudged, lease) => {}
        }
    });
}

/// A call that came back, was dropped, or broke off whoever it asked.
type Called = (EffectId, Result<Result<Back, effects::Asked>, Aborted>);

struct Task {
    inner: Arc<Inner>,
    run: RunId,
    tenant: TenantId,
    owner: Owner,
    calls: FuturesUnordered<BoxFuture<'static, Called>>,
    aborts: BTreeMap<EffectId, AbortHandle>,
    /// Where calls to models are charged.
    tabs: BTreeMap<EffectId, Tab>,
    permits: Permits,
    /// Marked calls that are out.
    performing: BTreeSet<EffectId>,
    /// What calls that came back cost, in the order the owner was told.
    charges: VecDeque<Charge>,
    /// Those that the append under way settles. Left behind, they go back to this process's books.
    settling: Vec<Charge>,
    append: Option<BoxFuture<'static, Result<(), journal::Error>>>,
    wake_at: Option<Time>,
    /// The inbox could not be read, and is read again soon.
    reads_again: bool,
    has_ended: bool,
    /// The last to go: until then its place is kept.
    held: Held,
}

impl Task {
    async fn go(
        mut self,
        items: Vec<InboxItem>,
        mut nudged: mpsc::Receiver<()>,
        mut lease: watch::Receiver<journal::Lease>,
    ) {
        let (mut stopping, mut hurrying) = (self.inner.stopping.subscribe(), self.inner.hurrying.subscribe());
        // Its process may have joined anew between the claim and here.
        if lease.borrow().process != self.owner.ownership().process {
            return;
        }
        self.inner.world.roster.look(&self.tenant, self.inner.world.clock.now()).await;
        self.offer_key().await;
        self.feed(Input::Items(items)).await;
        while !self.has_ended {
            let nap = self.nap();
            tokio::select! {
                biased;
                done = poll_append(&mut self.append) => self.appended(done).await,
                Some(back) = self.calls.next(), if !self.calls.is_empty() => self.came_back(back).await,
                Some(()) = nudged.recv() => self.look_into_inbox().await,
                () = tokio::time::sleep(nap.unwrap_or_default()), if nap.is_some() => self.nap_is_over().await,
                Ok(()) = lease.changed() => {
                    let lease = *lease.borrow_and_update();
                    if lease.process != self.owner.ownership().process {
                        tracing::warn!(run = %self.run, "its process has joined anew; the run is claimed afresh");
                        return;
                    }
                    self.feed(Input::Lease { until: lease.until }).await;
                }
                // What is out and marked is waited for: given up, a person would have to say whether it acted.
                () = stopped(&mut stopping), if self.append.is_none() && self.performing.is_empty() => return,
                () = stopped(&mut hurrying), if self.append.is_none() => return,
            }
        }
    }

    /// How long it may sleep; nothing where it waits for no time.
    fn nap(&self) -> Option<Duration> {
        let now = Now::of(&*self.inner.world.clock);
        let wake = self.wake_at.map(|at| self.owner.time_until(at, now).min(NAP));
        wake.or(self.reads_again.then_some(NAP))
    }

    async fn nap_is_over(&mut self) {
        if std::mem::take(&mut self.reads_again) {
            self.look_into_inbox().await;
        }
        let now = Now::of(&*self.inner.world.clock);
        if self.wake_at.is_some_and(|at| self.owner.time_until(at, now).is_zero()) {
            self.wake_at = None;
            self.feed(Input::Wake).await;
        }
    }

    async fn feed(&mut self, input: Input) {
        let inner = self.inner.clone();
        let now = Now::of(&*inner.world.clock);
        self.owner.advise(inner.world.roster.advice(&self.tenant, now.wall));
        let think = Thinking { tenant: &self.tenant, world: &inner.world };
        let mut outputs = VecDeque::from(self.owner.handle(input, now, &think, &inner.options));
        while let Some(output) = outputs.pop_front() {
            self.carry_out(output).await;
        }
    }

    async fn carry_out(&mut self, output: Output) {
        match output {
            Output::Append(append) => self.begin_append(*append),
            // Whoever owns the run next lets it out.
            Output::Send(_) | Output::LookUp(_) if self.inner.is_stopping() => {}
            Output::Send(send) => self.send(*send),
            Output::Perform { effect, until } => {
                if let Some(permit) = self.permits.remove(&effect) {
                    self.performing.insert(effect.clone());
                    let (inner, call) = (self.inner.clone(), effect.clone());
                    let performed = async move { effects::perform(&*inner.world.clock, call, permit, until).await };
                    self.call(effect, effects::Asked::Tool, performed.boxed());
                }
            }
            Output::LookUp(send) => self.look_up(*send),
            Output::Drop { effect } => {
                self.permits.remove(&effect);
                self.performing.remove(&effect);
                if let Some(abort) = self.aborts.remove(&effect) {
                    abort.abort();
                }
            }
            Output::Refused { item, refusal } => {
                tracing::info!(run = %self.run, item, code = refusal.code(), %refusal, "refused");
                self.inner.notices.tell(Recorded::Refused { run: self.run.clone(), item, refusal });
            }
            Output::Noted(outcomes) => {
                let (inner, tenant) = (self.inner.clone(), self.tenant.clone());
                tokio::spawn(async move {
                    inner.world.roster.note(&tenant, &outcomes, inner.world.clock.now()).await;
                });
            }
            Output::Announce(run) => {
                self.inner.announce(&run);
            }
            Output::WakeAt(at) => self.wake_at = Some(at),
            Output::Released => {
                self.tell_end();
                self.held.is_gone();
                self.has_ended = true;
            }
            Output::Fallen => {
                tracing::error!(run = %self.run, "what a run decided cannot be written; it is claimed afresh");
                self.has_ended = true;
            }
            Output::Release { wake_at } => {
                let released = self.inner.world.journal.release(self.owner.ownership(), wake_at).await;
                match released {
                    Ok(()) => {
                        self.tell_end();
                        self.held.is_gone();
                    }
                    Err(error) => {
                        tracing::warn!(run = %self.run, %error, "a run could not be given back; it is claimed afresh");
                    }
                }
                self.has_ended = true;
            }
        }
    }

    fn begin_append(&mut self, append: Append) {
        // What no holder's allowance covers was charged by nobody here.
        let settles = append.spends.iter().filter(|spend| spend.holder.is_some()).count();
        self.settling = self.charges.drain(..settles.min(self.charges.len())).collect();
        let inner = self.inner.clone();
        let run = self.run.clone();
        let (refused, recording) = (self.owner.refusing(), self.owner.recording());
        self.append = Some(
            async move {
                let (tenant, seq) = (append.tenant.clone(), append.expected_seq + 1);
                let items: Arc<[i64]> =
                    append.inbox_done.iter().copied().filter(|item| !refused.contains(item)).collect();
                inner.world.journal.append(append).await?;
                // Watchers are told after it is durable.
                match recording {
                    Some(entry) => inner.notices.tell(Recorded::Entry { tenant, run, seq, entry, items }),
                    None if !items.is_empty() => inner.notices.tell(Recorded::Taken { run, items }),
                    None => {}
                }
                Ok(())
            }
            .boxed(),
        );
    }

    async fn appended(&mut self, done: Result<(), journal::Error>) {
        self.append = None;
        match done {
            Ok(()) => {
                self.settling.drain(..).for_each(Charge::settled);
                self.held.moved();
                self.feed(Input::Appended).await;
            }
            // Most likely it is another process's by now; the claim says so.
            Err(journal::Error::LeaseLost { .. }) => self.has_ended = true,
            Err(error) => {
                tracing::warn!(run = %self.run, %error, "an append failed; the run is claimed afresh");
                self.has_ended = true;
            }
        }
    }

    async fn came_back(&mut self, (effect, back): Called) {
        let tab = self.tabs.remove(&effect);
        self.performing.remove(&effect);
        match back {
            Ok(Ok(Back::Outcome { effect, outcome, audit, charges })) => {
                self.aborts.remove(&effect);
                let spends = spends_of(&charges);
                self.charges.extend(charges);
                self.feed(Input::Outcome { effect, outcome: *outcome, audit, spends }).await;
            }
            Ok(Ok(Back::Permit { effect, permit })) => {
                self.permits.insert(effect.clone(), permit);
                self.feed(Input::Permitted { effect }).await;
            }
            Ok(Err(asked)) => {
                tracing::error!(run = %self.run, %effect, "a call broke off by a panic, which is a defect");
                self.aborts.remove(&effect);
                let charges = tab.map(|tab| tab.take()).unwrap_or_default();
                let spends = spends_of(&charges);
                let outcome = asked.broken(spends.iter().map(|spend| spend.cost).sum());
                self.charges.extend(charges);
                self.feed(Input::Outcome { effect, outcome, audit: None, spends }).await;
            }
            // By now the call is gone, and with it whatever it had reserved: that is on its tab.
            Err(Aborted) => {
                if let Some(tab) = tab {
                    let outcome = Outcome::Dropped { cost: tab.total() };
                    let charges = tab.take();
                    let spends = spends_of(&charges);
                    // The owner holds back for it what it decided before all that is waiting.
                    charges.into_iter().for_each(|charge| self.charges.push_front(charge));
                    self.feed(Input::Outcome { effect, outcome, audit: None, spends }).await;
                }
            }
        }
    }

    fn tell_end(&self) {
        let state = self.owner.run().state();
        if !state.is_end() {
            return;
        }
        self.inner.keys.forget(&self.tenant, &self.run);
        if let Some(tell) = lock(&self.inner.ends).remove(&self.run) {
            // Whoever asked may have gone.
            let _ = tell.send(state);
        }
    }

    /// Where the consumer's key is in memory, what waits for it goes on.
    async fn offer_key(&mut self) {
        if self.inner.keys.of(&self.tenant, &self.run).is_some() {
            self.feed(Input::KeyGiven).await;
        }
    }

    /// Items that came from others, with the versions they name.
    async fn look_into_inbox(&mut self) {
        lock(&self.inner.dispatcher).seen(&self.run);
        let handle = self.owner.ownership().handle;
        match self.inner.world.journal.inbox(handle, self.owner.inbox_seen()).await {
            Ok(items) => {
                for hash in versions_of(&[], &items, None) {
                    match self.inner.world.library.version(&hash).await {
                        Ok(workflow) => self.owner.know([(hash, workflow)]),
                        Err(error) => tracing::warn!(%error, run = %self.run, "an inbox item names a bad version"),
                    }
                }
                self.offer_key().await;
                self.feed(Input::Items(items)).await;
            }
            Err(error) => {
                tracing::warn!(run = %self.run, %error, "the inbox cannot be read; trying again");
                self.reads_again = true;
            }
        }
    }

    fn send(&mut self, send: Send) {
        let (inner, tenant, run) = (self.inner.clone(), self.tenant.clone(), self.run.clone());
        let effect = send.effect.clone();
        let turns = send.what.is_of_an_agent().then(|| inner.turns(&tenant));
        let tab = Tab::default();
        if send.what.is_of_a_model() {
            self.tabs.insert(effect.clone(), tab.clone());
        }
        let asked = effects::Asked::of(&send.what);
        let process = self.owner.ownership().process;
        let call = async move {
            // The semaphores are never closed, so a permit always comes.
            let _turn = match &turns {
                Some(turns) => Some(turns.acquire().await),
                None => None,
            };
            let _slot = inner.calls.acquire().await;
            effects::send(world_of(&inner, process), &tenant, &run, send, tab).await
        };
        self.call(effect, asked, call.boxed());
    }

    fn look_up(&mut self, send: Send) {
        let (inner, process) = (self.inner.clone(), self.owner.ownership().process);
        let effect = send.effect.clone();
        let call = async move {
            let _slot = inner.calls.acquire().await;
            effects::look_up(world_of(&inner, process), send).await
        };
        self.call(effect, effects::Asked::Tool, call.boxed());
    }

    /// A call that panics ends as one whose outcome nobody knows: neither its run nor its neighbours go down with it.
    fn call(&mut self, effect: EffectId, asked: effects::Asked, call: BoxFuture<'static, Back>) {
        let (abort, registration) = AbortHandle::new_pair();
        self.aborts.insert(effect.clone(), abort);
        let call = AssertUnwindSafe(call).catch_unwind().map(move |back| back.map_err(|_| asked));
        self.calls.push(async move { (effect, Abortable::new(call, registration).await) }.boxed());
    }
}

fn spends_of(charges: &[Charge]) -> Vec<Spend> {
    charges.iter().map(|charge| charge.spend().clone()).collect()
}

fn world_of(inner: &Inner, process: ProcessId) -> effects::World<'_> {
    let world = &inner.world;
    effects::World {
        tools: &*world.tools,
        models: &*world.models,
        sandbox: &*world.sandbox,
        thinkers: &*world.thinkers,
        code: inner.options.code,
        clock: &*world.clock,
        keys: &inner.keys,
        voices: &inner.voices,
        process,
        lease: &inner.lease,
    }
}

/// Agents' steps, with the price of what they ask models for.
struct Thinking<'a> {
    tenant: &'a TenantId,
    world: &'a World,
}

impl Think for Thinking<'_> {
    fn step(&self, task: &agent::Task, seen: &[Seen]) -> Step {
        self.world.think.step(task, seen)
    }

    fn quote(&self, request: &model::Request) -> Quote {
        self.world.models.quote(self.tenant, request)
    }
}

pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone stops us as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

async fn poll_append(
    append: &mut Option<BoxFuture<'static, Result<(), journal::Error>>>,
) -> Result<(), journal::Error> {
    match append {
        Some(append) => append.await,
        None => std::future::pending().await,
    }
}
