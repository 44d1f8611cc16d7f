//! A simulated process: the state of the engine's asynchronous shell, without its threads.

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

/// Maximum number of runs that one process owns at once: few, so that some wait for a slot.
const AWAKE_MAX: usize = 3;

/// The address of a task: process, incarnation and run.
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
    /// It is frozen until then; `holds` says whether the request that it was about to send is held back too.
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
    /// Awake conversations and routing queues.
    pub aggregate_tasks: BTreeMap<RunId, SimAggregateTask>,
    pub poller: WorkPoller,
    /// The offset of its machine's clock, in milliseconds.
    pub clock: i64,
    /// Its lease is over, and it has not joined again yet.
    pub has_lost_lease: bool,
    /// Events that would have occurred in it while it was frozen.
    pub deferred_events: VecDeque<SimEvent>,
    /// Outputs that it had not carried out when it was frozen.
    pub deferred_outputs: VecDeque<(TaskAddress, OwnerOutput)>,
    /// Outputs that it still carries out before it stops in the middle of them.
    pub stops_after: Option<(u32, StopMode)>,
    /// It shuts down in order, once no append is in flight.
    pub is_draining: bool,
    pub poll_scheduled: bool,
    pub renewal_scheduled: bool,
    /// It reads snapshots of another fold version than the other processes, as during an upgrade.
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
    /// The wall clock when the owner last read it.
    pub looked_at: Time,
    /// Marked calls whose marker is being written.
    pub permits: BTreeMap<EffectId, Box<Attempt>>,
    /// The attempt of each call in flight.
    pub attempts: BTreeMap<EffectId, SimAttempt>,
    pub wake_at: Option<Time>,
    pub pending_append: Option<PendingEntry>,
    /// The last entry that it knows to be durable.
    pub last_recorded: Option<Arc<[u8]>>,
}

/// One attempt in flight.
#[derive(Clone, Copy, Debug)]
pub struct SimAttempt {
    pub ticket: u64,
    /// The service has acted, or has read the request.
    pub acted: bool,
    /// It is a model call.
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
            poller: WorkPoller::default(),
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
        self.aggregate_tasks.get_mut(&place.run).filter(|aggregate_task| is_same && aggregate_task.number == place.task)
    }

    /// Whether this task is still running, whatever its aggregate.
    pub fn has_task(&mut self, place: &TaskAddress) -> bool {
        self.task_mut(place).is_some() || self.aggregate_task_mut(place).is_some()
    }

    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.aggregate_tasks.is_empty()
    }

    pub fn is_appending(&self) -> bool {
        self.tasks.values().any(|task| task.pending_append.is_some())
            || self.aggregate_tasks.values().any(|aggregate_task| aggregate_task.pending_append.is_some())
    }

    /// Its append in flight.
    pub fn pending_append(&mut self, place: &TaskAddress) -> Option<&mut Option<PendingEntry>> {
        if self.task_mut(place).is_some() {
            return self.task_mut(place).map(|task| &mut task.pending_append);
        }
        self.aggregate_task_mut(place).map(|aggregate_task| &mut aggregate_task.pending_append)
    }

    pub fn ownership(&mut self, place: &TaskAddress) -> Option<Ownership> {
        match self.task_mut(place) {
            Some(task) => Some(task.owner.ownership()),
            None => self.aggregate_task_mut(place).map(|aggregate_task| aggregate_task.aggregate.ownership()),
        }
    }

    pub fn task_mut(&mut self, place: &TaskAddress) -> Option<&mut SimRunTask> {
        let is_same = self.incarnation == place.incarnation;
        self.tasks.get_mut(&place.run).filter(|task| is_same && task.number == place.task)
    }
}
