//! Follows runs: reads what was recorded before, then folds and reports what the engine records.
//!
//! A run is followed together with its child runs, since it cannot become idle before they do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::id::{RunId, TenantId};
use baton_core::run::{IncomingCommand, OpenWait, Run, RunEntry, RunRefusal, RunState};
use baton_core::time::Time;
use baton_ports::read::ReadModel;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::event_bus::{Notification, RunSubscription};
use crate::owner::versions_of;
use crate::{Engine, EngineError, WorkflowCache};

/// Default for the longest timer that is waited for.
const TIMER_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long an inbox item of a run that is awake here may take to be consumed.
const CONSUME_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a run that is not awake here may leave an inbox item untouched before it is assumed that another process
/// moves the run.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(1);
/// Poll interval for what no notification reports, such as whether a paused run still has calls in flight.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Poll interval of the store for runs that are not awake here: another process may move them, and sends no
/// notification.
const REMOTE_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Entries per read.
const ENTRIES_PAGE: usize = 1_000;

/// Called with each entry of a followed run.
pub type EntryCallback = Box<dyn FnMut(&RunId, &RunEntry) + Send>;

/// Folds what is recorded of some runs.
pub struct RunFollower {
    engine: Engine,
    read: Arc<dyn ReadModel>,
    tenant: TenantId,
    source: FollowSource,
    runs: BTreeMap<RunId, FollowedRun>,
    /// A timer nearer than this is waited for; a run with a later timer counts as idle.
    timer_wait_max: Duration,
    callback: Option<EntryCallback>,
    /// A notification that was received but not folded yet: the caller may cancel its wait in between.
    unhandled: Option<Result<Notification, RecvError>>,
    /// When runs that other processes may move were last read.
    polled_at: Instant,
}

/// Where a follower receives notifications from.
enum FollowSource {
    /// The runs that it follows.
    Some(RunSubscription),
    /// Every run: new runs are followed too.
    All(Receiver<Notification>),
}

/// A run, as far as it is recorded.
#[derive(Default)]
pub struct FollowedRun {
    pub run: Run,
    pub entries: Vec<RunEntry>,
}

/// The result of delivering a command to an inbox.
pub enum DeliveryResult {
    Applied,
    Refused(RunRefusal),
    /// The command is durable, but this process did not consume it: another process moves the run.
    Accepted,
}

/// An event that a follower received.
enum FollowEvent {
    Moved { run: RunId, items: Arc<[i64]> },
    Refused { run: RunId, item: i64, refusal: RunRefusal },
    Nothing,
}

impl RunFollower {
    /// Follows no run yet.
    pub fn new(engine: &Engine, read: Arc<dyn ReadModel>, tenant: TenantId) -> Self {
        Self {
            source: FollowSource::Some(engine.subscribe_runs()),
            engine: engine.clone(),
            read,
            tenant,
            runs: BTreeMap::new(),
            timer_wait_max: TIMER_WAIT_MAX,
            callback: None,
            unhandled: None,
            polled_at: Instant::now(),
        }
    }

    /// Follows every run that moves from now on.
    pub fn follow_all(mut self) -> Self {
        self.source = FollowSource::All(self.engine.subscribe());
        self
    }

    /// For a clock that is advanced by hand: a due timer is always waited for, even if the run also waits for something
    /// else; a timer that is not due is never waited for.
    pub fn with_manual_clock(mut self) -> Self {
        self.timer_wait_max = Duration::ZERO;
        self
    }

    /// Switches to another engine on the same store, and reads what it recorded before the subscription.
    pub async fn switch_engine(&mut self, engine: &Engine) -> Result<(), EngineError> {
        self.source = match self.source {
            FollowSource::All(_) => FollowSource::All(engine.subscribe()),
            FollowSource::Some(_) => {
                let mut watch = engine.subscribe_runs();
                self.runs.keys().for_each(|run| watch.add(run));
                FollowSource::Some(watch)
            }
        };
        self.engine = engine.clone();
        self.unhandled = None;
        self.catch_up_all().await
    }

    /// From now on the callback is called with each entry.
    pub fn set_callback(&mut self, tell: Option<EntryCallback>) {
        self.callback = tell;
    }

    /// Starts to follow a run of which nothing is recorded yet: nothing is read, and nothing is missed once it starts.
    pub fn expect(&mut self, run: &RunId) {
        if let FollowSource::Some(watch) = &mut self.source {
            watch.add(run);
        }
        self.runs.entry(run.clone()).or_default();
    }

