//! Following runs: what was recorded before, then what the engine records, folded and told as it comes.
//!
//! A run is followed with the runs it runs itself, since it cannot rest before they do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_core::id::{RunId, TenantId};
use baton_core::run::{Entry, Incoming, Open, Refusal, Run, State};
use baton_core::time::Time;
use baton_ports::read::Read;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::notices::{Recorded, Watch};
use crate::owner::versions_of;
use crate::{Engine, Error, Library};

/// A timer nearer than this is waited for, unless told otherwise.
const TIMER_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long what was put into the inbox of a run that is awake here may take to be taken out.
const TAKE_MAX: Duration = Duration::from_secs(10);
/// How long a run that is not awake here may leave an inbox item alone before another process is taken to move it.
const CLAIM_MAX: Duration = Duration::from_secs(1);
/// How often what no notice tells is looked at: whether a paused run still has something out.
const GLANCE: Duration = Duration::from_millis(50);
/// How often the store is asked about runs that are not awake here: another process may move them, and tells nobody.
const ELSEWHERE: Duration = Duration::from_millis(200);
/// Entries read at once.
const ENTRIES_PAGE: usize = 1_000;

/// Is told each entry of a followed run.
pub type Tell = Box<dyn FnMut(&RunId, &Entry) + Send>;

/// Folds what is recorded of some runs.
pub struct Follower {
    engine: Engine,
    read: Arc<dyn Read>,
    tenant: TenantId,
    watch: Watched,
    runs: BTreeMap<RunId, Followed>,
    /// A timer nearer than this is waited for; one farther off leaves a run resting.
    patience: Duration,
    tells: Option<Tell>,
    /// What was heard and is not folded yet: whoever waits may give up in between.
    heard: Option<Result<Recorded, RecvError>>,
    /// When runs that others may move were last read.
    looked: Instant,
}

/// Where a follower hears what is recorded.
enum Watched {
    /// Of the runs it follows.
    Some(Watch),
    /// Of every run: those that nobody named are followed too.
    All(Receiver<Recorded>),
}

/// A run as far as it is recorded.
#[derive(Default)]
pub struct Followed {
    pub run: Run,
    pub entries: Vec<Entry>,
}

/// What became of something put into an inbox.
pub enum Delivered {
    Taken,
    Refused(Refusal),
    /// It is durable, and nobody here has taken it: another process moves the run.
    Accepted,
}

/// What a follower was told.
enum News {
    Moved { run: RunId, items: Arc<[i64]> },
    Refused { run: RunId, item: i64, refusal: Refusal },
    Nothing,
}

impl Follower {
    /// Follows no run yet.
    pub fn new(engine: &Engine, read: Arc<dyn Read>, tenant: TenantId) -> Self {
        Self {
            watch: Watched::Some(engine.watch_some()),
            engine: engine.clone(),
            read,
            tenant,
            runs: BTreeMap::new(),
            patience: TIMER_WAIT_MAX,
            tells: None,
            heard: None,
            looked: Instant::now(),
        }
    }

    /// Follows every run that moves from now on.
    pub fn all(mut self) -> Self {
        self.watch = Watched::All(self.engine.watch());
        self
    }

    /// By a clock that is moved: what is due is waited for whoever else is asked, and what is not due never is.
    pub fn by_moved_clock(mut self) -> Self {
        self.patience = Duration::ZERO;
        self
    }

    /// Goes over to another engine on the same store, and reads what it recorded before it was watched.
    pub async fn move_to(&mut self, engine: &Engine) -> Result<(), Error> {
        self.watch = match self.watch {
            Watched::All(_) => Watched::All(engine.watch()),
            Watched::Some(_) => {
                let mut watch = engine.watch_some();
                self.runs.keys().for_each(|run| watch.add(run));
                Watched::Some(watch)
            }
        };
        self.engine = engine.clone();
        self.heard = None;
        self.catch_up_all().await
    }

