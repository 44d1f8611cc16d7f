//! A simulated process: what the asynchronous shell of the engine holds, without its threads.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use baton_core::id::RunId;
use baton_core::run::EffectId;
use baton_core::time::Time;
use baton_engine::dispatcher::Dispatcher;
use baton_engine::lookout::Lookout;
use baton_engine::owner::{Output, Owner, Send};
use baton_ports::clock::Steady;
use baton_ports::journal::{Lease, Ownership, ProcessId};

use crate::keeping::Keeping;
use crate::simulation::Happening;

/// Runs one process owns at once: few, so that some wait for room.
const AWAKE_MAX: usize = 3;

/// Which task of which incarnation of which process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub process: usize,
    pub incarnation: u32,
    pub run: RunId,
    pub task: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Up,
    /// It stands still until then; `holds` says whether what it was just about to send stands still with it.
    Frozen {
        holds: bool,
    },
    Down,
}

pub struct Process {
    pub state: State,
    pub incarnation: u32,
    pub lease: Lease,
    pub dispatcher: Dispatcher,
    pub tasks: BTreeMap<RunId, Task>,
    /// Awake conversations and desks.
    pub keepings: BTreeMap<RunId, Keeping>,
    pub lookout: Lookout,
    /// How far its machine's clock was set, in milliseconds.
    pub clock: i64,
    /// Its lease is over, and it has not joined anew yet.
    pub has_lost_lease: bool,
    /// What would have happened to it while it was frozen.
    pub held: VecDeque<Happening>,
    /// Outputs it had not carried out when it was frozen.
    pub todo: VecDeque<(Place, Output)>,
    /// Outputs it still carries out before it stops in their middle.
    pub stops_after: Option<(u32, Stop)>,
    /// It stops in order, once no append is under way.
    pub leaving: bool,
    pub polls: bool,
    pub renews: bool,
    /// It reads snapshots of another fold version than the others, as during an upgrade.
    pub fold_version: u32,
}

/// How a process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Killed,
    Frozen,
}

/// An entry that is being appended, and whether it is durable.
pub type UnderWay = (Arc<[u8]>, bool);

pub struct Task {
    pub number: u64,
    pub owner: Owner,
    /// What the wall's clock showed when the owner last looked at it.
    pub looked_at: Time,
    /// Marked calls whose marker is being written.
    pub permits: BTreeMap<EffectId, Box<Send>>,
    /// The attempt of each call that is out.
    pub out: BTreeMap<EffectId, Out>,
    pub wake_at: Option<Time>,
    pub under_way: Option<UnderWay>,
    /// The last entry it was told is durable.
    pub recorded: Option<Arc<[u8]>>,
}

/// One attempt that is out.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    pub ticket: u64,
    /// The service has acted, or has read what it was asked for.
    pub acted: bool,
    /// It is a model that is asked.
    pub asks_model: bool,
}

impl Process {
    pub fn new(fold_version: u32) -> Self {
        Self {
            state: State::Down,
            incarnation: 0,
            lease: Lease { process: ProcessId(0), until: Steady::default() },
            dispatcher: Dispatcher::new(AWAKE_MAX),
            tasks: BTreeMap::new(),
            keepings: BTreeMap::new(),
            lookout: Lookout::default(),
            clock: 0,
            has_lost_lease: false,
            held: VecDeque::new(),
            todo: VecDeque::new(),
            stops_after: None,
            leaving: false,
            polls: false,
            renews: false,
            fold_version,
        }
    }

    /// Everything in memory is lost.
    pub fn forget(&mut self) {
        let incarnation = self.incarnation + 1;
        *self = Self { incarnation, clock: self.clock, ..Self::new(self.fold_version) };
    }

    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    pub fn keeping_mut(&mut self, place: &Place) -> Option<&mut Keeping> {
        let is_same = self.incarnation == place.incarnation;
        self.keepings.get_mut(&place.run).filter(|keeping| is_same && keeping.number == place.task)
    }

    /// Whether this task is at work still, whatever it moves.
    pub fn has(&mut self, place: &Place) -> bool {
        self.task_mut(place).is_some() || self.keeping_mut(place).is_some()
    }

    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.keepings.is_empty()
    }

    pub fn is_appending(&self) -> bool {
        self.tasks.values().any(|task| task.under_way.is_some())
            || self.keepings.values().any(|keeping| keeping.under_way.is_some())
    }

    /// What it has under way.
    pub fn under_way(&mut self, place: &Place) -> Option<&mut Option<UnderWay>> {
        if self.task_mut(place).is_some() {
            return self.task_mut(place).map(|task| &mut task.under_way);
        }
        self.keeping_mut(place).map(|keeping| &mut keeping.under_way)
    }

    pub fn ownership(&mut self, place: &Place) -> Option<Ownership> {
        match self.task_mut(place) {
            Some(task) => Some(task.owner.ownership()),
            None => self.keeping_mut(place).map(|keeping| keeping.kept.ownership()),
        }
    }

    pub fn task_mut(&mut self, place: &Place) -> Option<&mut Task> {
        let is_same = self.incarnation == place.incarnation;
        self.tasks.get_mut(&place.run).filter(|task| is_same && task.number == place.task)
    }
}
