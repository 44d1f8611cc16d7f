//! What a seed draws before anything moves: the workflow, the input, the processes, and what goes wrong when.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::bundle::ContentHash;
use baton_core::conversation::PinnedVersion;
use baton_core::graph::Workflow;
use serde_json::{Value, json};

use crate::conversation_plan::{self, ConversationPlan};
use crate::draw::{self, DrawConstraints, SimCatalog};
use crate::rng::SeededRng;
use crate::services::RequestFate;

/// Where on its way an effect, or whatever else a node does, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultPoint {
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

impl FaultPoint {
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
pub enum SimFault {
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
    Call(RequestFate),
    /// The next call is not let out at once.
    Block(SimCallBlock),
    Pause,
    Cancel {
        compensate: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SimCallBlock {
    RateLimit,
    Circuit,
    Approval,
    /// It is not let out any more, and will not be.
    Stopped,
}

impl SimCallBlock {
    pub const ALL: [Self; 4] = [Self::RateLimit, Self::Circuit, Self::Approval, Self::Stopped];
}

/// A fault and the moment it waits for: the `nth` time that anything stands there.
#[derive(Clone, Copy, Debug)]
pub struct PlannedFault {
    pub point: FaultPoint,
    pub nth: u32,
    pub fault: SimFault,
}

/// Everything a seed decides beforehand.
#[derive(Debug)]
pub struct SimCase {
    pub seed: u64,
    pub workflows: Arc<WorkflowSet>,
    pub input: Value,
    /// Nothing but kills goes wrong.
    pub kills_only: bool,
    pub processes: usize,
    pub runs: u32,
    pub plan: Vec<PlannedFault>,
    /// Of a hundred calls, how many meet a fate while the storm lasts.
    pub fate_percent: u64,
    /// Of a hundred answers of people, how many are late, double or wrong.
    pub mistake_percent: u64,
    pub snapshot_entries: u64,
    /// Whether what ended may be reopened: rolled back, retried.
    pub reopens: bool,
    /// Conversations beside the runs, in some seeds.
    pub conversations: Option<ConversationPlan>,
}

/// The least faults a seed plans.
const FAULTS_MIN: u64 = 3;
const FAULTS_MAX: u64 = 7;

/// Seeds that share a workflow: each disturbs it in its own way. Compiling one costs as much as running it.
const SEEDS_PER_WORKFLOW: u64 = 4;

/// A workflow and all it runs.
#[derive(Debug)]
pub struct WorkflowSet {
    group: u64,
    pub versions: BTreeMap<ContentHash, Arc<Workflow>>,
    /// Outermost last, for people.
    pub definitions: Vec<Value>,
    pub root: ContentHash,
    pub constraints: DrawConstraints,
    /// What its conversations run on; none where there are no conversations.
    pub conversation_versions: Vec<PinnedVersion>,
}

/// Whether a seed has conversations beside its runs.
pub fn has_conversations(seed: u64) -> bool {
    let of = seed / SEEDS_PER_WORKFLOW;
    !draw_constraints(&mut SeededRng::new(of ^ WORKFLOW_SALT)).confluent
        && SeededRng::new(of ^ CONVERSATIONS_SALT).chance(CONVERSATIONS_PERCENT)
}

fn draw_constraints(rng: &mut SeededRng) -> DrawConstraints {
    DrawConstraints { confluent: rng.chance(20) }
}

/// Draws cases one after another; what two share is drawn once.
#[derive(Debug)]
pub struct CaseGenerator {
    pub catalog: SimCatalog,
    last: Option<Arc<WorkflowSet>>,
}

impl CaseGenerator {
    pub fn new() -> Result<Self, serde_json::Error> {
        Ok(Self { catalog: SimCatalog::new()?, last: None })
    }

    pub fn case(&mut self, seed: u64) -> Result<SimCase, String> {
        let of = seed / SEEDS_PER_WORKFLOW;
        let drawing = match self.last.take().filter(|last| last.group == of) {
            Some(drawing) => drawing,
            None => Arc::new(WorkflowSet::new(of, &self.catalog)?),
        };
        self.last = Some(drawing.clone());
        Ok(SimCase::of(seed, drawing))
    }
}

impl WorkflowSet {
    fn new(of: u64, catalog: &SimCatalog) -> Result<Self, String> {
        let mut rng = SeededRng::new(of ^ WORKFLOW_SALT);
        let wishes = draw_constraints(&mut rng);
        let drawn = draw::draw(&mut rng, catalog, wishes)?;
        let root = drawn.last().map(|drawn| drawn.hash.clone()).ok_or("nothing was drawn")?;
        let definitions = drawn.iter().map(|drawn| drawn.definition.clone()).collect();
        let versions = drawn.into_iter().map(|drawn| (drawn.hash, Arc::new(drawn.workflow))).collect();
        let mut drawing =
            Self { group: of, versions, definitions, root, constraints: wishes, conversation_versions: Vec::new() };
        drawing.draw_conversations(catalog)?;
        Ok(drawing)
    }

    /// Some have conversations too: by numbers of their own, so that everything else is drawn as it was.
    fn draw_conversations(&mut self, catalog: &SimCatalog) -> Result<(), String> {
        let mut rng = SeededRng::new(self.group ^ CONVERSATIONS_SALT);
        if self.constraints.confluent || !rng.chance(CONVERSATIONS_PERCENT) {
            return Ok(());
        }
        let hil = conversation_plan::draw_handover_policy(&mut rng);
        for number in 0..rng.between(1, 2) {
            let name = format!("talk{number}");
            let drawn = draw::draw_conversation(&mut rng, catalog, &name)?;
            self.conversation_versions.push(PinnedVersion {
                workflow: name,
                bundle: drawn.hash.clone(),
                hil: hil.clone(),
            });
            self.definitions.insert(0, drawn.definition);
            self.versions.insert(drawn.hash, Arc::new(drawn.workflow));
        }
        Ok(())
    }
}

impl WorkflowSet {
    /// Workflows that somebody wrote, to be run by a script.
    pub fn from_definitions(versions: BTreeMap<ContentHash, Arc<Workflow>>, root: ContentHash) -> Self {
        Self {
            group: 0,
            versions,
            definitions: Vec::new(),
            root,
            constraints: DrawConstraints::default(),
            conversation_versions: Vec::new(),
        }
    }
}

/// Keeps a workflow's numbers apart from those of the seed with the same number.
const WORKFLOW_SALT: u64 = 0x6b8f_1c3a_92d4_e705;
/// Keeps what is drawn of conversations apart from everything else.
const CONVERSATIONS_SALT: u64 = 0x2d51_e08b_77c6_4a39;
/// Of a hundred workflows whose runs may end in several ways, how many have conversations beside their runs.
const CONVERSATIONS_PERCENT: u64 = 12;
/// Keeps what is drawn of clocks and the store apart from everything else.
const CLOCKS_SALT: u64 = 0x71c3_9e0d_5b28_f4a6;
/// Of a hundred seeds in which anything goes wrong, in how many clocks are set and the store fails.
const CLOCKS_PERCENT: u64 = 40;
/// Such faults that a seed plans.
const CLOCKS_FAULTS_MAX: u64 = 5;
const DAY: i64 = 24 * 3_600;
/// Faults that a seed with conversations plans beyond the others.
const CONVERSATION_FAULTS_MAX: u64 = 8;

impl SimCase {
    fn of(seed: u64, drawing: Arc<WorkflowSet>) -> Self {
        let mut rng = SeededRng::new(seed);
        // A confluent workflow is drawn to be compared with its undisturbed self, which only kills allow.
        let kills_only = drawing.constraints.confluent;
        let case = Self {
            seed,
            workflows: drawing,
            input: json!({ "n": rng.below(10) }),
            kills_only,
            processes: usize::try_from(rng.between(2, 3)).unwrap_or(2),
            runs: u32::try_from(rng.between(1, 2)).unwrap_or(1),
            plan: plan(&mut rng, kills_only),
            fate_percent: if kills_only { 0 } else { *rng.choose(&[0, 5, 15, 30]) },
            mistake_percent: if kills_only { 0 } else { *rng.choose(&[0, 20, 50]) },
            snapshot_entries: *rng.choose(&[2, 3, 5, 8, 128]),
            reopens: !kills_only && rng.chance(50),
            conversations: None,
        };
        case.with_conversations().with_clocks()
    }

    /// Some have clocks that are set, and a store that fails in what is no append: by numbers of their own.
    fn with_clocks(mut self) -> Self {
        let mut rng = SeededRng::new(self.seed ^ CLOCKS_SALT);
        if self.kills_only || !rng.chance(CLOCKS_PERCENT) {
            return self;
        }
        for _ in 0..rng.between(1, CLOCKS_FAULTS_MAX) {
            let nth = u32::try_from(rng.between(1, 40)).unwrap_or(1);
            let by = *rng.choose(&[1, 60, 3_600, DAY, 30 * DAY]) * if rng.chance(50) { 1 } else { -1 };
            let calls = u32::try_from(rng.between(1, 8)).unwrap_or(1);
            let fails = SimFault::FailStore { calls, done: rng.chance(50) };
            let fault = *rng.choose(&[fails, SimFault::SetClock { by }]);
            self.plan.push(PlannedFault { point: *rng.choose(&FaultPoint::ALL), nth, fault });
        }
        self
    }

    fn with_conversations(mut self) -> Self {
        if self.workflows.conversation_versions.is_empty() {
            return self;
        }
        let mut rng = SeededRng::new(self.seed ^ CONVERSATIONS_SALT);
        self.conversations = Some(ConversationPlan::draw(&mut rng, &self.workflows.conversation_versions));
        let instants = [FaultPoint::BeforeAppend, FaultPoint::AfterAppend, FaultPoint::Recorded];
        for _ in 0..rng.below(CONVERSATION_FAULTS_MAX) {
            let nth = u32::try_from(rng.between(1, 90)).unwrap_or(1);
            self.plan.push(PlannedFault { point: *rng.choose(&instants), nth, fault: fault(&mut rng, false) });
        }
        self
    }
}

impl SimCase {
    /// One run of a written workflow, in which nothing goes wrong by chance; a seed chooses only how long things take.
    pub fn for_scenario(seed: u64, drawing: Arc<WorkflowSet>, input: Value) -> Self {
        Self {
            seed,
            workflows: drawing,
            input,
            kills_only: false,
            processes: 2,
            runs: 1,
            plan: Vec::new(),
            fate_percent: 0,
            mistake_percent: 0,
            snapshot_entries: *SeededRng::new(seed).choose(&[2, 5, 128]),
            reopens: false,
            conversations: None,
        }
    }
}

fn plan(rng: &mut SeededRng, kills_only: bool) -> Vec<PlannedFault> {
    let count = rng.between(FAULTS_MIN, FAULTS_MAX);
    let one = |_| {
        let instant = *rng.choose(&FaultPoint::ALL);
        let nth = u32::try_from(rng.between(1, *rng.clone().choose(&[4, 12, 30]))).unwrap_or(1);
        PlannedFault { point: instant, nth, fault: fault(rng, kills_only) }
    };
    (0..count).map(one).collect()
}

fn fault(rng: &mut SeededRng, kills_only: bool) -> SimFault {
    let kill = SimFault::Kill { noticed: rng.chance(50) };
    let midway = SimFault::KillMidway { after: u32::try_from(rng.below(3)).unwrap_or(0) };
    if kills_only {
        return *rng.choose(&[kill, kill, midway]);
    }
    let seconds = *rng.choose(&[2, 20, 60, 100]);
    let fates = [
        RequestFate::Slow,
        RequestFate::Refused,
        RequestFate::Declined,
        RequestFate::AnswerLost,
        RequestFate::RequestLost,
        RequestFate::Late,
        RequestFate::Late,
        RequestFate::Garbled,
    ];
    let block = *rng.choose(&SimCallBlock::ALL);
    rng.clone().choose_weighted(&[
        (4, kill),
        (2, midway),
        (4, SimFault::Freeze { seconds, holds: seconds.is_multiple_of(20) }),
        (1, SimFault::FreezeMidway { after: 1 }),
        (1, SimFault::Leave),
        (3, SimFault::FailWrite { committed: seconds > 20 }),
        (2, SimFault::SlowWrite { seconds }),
        (2, SimFault::LoseHints),
        (2, SimFault::Duplicate),
        (1, SimFault::AnswerTwice),
        (5, SimFault::Call(*rng.choose(&fates))),
        (2, SimFault::Block(block)),
        (3, SimFault::Pause),
        (3, SimFault::Cancel { compensate: seconds > 2 }),
    ])
}
