//! One seed's world in motion: processes, store, services and people, one event after another.

mod aggregate_tasks;
mod calls;
mod customers;
mod external_input;
mod faults;
mod human_agents;
mod lease;
mod node_states;
pub mod script;
mod sim_event;
mod tasks;

use std::collections::BTreeMap;

use baton_core::conversation::IDLE_TIMEOUT;
use baton_core::id::{RunId, TenantId};
use baton_core::run::{EffectId, FOLD_VERSION};
use baton_core::time::Time;
use baton_engine::EngineOptions;
use baton_engine::aggregate_clock::ClockReading;
use baton_ports::clock::MonotonicTime;

use crate::case::SimCase;
use crate::coverage::FaultCoverage;
use crate::draw::SimCatalog;
use crate::fake::FakeJournal;
use crate::oracle::{PromiseViolation, SimOracle};
use crate::process::{SimProcess, SimProcessState, TaskAddress};
use crate::rng::SeededRng;
use crate::services::SimServices;
use crate::sim_queue::SimEventQueue;

pub use faults::FaultInjector;
use script::SimScript;
pub use sim_event::SimEvent;

/// The instant at which every simulation begins.
const START_TIME: Time = Time::from_ms(1_700_000_000_000);
/// How long before that the machines were booted.
const BOOTED_MS: i64 = 3_600_000;
/// The world time within which everything must be at rest after the storm, and after people last resolved open tasks:
/// some ten times what people and deadlines take, in addition to the idle time-out of a conversation.
const CALM_MAX: std::time::Duration = IDLE_TIMEOUT.saturating_add(std::time::Duration::from_secs(5 * 24 * 3_600));
/// Number of events after which a simulation is considered endless.
const STEPS_MAX: u64 = 60_000;
/// Number of events after which the storm ends, whatever is still planned.
const STORM_STEPS_MAX: u64 = 1_500;
/// Maximum number of times that people resolve everything that is open, once nothing else is moving.
const ROUNDS_MAX: u32 = 60;
/// Maximum number of transcript lines.
const STORY_LINES_MAX: usize = 4_000;

/// The result of a seed.
#[derive(Debug)]
pub struct SimReport {
    pub violation: Option<PromiseViolation>,
    pub steps: u64,
    pub story: Vec<String>,
    pub oracle: SimOracle,
    pub services: SimServices,
    pub journal: FakeJournal,
    pub script: Option<SimScript>,
}

pub struct Simulation<'a> {
    case: &'a SimCase,
    catalog: &'a SimCatalog,
    coverage: &'a mut FaultCoverage,
    rng: SeededRng,
    now: Time,
    queue: SimEventQueue<SimEvent>,
    journal: FakeJournal,
    processes: Vec<SimProcess>,
    services: SimServices,
    oracle: SimOracle,
    faults: FaultInjector,
    script: Option<SimScript>,
    options: EngineOptions,
    numbers: u64,
    steps: u64,
    /// Something in the store changed that processes may have to look at.
    store_changed: bool,
    alarm: Option<Time>,
    story: Option<Vec<String>>,
    violation: Option<PromiseViolation>,
    /// All processes run on one machine, and share its clock.
    one_clock: bool,
    /// When the storm ended, when people last resolved open tasks, or when all was last found to have ended.
    calm_since: Option<Time>,
    /// The number of the newest message that each customer wrote in addition to the planned ones.
    last_messages: BTreeMap<RunId, u64>,
}

/// Adds a line to the transcript, if it is enabled.
macro_rules! log_story {
    ($sim:expr, $($word:tt)*) => {
        if $sim.story.is_some() {
            let line = format!($($word)*);
            $sim.push_story_line(line);
        }
    };
}
pub(crate) use log_story;

impl<'a> Simulation<'a> {
    pub fn new(
        case: &'a SimCase,
        catalog: &'a SimCatalog,
        coverage: &'a mut FaultCoverage,
        storm: FaultInjector,
        story: bool,
    ) -> Self {
        // Other fold versions are drawn after the case's own numbers, so that they change nothing else.
        let mut rng = SeededRng::new(case.seed ^ 0x5151_5151);
        let upgrades = rng.chance(15);
        let fold = |place: usize| if upgrades && place == 1 { FOLD_VERSION + 1 } else { FOLD_VERSION };
        let one_clock = rng.chance(50);
        let options = EngineOptions { snapshot_entries: case.snapshot_entries, ..EngineOptions::default() };
        Self {
            case,
            catalog,
            coverage,
            rng,
            now: START_TIME,
            queue: SimEventQueue::default(),
            journal: FakeJournal::default(),
            processes: (0..case.processes).map(|place| SimProcess::new(fold(place))).collect(),
            services: SimServices::default(),
            oracle: SimOracle::new(&case.workflows.versions, case.conversations.as_ref()),
            faults: storm,
            script: None,
            options,
            numbers: 0,
            steps: 0,
            store_changed: false,
            alarm: None,
            story: story.then(Vec::new),
            violation: None,
            one_clock,
            calm_since: None,
            last_messages: BTreeMap::new(),
        }
    }

