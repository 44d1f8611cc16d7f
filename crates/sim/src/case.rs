//! What a seed draws before anything moves: the workflow, the input, the processes, and what goes wrong when.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::bundle::Hash;
use baton_core::conversation::Version;
use baton_core::graph::Workflow;
use serde_json::{Value, json};

use crate::draw::{self, Catalog, Wishes};
use crate::rng::Rng;
use crate::services::Fate;
use crate::talks::{self, Talks};

/// Where on its way an effect, or whatever else a node does, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instant {
    /// It is decided, and its append is on the way.
    BeforeAppend,
    /// It is durable, and its owner does not know yet.
    AfterAppend,
    /// The world was asked.
    Sent,
    /// The world has acted or answered, and nobody here knows yet.
    Acted,
    /// The outcome is durable, and its owner knows.
    Recorded,
}

impl Instant {
    pub const ALL: [Self; 5] = [Self::BeforeAppend, Self::AfterAppend, Self::Sent, Self::Acted, Self::Recorded];

    pub fn word(self) -> &'static str {
        match self {
            Self::BeforeAppend => "before append",
            Self::AfterAppend => "after append",
            Self::Sent => "sent",
            Self::Acted => "acted",
            Self::Recorded => "recorded",
        }
    }
}

/// Something that goes wrong, or that somebody does at a bad time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process is killed; `noticed` says whether everybody can tell before its lease ends.
    Kill {
        noticed: bool,
    },
    /// It is killed in the middle of carrying out what a run asked for.
    KillMidway {
        after: u32,
    },
    /// A process stands still for so many seconds, and goes on as if nothing had happened.
    Freeze {
        seconds: u64,
        holds: bool,
    },
    FreezeMidway {
        after: u32,
    },
    /// A process stops in order.
    Leave,
    /// The store says that it could not write, and perhaps it did.
    FailWrite {
        committed: bool,
    },
    /// A write takes so many seconds.
    SlowWrite {
        seconds: u64,
    },
    /// So many of the next things that the store is asked, appends apart, get no answer; `done` says whether it did them.
    FailStore {
        calls: u32,
        done: bool,
    },
    /// Somebody sets a machine's clock, by so many seconds forward or back.
    SetClock {
        by: i64,
    },
    /// Hints to look into inboxes get lost for a while.
    LoseHints,
    /// What was submitted lately is submitted again.
    Duplicate,
    /// The answer to the next call comes twice.
    AnswerTwice,
    /// The next call meets this.
    Call(Fate),
    /// The next call is not let out at once.
    Block(Block),
    Pause,
    Cancel {
        compensate: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Block {
    RateLimit,
    Circuit,
    Approval,
    /// It is not let out any more, and will not be.
    Stopped,
}

impl Block {
    pub const ALL: [Self; 4] = [Self::RateLimit, Self::Circuit, Self::Approval, Self::Stopped];
}

/// A fault and the moment it waits for: the `nth` time that anything stands there.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub instant: Instant,
    pub nth: u32,
    pub fault: Fault,
}

/// Everything a seed decides beforehand.
#[derive(Debug)]
pub struct Case {
    pub seed: u64,
    pub drawing: Arc<Drawing>,
    pub input: Value,
    /// Nothing but kills goes wrong.
    pub kills_only: bool,
    pub processes: usize,
    pub runs: u32,
    pub plan: Vec<Planned>,
    /// Of a hundred calls, how many meet a fate while the storm lasts.
    pub fates: u64,
    /// Of a hundred answers of people, how many are late, double or wrong.
    pub people: u64,
    pub snapshot_entries: u64,
    /// Whether what ended may be reopened: rolled back, retried.
    pub reopens: bool,
    /// Conversations beside the runs, in some seeds.
    pub talks: Option<Talks>,
}

/// The least faults a seed plans.
const FAULTS_MIN: u64 = 3;
const FAULTS_MAX: u64 = 7;

/// Seeds that share a workflow: each disturbs it in its own way. Compiling one costs as much as running it.
const SEEDS_PER_WORKFLOW: u64 = 4;

/// A workflow and all it runs.
#[derive(Debug)]
pub struct Drawing {
    of: u64,
    pub versions: BTreeMap<Hash, Arc<Workflow>>,
    /// Outermost last, for people.
    pub definitions: Vec<Value>,
    pub root: Hash,
    pub wishes: Wishes,
    /// What its conversations run on; none where there are no conversations.
    pub talks: Vec<Version>,
}

