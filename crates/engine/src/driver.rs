//! The asynchronous shell: one lease per process, one task per awake run, one loop that looks for work.

mod claim;
mod held;
mod lease;
mod plain;
mod task;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_core::agent::Think;
use baton_core::bundle::Hash;
use baton_core::id::{RunId, TenantId};
use baton_core::run::{Entry, Forked, Incoming, Started, State};
use baton_ports::clock::Clock;
use baton_ports::journal::{self, AggregateId, Create, InboxItem, Journal, Kind, Lease, Submit, Submitted};
use baton_ports::models::{ApiKey, Models};
use baton_ports::sandbox::Sandbox;
use baton_ports::thinkers::Thinkers;
use baton_ports::tools::Tools;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::dispatcher::{Admission, Dispatcher, Left};
use crate::error::Unfinished;
use crate::keys::{self, Keys};
use crate::notices::{Notices, Recorded, Watch};
use crate::owner::Owner;
use crate::voices::{Said, Voices};
use crate::{Error, Library, Options, Roster};

use held::Held;

/// Work to take on.
#[derive(Clone)]
pub struct Start {
    pub run: RunId,
    pub tenant: TenantId,
    /// For lists.
    pub workflow: String,
    pub bundle: Hash,
    pub input: Value,
    pub context: Value,
    pub caller: baton_core::tool::Caller,
}

/// A run to begin from another's past.
#[derive(Clone, Debug)]
pub struct Fork {
    pub tenant: TenantId,
    /// For lists.
    pub workflow: String,
    /// What the new run inherits: whole entries of the original, the last perhaps cut short.
    pub past: Vec<Entry>,
    pub forked: Forked,
}

/// Everything an engine speaks to.
pub struct World {
    pub journal: Arc<dyn Journal>,
    pub tools: Arc<dyn Tools>,
    pub models: Arc<dyn Models>,
    pub sandbox: Arc<dyn Sandbox>,
    pub thinkers: Arc<dyn Thinkers>,
    pub roster: Arc<Roster>,
    pub think: Arc<dyn Think>,
    pub clock: Arc<dyn Clock>,
    pub library: Library,
}

/// Keeps this process's runs moving until it is stopped. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    options: Options,
    lease: watch::Sender<Lease>,
    dispatcher: Mutex<Dispatcher>,
    /// How to nudge the task of an awake run.
    nudges: Mutex<BTreeMap<RunId, mpsc::Sender<()>>>,
    /// Who waits for which run's end.
    ends: Mutex<BTreeMap<RunId, oneshot::Sender<State>>>,
    keys: Keys,
    voices: Voices,
    calls: Semaphore,
    /// Whose agents wait for how much at once.
    turns: Mutex<BTreeMap<TenantId, (usize, Arc<Semaphore>)>>,
    notices: Arc<Notices>,
    /// Somebody was told that the lease is over.
    lease_lost: Notify,
    stopping: watch::Sender<bool>,
    /// Calls that are out are not waited for any longer.
    hurrying: watch::Sender<bool>,
    /// What is still moving after a while of stopping is dropped where it is.
    abandoned: watch::Sender<bool>,
}

/// Of the time that stopping may take, how much is for what is still moving; the rest is for giving everything back.
const HAND_OVER: f64 = 0.7;
/// And of that, how much is for marked calls that are out.
const GRACE: f64 = 0.6;
/// Runs that are named of those that were still moving.
const NAMED_MAX: usize = 20;

impl Engine {
    /// Who the tenants and their agents are.
    pub fn roster(&self) -> &Roster {
        &self.inner.world.roster
    }

