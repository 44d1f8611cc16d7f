//! What a seed decides before the simulation begins: the workflow, the input, the processes, and what goes wrong when.

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

/// The stage of an effect, or of any other act of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultPoint {
    /// It is decided, and its append is in flight.
    BeforeAppend,
    /// It is durable, and its owner does not know yet.
    AfterAppend,
    /// The request was sent.
    Sent,
    /// The service has acted or answered, and no process knows yet.
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

/// A fault, or an action by a person at an inconvenient time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SimFault {
    /// A process is killed; `noticed` means that others can detect it before its lease ends.
    Kill {
        noticed: bool,
    },
    /// It is killed while it carries out the outputs of a run.
    KillMidway {
        after: u32,
    },
    /// A process freezes for this number of seconds, and then continues as if nothing had happened.
    Freeze {
        seconds: u64,
        holds: bool,
    },
    FreezeMidway {
        after: u32,
    },
    /// A process shuts down in order.
    Leave,
    /// The store reports that a write failed; it may have succeeded.
    FailWrite {
        committed: bool,
    },
    /// A write takes this number of seconds.
    SlowWrite {
        seconds: u64,
    },
    /// This number of the next store requests, except appends, get no answer; `done` says whether the store performed
    /// them.
    FailStore {
        calls: u32,
        done: bool,
    },
    /// The clock of a machine is set forward or back by this number of seconds.
    SetClock {
        by: i64,
    },
    /// Inbox hints get lost for a time.
    LoseHints,
    /// Recent submissions are submitted again.
    Duplicate,
    /// The answer to the next call arrives twice.
    AnswerTwice,
    /// The next call meets this fate.
    Call(RequestFate),
    /// The next call is not sent immediately.
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
    /// It is never sent.
    Stopped,
}

impl SimCallBlock {
    pub const ALL: [Self; 4] = [Self::RateLimit, Self::Circuit, Self::Approval, Self::Stopped];
}

/// A fault and its trigger: the `nth` time that any effect reaches this point.
#[derive(Clone, Copy, Debug)]
pub struct PlannedFault {
    pub point: FaultPoint,
    pub nth: u32,
    pub fault: SimFault,
}

/// Everything that a seed decides beforehand.
#[derive(Debug)]
pub struct SimCase {
    pub seed: u64,
    pub workflows: Arc<WorkflowSet>,
    pub input: Value,
    /// Only kills occur.
    pub kills_only: bool,
    pub processes: usize,
    pub runs: u32,
    pub plan: Vec<PlannedFault>,
    /// The percentage of calls that meet a fate during the storm.
    pub fate_percent: u64,
    /// The percentage of people's answers that are late, duplicate or wrong.
    pub mistake_percent: u64,
    pub snapshot_entries: u64,
    /// Whether ended runs may be reopened: rolled back or retried.
    pub reopens: bool,
    /// Conversations in addition to the runs, in some seeds.
    pub conversations: Option<ConversationPlan>,
}

/// Minimum number of faults in a seed.
const FAULTS_MIN: u64 = 3;
const FAULTS_MAX: u64 = 7;

/// Number of seeds that share a workflow, each with its own faults. Compiling a workflow costs as much as running it.
const SEEDS_PER_WORKFLOW: u64 = 4;

/// A workflow and all workflows that it runs.
#[derive(Debug)]
pub struct WorkflowSet {
    group: u64,
    pub versions: BTreeMap<ContentHash, Arc<Workflow>>,
    /// Outermost last, for people.
    pub definitions: Vec<Value>,
    pub root: ContentHash,
    pub constraints: DrawConstraints,
    /// The workflow versions of its conversations; empty if there are none.
    pub conversation_versions: Vec<PinnedVersion>,
}

/// Whether a seed has conversations in addition to its runs.
pub fn has_conversations(seed: u64) -> bool {
    let of = seed / SEEDS_PER_WORKFLOW;
    !draw_constraints(&mut SeededRng::new(of ^ WORKFLOW_SALT)).confluent
        && SeededRng::new(of ^ CONVERSATIONS_SALT).chance(CONVERSATIONS_PERCENT)
}

fn draw_constraints(rng: &mut SeededRng) -> DrawConstraints {
    DrawConstraints { confluent: rng.chance(20) }
}

/// Draws cases one after another; shared parts are drawn once.
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

    /// Some cases have conversations too. They use their own random numbers, so that everything else is drawn as
    /// before.
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
    /// Existing workflows, to be run by a script.
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

/// Separates a workflow's random numbers from those of the seed with the same number.
const WORKFLOW_SALT: u64 = 0x6b8f_1c3a_92d4_e705;
/// Separates the random numbers of conversations from all others.
const CONVERSATIONS_SALT: u64 = 0x2d51_e08b_77c6_4a39;
/// The percentage of workflows without the `confluent` constraint that have conversations in addition to their runs.
const CONVERSATIONS_PERCENT: u64 = 12;
/// Separates the random numbers of clock and store faults from all others.
const CLOCKS_SALT: u64 = 0x71c3_9e0d_5b28_f4a6;
/// The percentage of seeds with faults in which clocks are set and the store fails.
const CLOCKS_PERCENT: u64 = 40;
/// Maximum number of such faults in a seed.
const CLOCKS_FAULTS_MAX: u64 = 5;
const DAY: i64 = 24 * 3_600;
/// Maximum number of additional faults in a seed with conversations.
const CONVERSATION_FAULTS_MAX: u64 = 8;

impl SimCase {
    fn of(seed: u64, drawing: Arc<WorkflowSet>) -> Self {
        let mut rng = SeededRng::new(seed);
        // A confluent workflow is compared with its undisturbed self, which only kills allow.
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

    /// In some seeds clocks are set, and the store fails in requests other than appends. They use their own random
    /// numbers.
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
    /// One run of a written workflow without random faults; the seed only chooses how long things take.
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