    /// Starts to follow a run, from what is recorded of it.
    pub async fn follow(&mut self, run: &RunId) -> Result<(), EngineError> {
        // Subscribe first, then read: an entry recorded in between arrives twice, and is folded once.
        self.expect(run);
        self.catch_up(run, 0).await
    }

    /// Starts to follow a run without reporting its past to the callback.
    pub async fn follow_silently(&mut self, run: &RunId) -> Result<(), EngineError> {
        let tells = self.callback.take();
        let followed = self.follow(run).await;
        self.callback = tells;
        followed
    }

    pub fn run(&self, run: &RunId) -> Option<&Run> {
        self.runs.get(run).map(|followed| &followed.run)
    }

    /// The recorded entries of a run, as far as it was followed.
    pub fn entries(&self, run: &RunId) -> &[RunEntry] {
        self.runs.get(run).map(|followed| &*followed.entries).unwrap_or_default()
    }

    /// Stops following a run.
    pub fn unfollow(&mut self, run: &RunId) -> Option<FollowedRun> {
        if let FollowSource::Some(watch) = &mut self.source {
            watch.remove(run);
        }
        self.runs.remove(run)
    }

    /// What all followed runs wait for.
    pub fn open_waits(&self) -> Vec<OpenWait> {
        self.runs.iter().flat_map(|(id, followed)| OpenWait::of(id, &followed.run)).collect()
    }

    /// Whether a run, and everything it waits for, stays as it is until input from outside arrives or a distant timer
    /// is due.
    pub fn is_idle(&self, id: &RunId) -> bool {
        let Some(followed) = self.runs.get(id).filter(|followed| followed.run.started().is_some()) else {
            return false;
        };
        self.is_idle_alone(id, followed) && followed.run.children().iter().all(|child| self.waits_for_child(child))
    }

    /// When the next call of any followed run is sent without outside input, if nothing else happens until then.
    pub fn next_call_at(&self) -> Option<Time> {
        let mut next: Option<Time> = None;
        for (id, followed) in &self.runs {
            match followed.run.next_send_at() {
                Some(at) if at > self.engine.clock().now() => next = Some(next.map_or(at, |next| next.min(at))),
                Some(_) => return None,
                None if !self.is_idle_alone(id, followed) => return None,
                None => {}
            }
            let ended = |child: &RunId| self.runs.get(child).is_none_or(|child| child.run.state().is_end());
            if followed.run.children().iter().any(ended) {
                return None;
            }
        }
        next
    }

    /// Whether the run is idle, apart from its children.
    fn is_idle_alone(&self, id: &RunId, followed: &FollowedRun) -> bool {
        let run = &followed.run;
        let until = self.engine.clock().now() + self.timer_wait_max;
        if run.state() == RunState::Paused {
            return !self.engine.is_awake(id) && run.wake_at(run.now()).is_none_or(|wake| wake > until);
        }
        let is_due = || run.wake_at(run.now()).is_some_and(|wake| wake <= until);
        run.is_idle_until(until) && (!self.timer_wait_max.is_zero() || !is_due())
    }

    /// Whether a child keeps its parent waiting; the end of a child that has ended is still to be reported.
    fn waits_for_child(&self, child: &RunId) -> bool {
        self.runs.get(child).is_some_and(|followed| !followed.run.state().is_end()) && self.is_idle(child)
    }

    /// Waits until the run is idle.
    pub async fn wait_idle(&mut self, run: &RunId) -> Result<(), EngineError> {
        while !self.is_idle(run) {
            self.next(POLL_INTERVAL).await?;
        }
        Ok(())
    }

    /// Waits until every followed run is idle.
    pub async fn wait_all_idle(&mut self) -> Result<(), EngineError> {
        while !self.runs.keys().all(|run| self.is_idle(run)) {
            self.next(POLL_INTERVAL).await?;
        }
        Ok(())
    }

    /// Waits until something is recorded, or until `limit` has passed. Cancel-safe: what was received by then is folded
    /// next time.
    pub async fn wait_for_change(&mut self, limit: Duration) -> Result<Option<RunId>, EngineError> {
        match self.next(limit).await? {
            FollowEvent::Moved { run, .. } => Ok(Some(run)),
            FollowEvent::Refused { .. } | FollowEvent::Nothing => Ok(None),
        }
    }