    /// Joins the store and begins to look for work: what is due, and what a dead process left behind.
    pub async fn begin(world: World, options: Options) -> Result<Self, Error> {
        let lease = world.journal.join(world.clock.steady()).await?;
        let inner = Arc::new(Inner {
            lease: watch::Sender::new(lease),
            dispatcher: Mutex::new(Dispatcher::new(options.awake_max)),
            nudges: Mutex::default(),
            ends: Mutex::default(),
            keys: Keys::default(),
            voices: Voices::default(),
            calls: Semaphore::new(options.calls_in_flight_max),
            turns: Mutex::default(),
            notices: Arc::default(),
            lease_lost: Notify::new(),
            stopping: watch::Sender::new(false),
            hurrying: watch::Sender::new(false),
            abandoned: watch::Sender::new(false),
            world,
            options,
        });
        tokio::spawn(lease::keep(inner.clone()));
        tokio::spawn(claim::look_for_work(inner.clone()));
        Ok(Self { inner })
    }

    /// Accepts a run: it is durable when this returns. Where there is room it begins here at once. An input that is not
    /// what the workflow declares is refused, and nothing is kept.
    ///
    /// A key that its context brings (`api_key`) is taken out first of all: it stays in this process's memory, for this
    /// run and those it runs itself.
    pub async fn start(&self, mut start: Start) -> Result<(), Error> {
        let inner = &self.inner;
        let key = keys::take(&mut start.context);
        start.caller.own_key |= key.is_some();
        let workflow = inner.world.library.version(&start.bundle).await?;
        workflow.input.complete(&start.input)?;
        let started = Started {
            run: start.run.clone(),
            tenant: start.tenant.clone(),
            bundle: start.bundle.clone(),
            input: Arc::new(start.input),
            context: start.context,
            caller: start.caller,
            origin: baton_core::run::Origin::Caller,
        };
        let lease = *inner.lease.borrow();
        let payload: Arc<[u8]> = serde_json::to_vec(&Incoming::Start(Box::new(started)))?.into();
        // Where the key is, there the run stays, room or not. It has its place before the store is asked: should nobody hear
        // the answer, it is claimed.
        let held = Held::begin(inner, &start.run, key.is_some());
        let submit = Submit {
            aggregate: start.run.clone(),
            tenant: start.tenant.clone(),
            command_id: "start".to_owned(),
            payload: payload.clone(),
            at: inner.world.clock.now(),
            creates: Some(Create {
                kind: Kind::Run,
                workflow: start.workflow,
                parent: None,
                owner: held.as_ref().map(|_| lease.process),
            }),
        };
        let at = submit.at;
        let submitted = inner.world.journal.submit(submit).await;
        let is_owned = match &submitted {
            Ok(Submitted::Accepted { owned, .. }) => owned.is_some(),
            // Whether it is durable is not known.
            Err(journal::Error::Unwritable { .. }) => true,
            Ok(Submitted::Duplicate) | Err(_) => false,
        };
        let held = held.and_then(|mut held| {
            if !is_owned {
                held.is_gone();
            }
            is_owned.then_some(held)
        });
        let submitted = submitted?;
        if let (Submitted::Accepted { .. }, Some(key)) = (&submitted, key) {
            inner.keys.put(&start.tenant, &start.run, key);
        }
        match submitted {
            Submitted::Duplicate => Err(Error::Exists { run: start.run }),
            Submitted::Accepted { item, owned: Some(ownership), .. } => {
                // Nobody else owns what was created as somebody's here.
                let Some(held) = held else { return Ok(()) };
                let mut owner = Owner::fresh(start.run.clone(), start.tenant, ownership, lease.until);
                owner.know([(start.bundle, workflow)]);
                let first = InboxItem { item, command_id: "start".to_owned(), payload, at };
                task::spawn(held, owner, vec![first]);
                Ok(())
            }
            Submitted::Accepted { .. } => {
                inner.announce(&start.run);
                Ok(())
            }
        }
    }

    /// Accepts a run that begins where another's past was cut: it is durable when this returns.
    pub async fn fork(&self, fork: Fork) -> Result<(), Error> {
        let run = fork.forked.run.clone();
        let incoming = Incoming::Fork { past: fork.past, forked: Box::new(fork.forked) };
        let submit = Submit {
            aggregate: run.clone(),
            tenant: fork.tenant,
            command_id: "start".to_owned(),
            payload: serde_json::to_vec(&incoming)?.into(),
            at: self.inner.world.clock.now(),
            creates: Some(Create { kind: Kind::Run, workflow: fork.workflow, parent: None, owner: None }),
        };
        match self.inner.world.journal.submit(submit).await? {
            Submitted::Duplicate => Err(Error::Exists { run }),
            Submitted::Accepted { .. } => {
                self.inner.announce(&run);
                Ok(())
            }
        }
    }

