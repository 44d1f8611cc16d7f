//! A run's state: a fold over its events, and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::{Address, CallId, EffectId, Path};
use super::command::Decision;
use super::event::{Asked, Block, Entry, Finished, Request, Started, Winding};
use super::saga::Saga;
use super::signals::Signals;
use crate::agent::{Seen, Task};
use crate::bundle;
use crate::fault::Fault;
use crate::graph::{Graph, NodeIx, Workflow};
use crate::id::RunId;
use crate::money::Usd;
use crate::time::{Time, duration_ms};
use crate::tool::{Class, Envelope};

/// A run's state as people and lists see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Pending,
    Running,
    /// Everything open waits: for a person, a timer, a signal, a child.
    Waiting,
    Paused,
    Completed,
    Failed,
    Compensating,
    Compensated,
    Cancelled,
    TimedOut,
}

impl State {
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Completed,
        Self::Failed,
        Self::Compensating,
        Self::Compensated,
        Self::Cancelled,
        Self::TimedOut,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Compensating => "compensating",
            Self::Compensated => "compensated",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether a run in it moves no more by itself.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Compensated | Self::Cancelled | Self::TimedOut)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One execution of a workflow version.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    pub(super) started: Option<Box<Started>>,
    pub(super) started_at: Time,
    pub(super) phase: Phase,
    pub(super) paused: bool,
    /// Never goes back.
    pub(super) now: Time,
    pub(super) events: u64,
    /// The bundle it runs on now: the one it started with, or the newer one of a retry.
    pub(super) bundle: Option<bundle::Hash>,
    pub(super) scopes: BTreeMap<Path, Scope>,
    #[serde(with = "pairs")]
    pub(super) calls: BTreeMap<CallId, Call>,
    /// Calls that were given up although they may yet be answered.
    #[serde(with = "pairs")]
    pub(super) forgotten: BTreeMap<EffectId, Call>,
    pub(super) saga: Saga,
    pub(super) variables: BTreeMap<String, Arc<Value>>,
    pub(super) signals: Signals,
    pub(super) timers: BTreeSet<(Time, Timer)>,
    /// Nodes whose in-edges are settled, in the order they became so.
    pub(super) ready: VecDeque<Address>,
    pub(super) cost: Usd,
    pub(super) finished: Option<Box<Finished>>,
    /// What the run's end will report.
    pub(super) fault: Option<Fault>,
    #[serde(skip)]
    pub(super) workflow: Option<Arc<Workflow>>,
    /// Versions the fold may meet; the engine brings them before folding.
    #[serde(skip)]
    pub(super) versions: BTreeMap<bundle::Hash, Arc<Workflow>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) enum Phase {
    #[default]
    New,
    Running,
    Winding {
        why: Winding,
        compensate: bool,
    },
    Compensating {
        why: Why,
    },
    /// The `on_compensated` node runs.
    Aftermath {
        why: Why,
    },
    Ended(State),
}

/// Why a run compensates; decides how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    Failed,
    Cancelled,
    TimedOut,
    Rollback,
}

/// What a timer wakes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Timer {
    Run,
    Node(Address),
    Call(CallId),
    /// A gap in this sender's numbers is waited for no longer.
    Held(String),
}

/// One graph in motion: the outer one, an iteration, a branch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Scope {
    #[serde(skip)]
    pub graph: Arc<Graph>,
    pub nodes: Vec<NodeState>,
    /// Places of active nodes.
    pub active: BTreeSet<u32>,
    /// Nodes neither settled nor reserved.
    pub unsettled: u32,
    pub item: Option<Arc<Value>>,
    pub index: u32,
    /// The last iteration's output, in a `while` or `until` body.
    pub last: Arc<Value>,
    pub winding: Option<Winding>,
    /// Kept after its end only so that a retry can go on from it.
    pub closed: bool,
    /// What an `end` node gave.
    pub result: Option<Arc<Value>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct NodeState {
    #[serde(default, skip_serializing_if = "Status::is_idle")]
    pub status: Status,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub settled_in: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub taken_in: u32,
    #[serde(default, skip_serializing_if = "is_null")]
    pub output: Arc<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    #[serde(default)]
    pub cost: Usd,
    /// Index of its next call.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub next_call: u32,
    /// Its out-edges that were taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Box<Activity>>,
    /// It winds down by itself, and fails with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winding: Option<Fault>,
    /// A merge cut it off; what it did is undone where asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_null(value: &Arc<Value>) -> bool {
    value.is_null()
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    #[default]
    Idle,
    /// Runs only after a rollback.
    Reserved,
    Active,
    Completed,
    Skipped,
    Failed,
    Caught,
    Cancelled,
}