    /// Follows a run that was [expected](Self::expect) and accepted until it has started.
    pub async fn follow_new(&mut self, run: &RunId) -> Result<DeliveryResult, EngineError> {
        self.follow(run).await?;
        let until = Instant::now() + CONSUME_TIMEOUT;
        while Instant::now() < until {
            if self.run(run).is_some_and(|run| run.started().is_some()) {
                return Ok(DeliveryResult::Applied);
            }
            match self.next(POLL_INTERVAL).await? {
                FollowEvent::Refused { run: refused, refusal, .. } if refused == *run => {
                    return Ok(DeliveryResult::Refused(refusal));
                }
                FollowEvent::Moved { .. } | FollowEvent::Refused { .. } | FollowEvent::Nothing => {}
            }
        }
        Ok(DeliveryResult::Accepted)
    }

    /// Delivers a command to a followed run's inbox under a new id, and waits until it is accepted or refused.
    pub async fn deliver(&mut self, run: &RunId, incoming: &IncomingCommand) -> Result<DeliveryResult, EngineError> {
        let command = uuid::Uuid::now_v7().to_string();
        let before = self.run(run).cloned().unwrap_or_default();
        let delivered = self.deliver_as(&command, run, incoming, CONSUME_TIMEOUT).await?;
        // If another process moves the run, no refusal is reported here.
        Ok(match (delivered, refusal_in_state(before, incoming, self.engine.clock().now())) {
            (DeliveryResult::Accepted, Some(refusal)) => DeliveryResult::Refused(refusal),
            (delivered, _) => delivered,
        })
    }

    /// Delivers a command to a followed run's inbox once under this `command_id`, and waits for the given time until it
    /// is accepted or refused: longer than [`CLAIM_TIMEOUT`] only if the run is awake here. A command that was
    /// delivered before under this id returns [`DeliveryResult::Accepted`], whatever became of it.
    pub async fn deliver_as(
        &mut self,
        command: &str,
        run: &RunId,
        incoming: &IncomingCommand,
        limit: Duration,
    ) -> Result<DeliveryResult, EngineError> {
        let Some(item) = self.engine.submit(&self.tenant, run, command, incoming).await? else {
            return Ok(DeliveryResult::Accepted);
        };
        let submitted = Instant::now();
        while submitted.elapsed() < limit.min(if self.engine.is_awake(run) { CONSUME_TIMEOUT } else { CLAIM_TIMEOUT }) {
            match self.next(POLL_INTERVAL).await? {
                FollowEvent::Moved { run: moved, items } if moved == *run && items.contains(&item) => {
                    return Ok(DeliveryResult::Applied);
                }
                FollowEvent::Refused { item: refused, refusal, .. } if refused == item => {
                    return Ok(DeliveryResult::Refused(refusal));
                }
                FollowEvent::Moved { .. } | FollowEvent::Refused { .. } | FollowEvent::Nothing => {}
            }
        }
        Ok(DeliveryResult::Accepted)
    }

    async fn next(&mut self, limit: Duration) -> Result<FollowEvent, EngineError> {
        if self.polled_at.elapsed() >= REMOTE_POLL_INTERVAL {
            self.poll_other_processes().await?;
            self.polled_at = Instant::now();
        }
        if self.unhandled.is_none() {
            let Ok(heard) = tokio::time::timeout(limit, self.source.recv()).await else {
                return Ok(FollowEvent::Nothing);
            };
            self.unhandled = Some(heard);
        }
        let news = match self.unhandled.clone() {
            None | Some(Ok(Notification::Aggregate { .. })) => FollowEvent::Nothing,
            Some(Err(RecvError::Closed)) => return Err(EngineError::Stopped),
            Some(Err(RecvError::Lagged(_))) => {
                self.catch_up_all().await?;
                FollowEvent::Nothing
            }
            Some(Ok(Notification::Refused { run, item, refusal })) => FollowEvent::Refused { run, item, refusal },
            Some(Ok(Notification::Consumed { run, items })) => FollowEvent::Moved { run, items },
            Some(Ok(Notification::Entry { run, seq, entry, items, .. })) => {
                self.take(&run, seq, &entry).await?;
                FollowEvent::Moved { run, items }
            }
        };
        self.unhandled = None;
        Ok(news)
    }