    /// Puts something into a run's inbox: durable when this returns, and exactly once under its `command_id`.
    /// Returns the item's number, which [`Recorded`] names when it is consumed; `None` for a duplicate.
    pub async fn submit(
        &self,
        tenant: &TenantId,
        run: &RunId,
        command_id: &str,
        incoming: &Incoming,
    ) -> Result<Option<i64>, Error> {
        self.send(tenant, run, command_id, serde_json::to_vec(incoming)?.into(), None).await
    }

    /// As [`submit`](Self::submit), whatever the aggregate's kind, which takes the payload as its own; where it may be its
    /// first, with what brings it into being.
    pub async fn send(
        &self,
        tenant: &TenantId,
        aggregate: &AggregateId,
        command_id: &str,
        payload: Arc<[u8]>,
        creates: Option<Create>,
    ) -> Result<Option<i64>, Error> {
        let submit = Submit {
            aggregate: aggregate.clone(),
            tenant: tenant.clone(),
            command_id: command_id.to_owned(),
            payload,
            at: self.inner.world.clock.now(),
            creates,
        };
        match self.inner.world.journal.submit(submit).await? {
            Submitted::Duplicate => Ok(None),
            Submitted::Accepted { item, .. } => {
                self.inner.announce(aggregate);
                Ok(Some(item))
            }
        }
    }

    /// Gives this process the consumer's own key for a run, and lets go what waits for it. It stays in memory until the
    /// run ends. A run that another process moves at this moment does not get it: give it there.
    pub fn give_key(&self, tenant: &TenantId, run: &RunId, key: ApiKey) {
        self.inner.keys.put(tenant, run, key);
        self.inner.announce(run);
    }

    /// What is recorded of every run from now on, in order per run.
    pub fn watch(&self) -> broadcast::Receiver<Recorded> {
        self.inner.notices.watch_all()
    }

    /// What a run's models say from now on, part by part, as long as the run moves in this process. It is provisional: what
    /// they have said is recorded once it is whole.
    pub fn listen(&self, tenant: &TenantId, run: &RunId) -> broadcast::Receiver<Said> {
        self.inner.voices.listen(tenant, run)
    }

    /// What is recorded of the runs that it is told to watch.
    pub(crate) fn watch_some(&self) -> Watch {
        self.inner.notices.watch()
    }

    /// Tells when a run has ended, if it ends in this process. Ask before the run is started.
    pub fn end_of(&self, run: &RunId) -> oneshot::Receiver<State> {
        let (tell, told) = oneshot::channel();
        lock(&self.inner.ends).insert(run.clone(), tell);
        told
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.inner.world.clock
    }

    /// Its compiled versions.
    pub fn library(&self) -> &Library {
        &self.inner.world.library
    }

    /// Runs this process owns now.
    pub fn awake(&self) -> usize {
        lock(&self.inner.dispatcher).awake()
    }

    /// Whether this process owns the run now, or is about to.
    pub fn is_awake(&self, run: &RunId) -> bool {
        lock(&self.inner.dispatcher).is_awake(run)
    }

    /// Runs that this program cannot fold: their journals are damaged, or were written by a newer one. Each is tried again
    /// every few minutes, and nothing else is done with it.
    pub fn unreadable(&self) -> Vec<RunId> {
        lock(&self.inner.dispatcher).unreadable().cloned().collect()
    }

    /// Stops taking work, lets appends under way finish, waits a while for the answers of marked calls that are out, and
    /// gives every run back. It ends within [`Options::stop_within`], whatever a tool or the store does.
    ///
    /// # Errors
    /// [`Error::Unfinished`] where runs were still moving then, or where the store did not take back what this process owned:
    /// others take that over once the process is gone.
    pub async fn stop(&self) -> Result<(), Error> {
        self.stop_within(self.inner.options.stop_within).await
    }

