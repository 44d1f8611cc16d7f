//! One seed's world in motion: processes, store, services and people, one happening after another.

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

/// The instant every simulation begins at.
const START_TIME: Time = Time::from_ms(1_700_000_000_000);
/// How long before that the machines were booted.
const BOOTED_MS: i64 = 3_600_000;
/// How long after the storm, and after people last saw to what is open, everything must be at rest, in time of the world: some
/// ten times what people and deadlines take, behind a conversation that is closed since nobody says anything.
const CALM_MAX: std::time::Duration = IDLE_TIMEOUT.saturating_add(std::time::Duration::from_secs(5 * 24 * 3_600));
/// Happenings after which a simulation is said never to end.
const STEPS_MAX: u64 = 60_000;
/// Happenings after which the storm is over whatever is still planned.
const STORM_STEPS_MAX: u64 = 1_500;
/// Times that people look at everything that is open, once nothing moves by itself.
const ROUNDS_MAX: u32 = 60;
/// Lines of a story that are kept.
const STORY_LINES_MAX: usize = 4_000;

/// What came of a seed.
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
    /// Something in the store changed that others may have to look at.
    store_changed: bool,
    alarm: Option<Time>,
    story: Option<Vec<String>>,
    violation: Option<PromiseViolation>,
    /// All processes are of one machine, and their clocks one.
    one_clock: bool,
    /// When the storm was over, people last saw to what was open, or all was last found to have ended.
    calm_since: Option<Time>,
    /// The number of the newest message that each customer wrote beyond what was drawn.
    last_messages: BTreeMap<RunId, u64>,
}

/// Tells the story, if anybody wants to hear it.
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
        // Other fold versions are drawn at the end of the case's own numbers, so that they move nothing else.
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

    /// Goes by a script instead of by chance.
    pub fn with_script(self, script: SimScript) -> Self {
        Self { script: Some(script), ..self }
    }

    /// Runs to the end: the storm, the calm behind it, and the verdict.
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
        // A script may leave a run in the middle of its way.
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
            // What has ended may have timers of weeks. What comes of one has as long.
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

    /// What a process sees when it looks at its machine's clocks.
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

    /// Whether this happens to a process that is frozen, and so has to wait.
    fn frozen_process(&self, what: &SimEvent) -> Option<usize> {
        let (process, incarnation, is_inside) = match what {
            SimEvent::AppendAnswered { place, .. }
            | SimEvent::CallChecked { place, .. }
            | SimEvent::AnswerArrives { place, .. }
            | SimEvent::TimerFires { place, .. } => (place.process, place.incarnation, true),
            SimEvent::AppendArrives { place, .. }
            | SimEvent::CallReachesService { place, is_marked: false, .. }
            | SimEvent::CallLookedUp { place, .. } => (place.process, place.incarnation, false),
            // A marked call that left is on the wire. A process that stands still between its last look at the clock and
            // the socket can act past its deadline; that window is named in the guide, and is not simulated.
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

    /// Puts something on the agenda `first` to `last` milliseconds from now.
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