/// Whether a seed has conversations beside its runs.
pub fn has_talks(seed: u64) -> bool {
    let of = seed / SEEDS_PER_WORKFLOW;
    !wishes(&mut Rng::new(of ^ WORKFLOW_SALT)).confluent && Rng::new(of ^ TALKS_SALT).chance(TALKS)
}

fn wishes(rng: &mut Rng) -> Wishes {
    Wishes { confluent: rng.chance(20) }
}

/// Draws cases one after another; what two share is drawn once.
#[derive(Debug)]
pub struct Deck {
    pub catalog: Catalog,
    last: Option<Arc<Drawing>>,
}

impl Deck {
    pub fn new() -> Result<Self, serde_json::Error> {
        Ok(Self { catalog: Catalog::new()?, last: None })
    }

    pub fn case(&mut self, seed: u64) -> Result<Case, String> {
        let of = seed / SEEDS_PER_WORKFLOW;
        let drawing = match self.last.take().filter(|last| last.of == of) {
            Some(drawing) => drawing,
            None => Arc::new(Drawing::new(of, &self.catalog)?),
        };
        self.last = Some(drawing.clone());
        Ok(Case::of(seed, drawing))
    }
}

impl Drawing {
    fn new(of: u64, catalog: &Catalog) -> Result<Self, String> {
        let mut rng = Rng::new(of ^ WORKFLOW_SALT);
        let wishes = wishes(&mut rng);
        let drawn = draw::draw(&mut rng, catalog, wishes)?;
        let root = drawn.last().map(|drawn| drawn.hash.clone()).ok_or("nothing was drawn")?;
        let definitions = drawn.iter().map(|drawn| drawn.definition.clone()).collect();
        let versions = drawn.into_iter().map(|drawn| (drawn.hash, Arc::new(drawn.workflow))).collect();
        let mut drawing = Self { of, versions, definitions, root, wishes, talks: Vec::new() };
        drawing.draw_talks(catalog)?;
        Ok(drawing)
    }

    /// Some have conversations too: by numbers of their own, so that everything else is drawn as it was.
    fn draw_talks(&mut self, catalog: &Catalog) -> Result<(), String> {
        let mut rng = Rng::new(self.of ^ TALKS_SALT);
        if self.wishes.confluent || !rng.chance(TALKS) {
            return Ok(());
        }
        let hil = talks::hil(&mut rng);
        for number in 0..rng.between(1, 2) {
            let name = format!("talk{number}");
            let drawn = draw::draw_talk(&mut rng, catalog, &name)?;
            self.talks.push(Version { workflow: name, bundle: drawn.hash.clone(), hil: hil.clone() });
            self.definitions.insert(0, drawn.definition);
            self.versions.insert(drawn.hash, Arc::new(drawn.workflow));
        }
        Ok(())
    }
}

impl Drawing {
    /// Workflows that somebody wrote, to be run by a script.
    pub fn written(versions: BTreeMap<Hash, Arc<Workflow>>, root: Hash) -> Self {
        Self { of: 0, versions, definitions: Vec::new(), root, wishes: Wishes::default(), talks: Vec::new() }
    }
}

/// Keeps a workflow's numbers apart from those of the seed with the same number.
const WORKFLOW_SALT: u64 = 0x6b8f_1c3a_92d4_e705;
/// Keeps what is drawn of conversations apart from everything else.
const TALKS_SALT: u64 = 0x2d51_e08b_77c6_4a39;
/// Of a hundred workflows whose runs may end in several ways, how many have conversations beside their runs.
const TALKS: u64 = 12;
/// Keeps what is drawn of clocks and the store apart from everything else.
const CLOCKS_SALT: u64 = 0x71c3_9e0d_5b28_f4a6;
/// Of a hundred seeds in which anything goes wrong, in how many clocks are set and the store fails.
const CLOCKS: u64 = 40;
/// Such faults that a seed plans.
const CLOCKS_FAULTS_MAX: u64 = 5;
const DAY: i64 = 24 * 3_600;
/// Faults that a seed with conversations plans beyond the others.
const TALKS_FAULTS_MAX: u64 = 8;

impl Case {
    fn of(seed: u64, drawing: Arc<Drawing>) -> Self {
        let mut rng = Rng::new(seed);
        // A confluent workflow is drawn to be compared with its undisturbed self, which only kills allow.
        let kills_only = drawing.wishes.confluent;
        let case = Self {
            seed,
            drawing,
            input: json!({ "n": rng.below(10) }),
            kills_only,
            processes: usize::try_from(rng.between(2, 3)).unwrap_or(2),
            runs: u32::try_from(rng.between(1, 2)).unwrap_or(1),
            plan: plan(&mut rng, kills_only),
            fates: if kills_only { 0 } else { *rng.pick(&[0, 5, 15, 30]) },
            people: if kills_only { 0 } else { *rng.pick(&[0, 20, 50]) },
            snapshot_entries: *rng.pick(&[2, 3, 5, 8, 128]),
            reopens: !kills_only && rng.chance(50),
            talks: None,
        };
        case.with_talks().with_clocks()
    }