    /// Folds a notification; entries missed before it are read from the store.
    async fn take(&mut self, run: &RunId, seq: u64, entry: &RunEntry) -> Result<(), EngineError> {
        let is_new = matches!(self.source, FollowSource::All(_)) && !self.runs.contains_key(run);
        if is_new {
            self.runs.insert(run.clone(), FollowedRun::default());
        }
        let Some(followed) = self.runs.get(run) else { return Ok(()) };
        let known = followed.entries.len() as u64;
        if seq == known + 1 {
            self.fold(run, entry.clone(), true).await?;
        } else if seq > known {
            // For a run that was not followed before, earlier entries are not reported.
            self.catch_up(run, if is_new { seq - 1 } else { 0 }).await?;
        }
        self.follow_children(run).await
    }

    /// Reads what other processes recorded of followed runs that are active and not awake here.
    async fn poll_other_processes(&mut self) -> Result<(), EngineError> {
        let is_elsewhere =
            |(id, followed): &(&RunId, &FollowedRun)| !followed.run.state().is_end() && !self.engine.is_awake(id);
        let runs: Vec<RunId> = self.runs.iter().filter(is_elsewhere).map(|(id, _)| id.clone()).collect();
        for run in runs {
            self.catch_up(&run, 0).await?;
        }
        Ok(())
    }

    async fn catch_up_all(&mut self) -> Result<(), EngineError> {
        let runs: Vec<RunId> = self.runs.keys().cloned().collect();
        for run in runs {
            self.catch_up(&run, 0).await?;
        }
        Ok(())
    }

    /// Folds what is recorded of a run and of the runs it waits for; entries up to `untold` are not reported.
    async fn catch_up(&mut self, run: &RunId, untold: u64) -> Result<(), EngineError> {
        loop {
            let after = self.runs.get(run).map_or(0, |followed| followed.entries.len() as u64);
            let more = self.read.entries(&self.tenant, run, after, ENTRIES_PAGE).await?;
            if more.is_empty() {
                break;
            }
            for (place, entry) in more.into_iter().enumerate() {
                let entry = crate::decode(&entry)?;
                self.fold(run, entry, after + place as u64 >= untold).await?;
            }
        }
        self.follow_children(run).await
    }

    async fn follow_children(&mut self, run: &RunId) -> Result<(), EngineError> {
        for child in self.runs.get(run).map(|followed| followed.run.children()).unwrap_or_default() {
            if !self.runs.contains_key(&child) {
                Box::pin(self.follow(&child)).await?;
            }
        }
        Ok(())
    }

    async fn fold(&mut self, id: &RunId, entry: RunEntry, is_news: bool) -> Result<(), EngineError> {
        let Some(followed) = self.runs.get_mut(id) else { return Ok(()) };
        followed.fold(self.engine.workflows(), entry).await?;
        if let (Some(tell), Some(entry), true) = (&mut self.callback, followed.entries.last(), is_news) {
            tell(id, entry);
        }
        Ok(())
    }
}

impl FollowSource {
    async fn recv(&mut self) -> Result<Notification, RecvError> {
        match self {
            Self::Some(watch) => watch.recv().await,
            Self::All(watch) => watch.recv().await,
        }
    }
}

/// Why a run in this state refuses the command.
fn refusal_in_state(mut run: Run, incoming: &IncomingCommand, now: Time) -> Option<RunRefusal> {
    let workflow = run.workflow().cloned();
    let command = incoming.clone().into_command(|_| workflow.ok_or(RunRefusal::NotStarted));
    command.and_then(|command| run.decide(command, now)).err()
}

impl FollowedRun {
    /// Reads a whole run from the store.
    pub async fn read(
        read: &dyn ReadModel,
        library: &WorkflowCache,
        tenant: &TenantId,
        id: &RunId,
    ) -> Result<Self, EngineError> {
        let mut followed = Self::default();
        loop {
            let more = read.entries(tenant, id, followed.entries.len() as u64, ENTRIES_PAGE).await?;
            if more.is_empty() {
                return Ok(followed);
            }
            for entry in more {
                let entry = crate::decode(&entry)?;
                followed.fold(library, entry).await?;
            }
        }
    }

    async fn fold(&mut self, library: &WorkflowCache, entry: RunEntry) -> Result<(), EngineError> {
        for hash in versions_of(std::slice::from_ref(&entry), &[], None) {
            self.run.add_version(hash.clone(), library.version(&hash).await?);
        }
        self.run.fold(&entry);
        self.entries.push(entry);
        Ok(())
    }
}