impl Status {
    pub fn is_idle(&self) -> bool {
        *self == Self::Idle
    }

    pub fn is_settled(self) -> bool {
        match self {
            Self::Idle | Self::Reserved | Self::Active => false,
            Self::Completed | Self::Skipped | Self::Failed | Self::Caught | Self::Cancelled => true,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Idle | Self::Reserved => "pending",
            Self::Active => "running",
            Self::Completed => "completed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Caught => "caught",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What an active node is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Activity {
    /// A tool node's calls: by call index, with what each came to once it is known.
    Calls {
        asked: Vec<(CallId, String, Option<CallEnd>)>,
        deadline: Option<Time>,
    },
    Agent {
        task: Box<Task>,
        seen: Vec<Seen>,
        waits: AgentWait,
        steps: u32,
        deadline: Option<Time>,
    },
    Timer {
        until: Time,
    },
    Signal {
        name: String,
        deadline: Option<Time>,
    },
    Human {
        ask: Asked,
        answers: Vec<(String, Decision)>,
        deadline: Option<Time>,
    },
    Child {
        run: RunId,
        cancelling: bool,
        deadline: Option<Time>,
    },
    Each {
        items: Arc<Vec<Arc<Value>>>,
        next: u32,
        open: u32,
        results: Vec<Arc<Value>>,
        errors: Vec<(u32, Fault)>,
        deadline: Option<Time>,
    },
    Repeat {
        next: u32,
        open: bool,
        last: Arc<Value>,
        error: Option<Fault>,
        deadline: Option<Time>,
    },
    Branches {
        open: BTreeSet<String>,
        outputs: BTreeMap<String, Arc<Value>>,
        error: Option<Fault>,
        deadline: Option<Time>,
    },
}

/// What a tool call finally came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum CallEnd {
    Done(Arc<Value>),
    Failed(Fault),
}

impl Activity {
    /// When the node's own time is over.
    pub fn due(&self) -> Option<Time> {
        match self {
            Self::Timer { until } => Some(*until),
            Self::Calls { deadline, .. }
            | Self::Agent { deadline, .. }
            | Self::Signal { deadline, .. }
            | Self::Human { deadline, .. }
            | Self::Child { deadline, .. }
            | Self::Each { deadline, .. }
            | Self::Repeat { deadline, .. }
            | Self::Branches { deadline, .. } => *deadline,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum AgentWait {
    /// Its step function is asked next.
    Think,
    Model(CallId),
    Tools(Vec<AgentCall>),
    /// The customer, with when to stop waiting.
    Customer {
        deadline: Option<Time>,
    },
}

/// One tool an agent asked for, with what it came to once that is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AgentCall {
    /// The model's id for it.
    pub id: String,
    pub tool: String,
    /// `None` where it was refused at once.
    pub call: Option<CallId>,
    pub answer: Option<Envelope>,
}

/// An open call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Call {
    pub generation: u32,
    pub scheduled_at: Time,
    /// Sends whose outcome was recorded.
    pub attempts: u32,
    pub request: Request,
    pub class: Class,
    #[serde(with = "duration_ms")]
    pub timeout: Duration,
    pub progress: Progress,
    /// The hash a person approved.
    pub approved: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Progress {
    /// Goes out now, or is out.
    Ready,
    /// The marker is written: it may be out.
    Marked {
        epoch: u64,
        deadline: Time,
    },
    /// Goes out then. `unknown`: an earlier send may have acted.
    Waiting {
        at: Time,
        unknown: bool,
    },
    LookUp {
        at: Time,
        tries: u32,
    },
    /// A person decides.
    Doubt,
    Blocked(Block),
}

impl Call {
    /// Whether nothing of it can have reached the world, or what reached it changed nothing.
    pub fn is_harmless(&self) -> bool {
        if !self.class.acts() {
            return true;
        }
        match &self.progress {
            Progress::Ready => self.class.is_marked() && self.attempts == 0,
            Progress::Waiting { unknown, .. } => !unknown,
            Progress::Blocked(_) => true,
            Progress::Marked { .. } | Progress::LookUp { .. } | Progress::Doubt => false,
        }
    }

    /// Whether an attempt may go out at `now`.
    pub fn is_sendable(&self, now: Time) -> bool {
        match &self.progress {
            Progress::Ready => true,
            Progress::Waiting { at, .. } => *at <= now,
            Progress::Blocked(Block::RateLimit { until } | Block::Circuit { until }) => *until <= now,
            Progress::Blocked(Block::Approval { .. })
            | Progress::Marked { .. }
            | Progress::LookUp { .. }
            | Progress::Doubt => false,
        }
    }

    pub fn due(&self) -> Option<Time> {
        match &self.progress {
            Progress::Waiting { at, .. } | Progress::LookUp { at, .. } => Some(*at),
            Progress::Blocked(Block::RateLimit { until } | Block::Circuit { until }) => Some(*until),
            Progress::Ready | Progress::Marked { .. } | Progress::Doubt | Progress::Blocked(Block::Approval { .. }) => {
                None
            }
        }
    }
}

impl Run {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a version known before the fold meets it. Without it the run stays where it is.
    pub fn know(&mut self, bundle: bundle::Hash, workflow: Arc<Workflow>) {
        if self.bundle.as_ref() == Some(&bundle) && self.workflow.is_none() {
            self.adopt(workflow.clone());
        }
        self.versions.insert(bundle, workflow);
    }

    /// Folds one recorded entry.
    pub fn fold(&mut self, entry: &Entry) {
        for event in &entry.events {
            self.apply(entry.at, event);
        }
    }

    pub fn id(&self) -> Option<&RunId> {
        self.started.as_ref().map(|started| &started.run)
    }

    pub fn started(&self) -> Option<&Started> {
        self.started.as_deref()
    }

    pub fn started_at(&self) -> Time {
        self.started_at
    }

    pub fn cost(&self) -> Usd {
        self.cost
    }

    pub fn bundle(&self) -> Option<&bundle::Hash> {
        self.bundle.as_ref()
    }

    /// The version it runs on; `None` until the engine has brought it.
    pub fn workflow(&self) -> Option<&Arc<Workflow>> {
        self.workflow.as_ref()
    }

    pub fn finished(&self) -> Option<&Finished> {
        self.finished.as_deref()
    }

    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    pub fn variables(&self) -> &BTreeMap<String, Arc<Value>> {
        &self.variables
    }

    pub fn saga(&self) -> &Saga {
        &self.saga
    }

    /// Events folded so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The latest instant it has seen.
    pub fn now(&self) -> Time {
        self.now
    }

    pub(super) fn scope(&self, path: &Path) -> Option<&Scope> {
        self.scopes.get(path)
    }

    pub(super) fn place(&self, node: &Address) -> Option<(&Scope, NodeIx)> {
        let scope = self.scopes.get(&node.scope)?;
        scope.graph.find(node.node.as_str()).map(|place| (scope, place))
    }

    pub(super) fn node_state(&self, node: &Address) -> Option<&NodeState> {
        let (scope, place) = self.place(node)?;
        scope.nodes.get(place.at())
    }

    pub(super) fn activity(&self, node: &Address) -> Option<&Activity> {
        self.node_state(node).filter(|state| state.status == Status::Active)?.activity.as_deref()
    }

    /// Takes the version's graphs into the scopes it has: after a snapshot was loaded.
    pub(super) fn adopt(&mut self, workflow: Arc<Workflow>) {
        for (path, scope) in &mut self.scopes {
            if let Some(graph) = graph_at(&workflow, path) {
                scope.graph = graph;
            }
        }
        self.workflow = Some(workflow);
    }
}

/// The graph a scope walks, by its path.
pub(super) fn graph_at(workflow: &Workflow, path: &Path) -> Option<Arc<Graph>> {
    let Some((outer, node, rest)) = path.parent() else {
        return Some(workflow.graph.clone());
    };
    let outer = graph_at(workflow, &outer)?;
    let place = outer.find(node.as_str())?;
    outer.body(place, rest).cloned()
}

impl Scope {
    pub fn open(graph: Arc<Graph>, item: Option<Arc<Value>>, index: u32, last: Arc<Value>) -> Self {
        let unsettled = u32::try_from(graph.nodes.len()).unwrap_or(u32::MAX);
        Self {
            nodes: vec![NodeState::default(); graph.nodes.len()],
            graph,
            active: BTreeSet::new(),
            unsettled,
            item,
            index,
            last,
            winding: None,
            closed: false,
            result: None,
        }
    }
}

impl Scope {
    /// Whether its nodes for after a rollback have not run.
    pub fn has_reserved(&self) -> bool {
        self.nodes.iter().any(|state| state.status == Status::Reserved)
    }
}

/// Maps whose keys are not text, as a list of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S, K, V>(map: &BTreeMap<K, V>, s: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        K: Serialize,
        V: Serialize,
    {
        s.collect_seq(map)
    }

    pub fn deserialize<'de, D, K, V>(d: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
    {
        Vec::<(K, V)>::deserialize(d).map(BTreeMap::from_iter)
    }
}