    /// From here on each entry is told.
    pub fn tell(&mut self, tell: Option<Tell>) {
        self.tells = tell;
    }

    /// Begins to follow a run of which nothing is recorded yet: nothing is read, and nothing is missed once it begins.
    pub fn expect(&mut self, run: &RunId) {
        if let Watched::Some(watch) = &mut self.watch {
            watch.add(run);
        }
        self.runs.entry(run.clone()).or_default();
    }

    /// Begins to follow a run, from what is recorded of it.
    pub async fn follow(&mut self, run: &RunId) -> Result<(), Error> {
        // Watched first, then read: what is recorded between the two comes twice, and is folded once.
        self.expect(run);
        self.catch_up(run, 0).await
    }

    /// Begins to follow a run whose past is not told.
    pub async fn follow_silently(&mut self, run: &RunId) -> Result<(), Error> {
        let tells = self.tells.take();
        let followed = self.follow(run).await;
        self.tells = tells;
        followed
    }

    pub fn run(&self, run: &RunId) -> Option<&Run> {
        self.runs.get(run).map(|followed| &followed.run)
    }

    /// What is recorded of a run, as far as it was followed.
    pub fn entries(&self, run: &RunId) -> &[Entry] {
        self.runs.get(run).map(|followed| &*followed.entries).unwrap_or_default()
    }

    /// Ends following a run.
    pub fn leave(&mut self, run: &RunId) -> Option<Followed> {
        if let Watched::Some(watch) = &mut self.watch {
            watch.remove(run);
        }
        self.runs.remove(run)
    }

    /// What all followed runs wait for.
    pub fn open(&self) -> Vec<Open> {
        self.runs.iter().flat_map(|(id, followed)| Open::of(id, &followed.run)).collect()
    }

    /// Whether a run, and all it waits for, does nothing for a while unless somebody outside says something.
    pub fn rests(&self, id: &RunId) -> bool {
        let Some(followed) = self.runs.get(id).filter(|followed| followed.run.started().is_some()) else {
            return false;
        };
        self.rests_itself(id, followed) && followed.run.children().iter().all(|child| self.is_held_up_by(child))
    }

    /// The instant at which the next call of any followed run goes out by itself, where until then nothing happens.
    pub fn goes_on_at(&self) -> Option<Time> {
        let mut next: Option<Time> = None;
        for (id, followed) in &self.runs {
            match followed.run.goes_on_at() {
                Some(at) if at > self.engine.clock().now() => next = Some(next.map_or(at, |next| next.min(at))),
                Some(_) => return None,
                None if !self.rests_itself(id, followed) => return None,
                None => {}
            }
            let ended = |child: &RunId| self.runs.get(child).is_none_or(|child| child.run.state().is_end());
            if followed.run.children().iter().any(ended) {
                return None;
            }
        }
        next
    }

    /// Whether it rests, its children aside.
    fn rests_itself(&self, id: &RunId, followed: &Followed) -> bool {
        let run = &followed.run;
        let until = self.engine.clock().now() + self.patience;
        if run.state() == State::Paused {
            return !self.engine.is_awake(id) && run.wake_at(run.now()).is_none_or(|wake| wake > until);
        }
        let is_due = || run.wake_at(run.now()).is_some_and(|wake| wake <= until);
        run.is_at_rest(until) && (!self.patience.is_zero() || !is_due())
    }

    /// Whether a child keeps its parent waiting: one that has ended will be heard of.
    fn is_held_up_by(&self, child: &RunId) -> bool {
        self.runs.get(child).is_some_and(|followed| !followed.run.state().is_end()) && self.rests(child)
    }

    /// Until the run rests.
    pub async fn until_rest(&mut self, run: &RunId) -> Result<(), Error> {
        while !self.rests(run) {
            self.next(GLANCE).await?;
        }
        Ok(())
    }

