//! A simulated process: what the asynchronous shell of the engine holds, without its threads.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use baton_core::id::RunId;
use baton_core::run::EffectId;
use baton_core::time::Time;
use baton_engine::dispatcher::Dispatcher;
use baton_engine::owner::{Attempt, OwnerOutput, RunOwner};
use baton_engine::work_poller::WorkPoller;
use baton_ports::clock::MonotonicTime;
use baton_ports::journal::{Ownership, ProcessId, ProcessLease};

use crate::aggregate_task::SimAggregateTask;
use crate::simulation::SimEvent;

/// Runs one process owns at once: few, so that some wait for room.
const AWAKE_MAX: usize = 3;

/// Which task of which incarnation of which process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskAddress {
    pub process: usize,
    pub incarnation: u32,
    pub run: RunId,
    pub task: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimProcessState {
    Up,
    /// It stands still until then; `holds` says whether what it was just about to send stands still with it.
    Frozen {
        holds: bool,
    },
    Down,
}

pub struct SimProcess {
    pub state: SimProcessState,
    pub incarnation: u32,
    pub lease: ProcessLease,
    pub dispatcher: Dispatcher,
    pub tasks: BTreeMap<RunId, SimRunTask>,
    /// Awake conversations and desks.
    pub aggregate_tasks: BTreeMap<RunId, SimAggregateTask>,
    pub lookout: WorkPoller,
    /// How far its machine's clock was set, in milliseconds.
    pub clock: i64,
    /// Its lease is over, and it has not joined anew yet.
    pub has_lost_lease: bool,
    /// What would have happened to it while it was frozen.
    pub deferred_events: VecDeque<SimEvent>,
    /// Outputs it had not carried out when it was frozen.
    pub deferred_outputs: VecDeque<(TaskAddress, OwnerOutput)>,
    /// Outputs it still carries out before it stops in their middle.
    pub stops_after: Option<(u32, StopMode)>,
    /// It stops in order, once no append is under way.
    pub is_draining: bool,
    pub poll_scheduled: bool,
    pub renewal_scheduled: bool,
    /// It reads snapshots of another fold version than the others, as during an upgrade.
    pub fold_version: u32,
}

/// How a process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    Killed,
    Frozen,
}

/// An entry that is being appended, and whether it is durable.
pub type PendingEntry = (Arc<[u8]>, bool);

pub struct SimRunTask {
    pub number: u64,
    pub owner: RunOwner,
    /// What the wall's clock showed when the owner last looked at it.
    pub looked_at: Time,
    /// Marked calls whose marker is being written.
    pub permits: BTreeMap<EffectId, Box<Attempt>>,
    /// The attempt of each call that is out.
    pub attempts: BTreeMap<EffectId, SimAttempt>,
    pub wake_at: Option<Time>,
    pub pending_append: Option<PendingEntry>,
    /// The last entry it was told is durable.
    pub last_recorded: Option<Arc<[u8]>>,
}

/// One attempt that is out.
#[derive(Clone, Copy, Debug)]
pub struct SimAttempt {
    pub ticket: u64,
    /// The service has acted, or has read what it was asked for.
    pub acted: bool,
    /// It is a model that is asked.
    pub asks_model: bool,
}

impl SimProcess {
    pub fn new(fold_version: u32) -> Self {
        Self {
            state: SimProcessState::Down,
            incarnation: 0,
            lease: ProcessLease { process: ProcessId(0), until: MonotonicTime::default() },
            dispatcher: Dispatcher::new(AWAKE_MAX),
            tasks: BTreeMap::new(),
            aggregate_tasks: BTreeMap::new(),
            lookout: WorkPoller::default(),
            clock: 0,
            has_lost_lease: false,
            deferred_events: VecDeque::new(),
            deferred_outputs: VecDeque::new(),
            stops_after: None,
            is_draining: false,
            poll_scheduled: false,
            renewal_scheduled: false,
            fold_version,
        }
    }

    /// Everything in memory is lost.
    pub fn reset(&mut self) {
        let incarnation = self.incarnation + 1;
        *self = Self { incarnation, clock: self.clock, ..Self::new(self.fold_version) };
    }

    pub fn is_up(&self) -> bool {
        self.state == SimProcessState::Up
    }

    pub fn aggregate_task_mut(&mut self, place: &TaskAddress) -> Option<&mut SimAggregateTask> {
        let is_same = self.incarnation == place.incarnation;
        self.aggregate_tasks.get_mut(&place.run).filter(|keeping| is_same && keeping.number == place.task)
    }

    /// Whether this task is at work still, whatever it moves.
    pub fn has_task(&mut self, place: &TaskAddress) -> bool {
        self.task_mut(place).is_some() || self.aggregate_task_mut(place).is_some()
    }

    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.aggregate_tasks.is_empty()
    }

    pub fn is_appending(&self) -> bool {
        self.tasks.values().any(|task| task.pending_append.is_some())
            || self.aggregate_tasks.values().any(|keeping| keeping.pending_append.is_some())
    }

    /// What it has under way.
    pub fn pending_append(&mut self, place: &TaskAddress) -> Option<&mut Option<PendingEntry>> {
        if self.task_mut(place).is_some() {
            return self.task_mut(place).map(|task| &mut task.pending_append);
        }
        self.aggregate_task_mut(place).map(|keeping| &mut keeping.pending_append)
    }

    pub fn ownership(&mut self, place: &TaskAddress) -> Option<Ownership> {
        match self.task_mut(place) {
            Some(task) => Some(task.owner.ownership()),
            None => self.aggregate_task_mut(place).map(|keeping| keeping.aggregate.ownership()),
        }
    }

    pub fn task_mut(&mut self, place: &TaskAddress) -> Option<&mut SimRunTask> {
        let is_same = self.incarnation == place.incarnation;
        self.tasks.get_mut(&place.run).filter(|task| is_same && task.number == place.task)
    }
}