    /// Follows a script instead of random faults.
    pub fn with_script(self, script: SimScript) -> Self {
        Self { script: Some(script), ..self }
    }

    /// Runs to the end: the storm, the calm after it, and the verdict.
    pub fn run(mut self) -> SimReport {
        for process in 0..self.processes.len() {
            self.start_process(process);
        }
        for number in 0..self.case.runs {
            let at = self.now + std::time::Duration::from_millis(self.rng.below(50));
            self.schedule(at, SimEvent::StartRun { run: format!("r{number}").into() });
        }
        self.schedule_conversations();
        self.schedule_script();
        let mut rounds = 0;
        while self.violation.is_none() {
            while self.violation.is_none()
                && let Some((at, what)) = self.queue.next_event()
            {
                self.apply_event(at, what);
            }
            if self.violation.is_some() || !self.resolve_open_tasks(rounds) {
                break;
            }
            rounds += 1;
        }
        // A script may leave a run unfinished.
        if self.violation.is_none() && (self.script.is_none() || self.oracle.unfinished(&self.journal).is_empty()) {
            self.violation = self.oracle.verdict(&self.services, &self.journal, &tenant()).err();
        }
        SimReport {
            violation: self.violation,
            steps: self.steps,
            story: self.story.unwrap_or_default(),
            oracle: self.oracle,
            services: self.services,
            journal: self.journal,
            script: self.script,
        }
    }

    fn apply_event(&mut self, at: Time, what: SimEvent) {
        self.now = self.now.max(at);
        self.steps += 1;
        if self.steps == STORM_STEPS_MAX {
            self.end_faults();
        }
        if let Some(since) = self.calm_since.filter(|since| self.now.since(*since) > CALM_MAX) {
            let open = self.oracle.unfinished(&self.journal);
            if !open.is_empty() {
                let calm = self.now.since(since);
                return self.record_violation(
                    "liveness",
                    format!("{open:?} have not come to rest in {calm:?} without a fault"),
                );
            }
            // Ended runs may have timers of weeks. What such a timer starts has the same time limit again.
            self.calm_since = Some(self.now);
        }
        if self.steps > STEPS_MAX {
            self.record_violation("liveness", format!("nothing ended within {STEPS_MAX} steps"));
            return;
        }
        self.dispatch_event(what);
        self.schedule_due_work();
        self.check_owned_runs();
    }

    /// The clocks of a process's machine, as it reads them.
    fn clocks(&self, process: usize) -> ClockReading {
        let (now, set) = (self.now.as_ms(), self.processes[process].clock);
        ClockReading {
            wall: Time::from_ms(now + set),
            monotonic: MonotonicTime::from_ms(now - START_TIME.as_ms() + BOOTED_MS),
        }
    }

    fn dispatch_event(&mut self, what: SimEvent) {
        if let Some(process) = self.frozen_process(&what) {
            self.processes[process].deferred_events.push_back(what);
            return;
        }
        match what {
            SimEvent::AppendArrives { place, append, lost } => self.append_arrives(place, *append, lost),
            SimEvent::AppendAnswered { place, answer } => self.append_answered(&place, answer),
            SimEvent::CallChecked { place, send, ticket } => self.checked(&place, send, ticket),
            SimEvent::CallReachesService { place, send, ticket, .. } => self.reach_service(&place, send, ticket),
            SimEvent::CallLookedUp { place, send, ticket } => self.looked_up(&place, &send, ticket),
            SimEvent::AnswerArrives { place, ticket, call, input, asked } => {
                self.deliver_answer(&place, ticket, call, *input, asked)
            }
            SimEvent::TimerFires { place, at } => self.timer_fired(&place, at),
            SimEvent::InboxHint { process, incarnation, run } if self.is_up(process, incarnation) => {
                self.announce(process, &run);
            }
            SimEvent::ClaimRun { process, incarnation, run } if self.is_up(process, incarnation) => {
                self.claim(process, run);
            }
            SimEvent::RunClaimed { process, incarnation, run, claimed, lease } if self.is_up(process, incarnation) => {
                self.run_claimed(process, run, &claimed, lease);
            }
            SimEvent::PollStore { process, incarnation } if self.is_up(process, incarnation) => self.poll(process),
            SimEvent::ReclaimDue { process, incarnation } if self.is_up(process, incarnation) => {
                self.reclaim_due(process)
            }
            SimEvent::RenewLease { process, incarnation } if self.is_up(process, incarnation) => self.renew(process),
            SimEvent::ThawProcess { process, incarnation } => self.thaw(process, incarnation),
            SimEvent::RestartProcess { process } => self.restart(process),
            SimEvent::Alarm => {
                self.alarm = None;
                self.store_changed = true;
            }
            SimEvent::SubmitItem { submit } => self.submit(*submit),
            SimEvent::ReviewTask { item } => self.review_task(&item),
            SimEvent::StartRun { run } => self.start_run(&run),
            SimEvent::ScriptedAction { run, act } => self.apply_script_action(&run, *act),
            SimEvent::InboxHint { .. }
            | SimEvent::ClaimRun { .. }
            | SimEvent::RunClaimed { .. }
            | SimEvent::PollStore { .. }
            | SimEvent::ReclaimDue { .. }
            | SimEvent::RenewLease { .. } => {}
        }
    }