    /// Until every followed run rests.
    pub async fn until_all_rest(&mut self) -> Result<(), Error> {
        while !self.runs.keys().all(|run| self.rests(run)) {
            self.next(GLANCE).await?;
        }
        Ok(())
    }

    /// Until something is recorded, or this long. May be given up: what was heard by then is folded next time.
    pub async fn glance(&mut self, limit: Duration) -> Result<Option<RunId>, Error> {
        match self.next(limit).await? {
            News::Moved { run, .. } => Ok(Some(run)),
            News::Refused { .. } | News::Nothing => Ok(None),
        }
    }

    /// Follows a run that was [expected](Self::expect) and accepted until it has begun.
    pub async fn follow_new(&mut self, run: &RunId) -> Result<Delivered, Error> {
        self.follow(run).await?;
        let until = Instant::now() + TAKE_MAX;
        while Instant::now() < until {
            if self.run(run).is_some_and(|run| run.started().is_some()) {
                return Ok(Delivered::Taken);
            }
            match self.next(GLANCE).await? {
                News::Refused { run: refused, refusal, .. } if refused == *run => {
                    return Ok(Delivered::Refused(refusal));
                }
                News::Moved { .. } | News::Refused { .. } | News::Nothing => {}
            }
        }
        Ok(Delivered::Accepted)
    }

    /// Puts something into a followed run's inbox under a name of its own, and waits until it is taken or refused.
    pub async fn deliver(&mut self, run: &RunId, incoming: &Incoming) -> Result<Delivered, Error> {
        let command = uuid::Uuid::now_v7().to_string();
        let before = self.run(run).cloned().unwrap_or_default();
        let delivered = self.deliver_as(&command, run, incoming, TAKE_MAX).await?;
        // Whoever moves it says no where nobody here hears it.
        Ok(match (delivered, refused_as_it_stood(before, incoming, self.engine.clock().now())) {
            (Delivered::Accepted, Some(refusal)) => Delivered::Refused(refusal),
            (delivered, _) => delivered,
        })
    }

    /// Puts something into a followed run's inbox under this `command_id`, once, and waits for so long until it is taken or
    /// refused: longer than [`CLAIM_MAX`] only where the run is awake here. What was delivered under it before is
    /// [`Delivered::Accepted`], whatever became of it.
    pub async fn deliver_as(
        &mut self,
        command: &str,
        run: &RunId,
        incoming: &Incoming,
        limit: Duration,
    ) -> Result<Delivered, Error> {
        let Some(item) = self.engine.submit(&self.tenant, run, command, incoming).await? else {
            return Ok(Delivered::Accepted);
        };
        let submitted = Instant::now();
        while submitted.elapsed() < limit.min(if self.engine.is_awake(run) { TAKE_MAX } else { CLAIM_MAX }) {
            match self.next(GLANCE).await? {
                News::Moved { run: moved, items } if moved == *run && items.contains(&item) => {
                    return Ok(Delivered::Taken);
                }
                News::Refused { item: refused, refusal, .. } if refused == item => {
                    return Ok(Delivered::Refused(refusal));
                }
                News::Moved { .. } | News::Refused { .. } | News::Nothing => {}
            }
        }
        Ok(Delivered::Accepted)
    }

    async fn next(&mut self, limit: Duration) -> Result<News, Error> {
        if self.looked.elapsed() >= ELSEWHERE {
            self.look_elsewhere().await?;
            self.looked = Instant::now();
        }
        if self.heard.is_none() {
            let Ok(heard) = tokio::time::timeout(limit, self.watch.recv()).await else { return Ok(News::Nothing) };
            self.heard = Some(heard);
        }
        let news = match self.heard.clone() {
            None | Some(Ok(Recorded::Plain { .. })) => News::Nothing,
            Some(Err(RecvError::Closed)) => return Err(Error::Stopped),
            Some(Err(RecvError::Lagged(_))) => {
                self.catch_up_all().await?;
                News::Nothing
            }
            Some(Ok(Recorded::Refused { run, item, refusal })) => News::Refused { run, item, refusal },
            Some(Ok(Recorded::Taken { run, items })) => News::Moved { run, items },
            Some(Ok(Recorded::Entry { run, seq, entry, items, .. })) => {
                self.take(&run, seq, &entry).await?;
                News::Moved { run, items }
            }
        };
        self.heard = None;
        Ok(news)
    }