    /// Some have clocks that are set, and a store that fails in what is no append: by numbers of their own.
    fn with_clocks(mut self) -> Self {
        let mut rng = Rng::new(self.seed ^ CLOCKS_SALT);
        if self.kills_only || !rng.chance(CLOCKS) {
            return self;
        }
        for _ in 0..rng.between(1, CLOCKS_FAULTS_MAX) {
            let nth = u32::try_from(rng.between(1, 40)).unwrap_or(1);
            let by = *rng.pick(&[1, 60, 3_600, DAY, 30 * DAY]) * if rng.chance(50) { 1 } else { -1 };
            let calls = u32::try_from(rng.between(1, 8)).unwrap_or(1);
            let fails = Fault::FailStore { calls, done: rng.chance(50) };
            let fault = *rng.pick(&[fails, Fault::SetClock { by }]);
            self.plan.push(Planned { instant: *rng.pick(&Instant::ALL), nth, fault });
        }
        self
    }

    fn with_talks(mut self) -> Self {
        if self.drawing.talks.is_empty() {
            return self;
        }
        let mut rng = Rng::new(self.seed ^ TALKS_SALT);
        self.talks = Some(Talks::draw(&mut rng, &self.drawing.talks));
        let instants = [Instant::BeforeAppend, Instant::AfterAppend, Instant::Recorded];
        for _ in 0..rng.below(TALKS_FAULTS_MAX) {
            let nth = u32::try_from(rng.between(1, 90)).unwrap_or(1);
            self.plan.push(Planned { instant: *rng.pick(&instants), nth, fault: fault(&mut rng, false) });
        }
        self
    }
}

impl Case {
    /// One run of a written workflow, in which nothing goes wrong by chance; a seed chooses only how long things take.
    pub fn written(seed: u64, drawing: Arc<Drawing>, input: Value) -> Self {
        Self {
            seed,
            drawing,
            input,
            kills_only: false,
            processes: 2,
            runs: 1,
            plan: Vec::new(),
            fates: 0,
            people: 0,
            snapshot_entries: *Rng::new(seed).pick(&[2, 5, 128]),
            reopens: false,
            talks: None,
        }
    }
}

fn plan(rng: &mut Rng, kills_only: bool) -> Vec<Planned> {
    let count = rng.between(FAULTS_MIN, FAULTS_MAX);
    let one = |_| {
        let instant = *rng.pick(&Instant::ALL);
        let nth = u32::try_from(rng.between(1, *rng.clone().pick(&[4, 12, 30]))).unwrap_or(1);
        Planned { instant, nth, fault: fault(rng, kills_only) }
    };
    (0..count).map(one).collect()
}

fn fault(rng: &mut Rng, kills_only: bool) -> Fault {
    let kill = Fault::Kill { noticed: rng.chance(50) };
    let midway = Fault::KillMidway { after: u32::try_from(rng.below(3)).unwrap_or(0) };
    if kills_only {
        return *rng.pick(&[kill, kill, midway]);
    }
    let seconds = *rng.pick(&[2, 20, 60, 100]);
    let fates = [
        Fate::Slow,
        Fate::Refused,
        Fate::Declined,
        Fate::AnswerLost,
        Fate::RequestLost,
        Fate::Late,
        Fate::Late,
        Fate::Garbled,
    ];
    let block = *rng.pick(&Block::ALL);
    rng.clone().weighted(&[
        (4, kill),
        (2, midway),
        (4, Fault::Freeze { seconds, holds: seconds.is_multiple_of(20) }),
        (1, Fault::FreezeMidway { after: 1 }),
        (1, Fault::Leave),
        (3, Fault::FailWrite { committed: seconds > 20 }),
        (2, Fault::SlowWrite { seconds }),
        (2, Fault::LoseHints),
        (2, Fault::Duplicate),
        (1, Fault::AnswerTwice),
        (5, Fault::Call(*rng.pick(&fates))),
        (2, Fault::Block(block)),
        (3, Fault::Pause),
        (3, Fault::Cancel { compensate: seconds > 2 }),
    ])
}