    /// The frozen process in which this event occurs; the event has to wait then.
    fn frozen_process(&self, what: &SimEvent) -> Option<usize> {
        let (process, incarnation, is_inside) = match what {
            SimEvent::AppendAnswered { place, .. }
            | SimEvent::CallChecked { place, .. }
            | SimEvent::AnswerArrives { place, .. }
            | SimEvent::TimerFires { place, .. } => (place.process, place.incarnation, true),
            SimEvent::AppendArrives { place, .. }
            | SimEvent::CallReachesService { place, is_marked: false, .. }
            | SimEvent::CallLookedUp { place, .. } => (place.process, place.incarnation, false),
            // A marked call that was sent is on the wire. A process that freezes between its last clock read and the
            // socket can act past its deadline; the guide documents that window, and it is not simulated.
            SimEvent::CallReachesService { is_marked: true, .. } => return None,
            SimEvent::InboxHint { process, incarnation, .. }
            | SimEvent::ClaimRun { process, incarnation, .. }
            | SimEvent::RunClaimed { process, incarnation, .. }
            | SimEvent::PollStore { process, incarnation }
            | SimEvent::ReclaimDue { process, incarnation }
            | SimEvent::RenewLease { process, incarnation } => (*process, *incarnation, true),
            SimEvent::ThawProcess { .. }
            | SimEvent::RestartProcess { .. }
            | SimEvent::Alarm
            | SimEvent::SubmitItem { .. }
            | SimEvent::ReviewTask { .. }
            | SimEvent::ScriptedAction { .. }
            | SimEvent::StartRun { .. } => return None,
        };
        let found = self.processes.get(process)?;
        let waits = match found.state {
            SimProcessState::Frozen { holds } => found.incarnation == incarnation && (is_inside || holds),
            SimProcessState::Up | SimProcessState::Down => false,
        };
        waits.then_some(process)
    }

    fn is_up(&self, process: usize, incarnation: u32) -> bool {
        self.processes.get(process).is_some_and(|found| found.is_up() && found.incarnation == incarnation)
    }

    fn schedule(&mut self, at: Time, what: SimEvent) {
        let shuffle = self.rng.number();
        self.queue.schedule(at, shuffle, what);
    }

    /// Schedules an event `first` to `last` milliseconds from now.
    fn schedule_within(&mut self, first: u64, last: u64, what: SimEvent) {
        let at = self.now + std::time::Duration::from_millis(self.rng.between(first, last));
        self.schedule(at, what);
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn record_violation(&mut self, rule: &'static str, what: String) {
        log_story!(self, "VIOLATION of {rule}: {what}");
        if self.violation.is_none() {
            self.violation = Some(PromiseViolation { rule, what });
        }
    }

    fn record_check(&mut self, checked: Result<(), PromiseViolation>) {
        if let Err(PromiseViolation { rule, what }) = checked {
            self.record_violation(rule, what);
        }
    }

    fn push_story_line(&mut self, line: String) {
        let (at, now) = (self.now.since(START_TIME), self.steps);
        if let Some(story) = &mut self.story
            && story.len() < STORY_LINES_MAX
        {
            story.push(format!("{now:>5} {:>9.3}s {line}", at.as_secs_f64()));
        }
    }

    fn place(&self, process: usize, run: &RunId, task: u64) -> TaskAddress {
        TaskAddress { process, incarnation: self.processes[process].incarnation, run: run.clone(), task }
    }

    fn is_in_flight(&self, place: &TaskAddress, effect: &EffectId, ticket: u64) -> bool {
        let process = &self.processes[place.process];
        let task = process.tasks.get(&place.run).filter(|task| task.number == place.task);
        process.incarnation == place.incarnation
            && task.is_some_and(|task| task.attempts.get(effect).is_some_and(|out| out.ticket == ticket))
    }
}

pub fn tenant() -> TenantId {
    "clinic".into()
}