    /// Folds a notice; what was missed before it is read from the store.
    async fn take(&mut self, run: &RunId, seq: u64, entry: &Entry) -> Result<(), Error> {
        let is_new = matches!(self.watch, Watched::All(_)) && !self.runs.contains_key(run);
        if is_new {
            self.runs.insert(run.clone(), Followed::default());
        }
        let Some(followed) = self.runs.get(run) else { return Ok(()) };
        let known = followed.entries.len() as u64;
        if seq == known + 1 {
            self.fold(run, entry.clone(), true).await?;
        } else if seq > known {
            // Of a run that was not followed before, what came before is no news.
            self.catch_up(run, if is_new { seq - 1 } else { 0 }).await?;
        }
        self.follow_children(run).await
    }

    /// Reads what other processes recorded of the followed runs that are under way and not awake here.
    async fn look_elsewhere(&mut self) -> Result<(), Error> {
        let is_elsewhere =
            |(id, followed): &(&RunId, &Followed)| !followed.run.state().is_end() && !self.engine.is_awake(id);
        let runs: Vec<RunId> = self.runs.iter().filter(is_elsewhere).map(|(id, _)| id.clone()).collect();
        for run in runs {
            self.catch_up(&run, 0).await?;
        }
        Ok(())
    }

    async fn catch_up_all(&mut self) -> Result<(), Error> {
        let runs: Vec<RunId> = self.runs.keys().cloned().collect();
        for run in runs {
            self.catch_up(&run, 0).await?;
        }
        Ok(())
    }

    /// Folds what is recorded of a run and of those it waits for; entries up to `untold` are not told.
    async fn catch_up(&mut self, run: &RunId, untold: u64) -> Result<(), Error> {
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

    async fn follow_children(&mut self, run: &RunId) -> Result<(), Error> {
        for child in self.runs.get(run).map(|followed| followed.run.children()).unwrap_or_default() {
            if !self.runs.contains_key(&child) {
                Box::pin(self.follow(&child)).await?;
            }
        }
        Ok(())
    }

    async fn fold(&mut self, id: &RunId, entry: Entry, is_news: bool) -> Result<(), Error> {
        let Some(followed) = self.runs.get_mut(id) else { return Ok(()) };
        followed.fold(self.engine.library(), entry).await?;
        if let (Some(tell), Some(entry), true) = (&mut self.tells, followed.entries.last(), is_news) {
            tell(id, entry);
        }
        Ok(())
    }
}

impl Watched {
    async fn recv(&mut self) -> Result<Recorded, RecvError> {
        match self {
            Self::Some(watch) => watch.recv().await,
            Self::All(watch) => watch.recv().await,
        }
    }
}

/// Why a run that stands so takes no such command.
fn refused_as_it_stood(mut run: Run, incoming: &Incoming, now: Time) -> Option<Refusal> {
    let workflow = run.workflow().cloned();
    let command = incoming.clone().into_command(|_| workflow.ok_or(Refusal::NotStarted));
    command.and_then(|command| run.decide(command, now)).err()
}

impl Followed {
    /// A run as the store has it, whole.
    pub async fn read(read: &dyn Read, library: &Library, tenant: &TenantId, id: &RunId) -> Result<Self, Error> {
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

    async fn fold(&mut self, library: &Library, entry: Entry) -> Result<(), Error> {
        for hash in versions_of(std::slice::from_ref(&entry), &[], None) {
            self.run.know(hash.clone(), library.version(&hash).await?);
        }
        self.run.fold(&entry);
        self.entries.push(entry);
        Ok(())
    }
}