    /// The same within less time.
    ///
    /// # Errors
    /// As [`stop`](Self::stop) has them.
    pub async fn stop_within(&self, within: Duration) -> Result<(), Error> {
        let (inner, begun) = (&self.inner, Instant::now());
        inner.stopping.send_replace(true);
        let (hand_over, grace) = (within.mul_f64(HAND_OVER), within.mul_f64(HAND_OVER * GRACE));
        if tokio::time::timeout(grace, self.rests()).await.is_err() {
            inner.hurrying.send_replace(true);
        }
        let moving = match tokio::time::timeout(hand_over.saturating_sub(begun.elapsed()), self.rests()).await {
            Ok(()) => Vec::new(),
            Err(_) => lock(&inner.dispatcher).busy().cloned().collect(),
        };
        inner.abandoned.send_replace(true);
        let process = inner.lease.borrow().process;
        let left = within.saturating_sub(begun.elapsed());
        let kept = match tokio::time::timeout(left, inner.world.journal.leave(process)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the store did not answer".to_owned()),
        };
        if moving.is_empty() && kept.is_none() {
            return Ok(());
        }
        let (count, named) = (moving.len(), moving.into_iter().take(NAMED_MAX).collect());
        Err(Error::Unfinished(Box::new(Unfinished { count, named, within, kept })))
    }

    /// Waits until nothing is being claimed or moved.
    async fn rests(&self) {
        let mut left = self.inner.stopping.subscribe();
        // Each tells by touching the flag as it leaves.
        while lock(&self.inner.dispatcher).awake() > 0 && left.changed().await.is_ok() {}
    }
}

impl Inner {
    /// Somebody says this run has something to do. Only a hint: the store knows.
    fn announce(self: &Arc<Self>, run: &RunId) -> Admission {
        if self.is_stopping() {
            return Admission::Later;
        }
        let admission = lock(&self.dispatcher).announce(run);
        match admission {
            Admission::Claim => self.claim(run.clone()),
            Admission::Nudge => {
                if let Some(nudge) = lock(&self.nudges).get(run) {
                    // A full channel means a nudge is waiting already.
                    let _ = nudge.try_send(());
                }
            }
            Admission::Later | Admission::Waits => {}
        }
        admission
    }

    /// Takes a run that has its place.
    fn claim(self: &Arc<Self>, run: RunId) {
        tokio::spawn(claim::claim(self.clone(), run));
    }

    /// A task is about to move a run: how it is nudged.
    fn woke(&self, run: &RunId) -> mpsc::Receiver<()> {
        let (nudge, nudged) = mpsc::channel(1);
        // Before anybody is told that it is awake, who would nudge it.
        lock(&self.nudges).insert(run.clone(), nudge.clone());
        if lock(&self.dispatcher).woke(run) {
            // A full channel means a nudge is waiting already.
            let _ = nudge.try_send(());
        }
        nudged
    }

    /// Nothing moves a run here any more.
    fn left(self: &Arc<Self>, run: &RunId, left: Left) {
        lock(&self.nudges).remove(run);
        let again = lock(&self.dispatcher).left(run, left, self.world.clock.steady());
        for run in again {
            self.announce(&run);
        }
        if *self.stopping.borrow() {
            self.stopping.send_replace(true);
        }
    }

    /// The turns of a tenant's agents: as many as its tier lets them have at once, in this process.
    fn turns(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let limit = self.world.roster.tier(tenant).limits.concurrency.min(Semaphore::MAX_PERMITS);
        let fresh = || (limit, Arc::new(Semaphore::new(limit)));
        let mut all = lock(&self.turns);
        let turns = all.entry(tenant.clone()).or_insert_with(fresh);
        // Its tier was changed; who has a turn of before keeps it.
        if turns.0 != limit {
            *turns = fresh();
        }
        turns.1.clone()
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// These locks guard short, panic-free sections; a poisoned one is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
