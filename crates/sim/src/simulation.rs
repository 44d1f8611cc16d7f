//! One seed's world in motion: processes, store, services and people, one happening after another.

mod calls;
mod customers;
mod faults;
mod happening;
mod keepings;
mod lease;
mod outside;
mod people;
pub mod script;
mod standing;
mod tasks;

use std::collections::BTreeMap;

use baton_core::conversation::IDLE;
use baton_core::id::{RunId, TenantId};
use baton_core::run::{EffectId, FOLD_VERSION};
use baton_core::time::Time;
use baton_engine::Options;
use baton_engine::own_time::Now;
use baton_ports::clock::Steady;

use crate::agenda::Agenda;
use crate::case::Case;
use crate::coverage::Coverage;
use crate::draw::Catalog;
use crate::fake::Books;
use crate::oracle::{Violation, Witness};
use crate::process::{Place, Process, State};
use crate::rng::Rng;
use crate::services::Services;

pub use faults::Storm;
pub use happening::Happening;
use script::Script;

/// The instant every simulation begins at.
const BEGIN: Time = Time::from_ms(1_700_000_000_000);
/// How long before that the machines were booted.
const BOOTED_MS: i64 = 3_600_000;
/// How long after the storm, and after people last saw to what is open, everything must be at rest, in time of the world: some
/// ten times what people and deadlines take, behind a conversation that is closed since nobody says anything.
const CALM_MAX: std::time::Duration = IDLE.saturating_add(std::time::Duration::from_secs(5 * 24 * 3_600));
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
pub struct Report {
    pub violation: Option<Violation>,
    pub steps: u64,
    pub story: Vec<String>,
    pub witness: Witness,
    pub services: Services,
    pub books: Books,
    pub script: Option<Script>,
}

pub struct Simulation<'a> {
    case: &'a Case,
    catalog: &'a Catalog,
    coverage: &'a mut Coverage,
    rng: Rng,
    now: Time,
    agenda: Agenda<Happening>,
    books: Books,
    processes: Vec<Process>,
    services: Services,
    witness: Witness,
    storm: Storm,
    script: Option<Script>,
    options: Options,
    numbers: u64,
    steps: u64,
    /// Something in the store changed that others may have to look at.
    stirred: bool,
    alarm: Option<Time>,
    story: Option<Vec<String>>,
    found: Option<Violation>,
    /// All processes are of one machine, and their clocks one.
    one_clock: bool,
    /// When the storm was over, people last saw to what was open, or all was last found to have ended.
    calm_since: Option<Time>,
    /// The number of the newest message that each customer wrote beyond what was drawn.
    written: BTreeMap<RunId, u64>,
}

/// Tells the story, if anybody wants to hear it.
macro_rules! tell {
    ($sim:expr, $($word:tt)*) => {
        if $sim.story.is_some() {
            let line = format!($($word)*);
            $sim.tell(line);
        }
    };
}
pub(crate) use tell;

impl<'a> Simulation<'a> {
    pub fn new(case: &'a Case, catalog: &'a Catalog, coverage: &'a mut Coverage, storm: Storm, story: bool) -> Self {
        // Other fold versions are drawn at the end of the case's own numbers, so that they move nothing else.
        let mut rng = Rng::new(case.seed ^ 0x5151_5151);
        let upgrades = rng.chance(15);
        let fold = |place: usize| if upgrades && place == 1 { FOLD_VERSION + 1 } else { FOLD_VERSION };
        let one_clock = rng.chance(50);
        let options = Options { snapshot_entries: case.snapshot_entries, ..Options::default() };
        Self {
            case,
            catalog,
            coverage,
            rng,
            now: BEGIN,
            agenda: Agenda::default(),
            books: Books::default(),
            processes: (0..case.processes).map(|place| Process::new(fold(place))).collect(),
            services: Services::default(),
            witness: Witness::new(&case.drawing.versions, case.talks.as_ref()),
            storm,
            script: None,
            options,
            numbers: 0,
            steps: 0,
            stirred: false,
            alarm: None,
            story: story.then(Vec::new),
            found: None,
            one_clock,
            calm_since: None,
            written: BTreeMap::new(),
        }
    }

    /// Goes by a script instead of by chance.
    pub fn with_script(self, script: Script) -> Self {
        Self { script: Some(script), ..self }
    }

    /// Runs to the end: the storm, the calm behind it, and the verdict.
    pub fn run(mut self) -> Report {
        for process in 0..self.processes.len() {
            self.start_process(process);
        }
        for number in 0..self.case.runs {
            let at = self.now + std::time::Duration::from_millis(self.rng.below(50));
            self.put(at, Happening::Starts { run: format!("r{number}").into() });
        }
        self.open_talks();
        self.open_script();
        let mut rounds = 0;
        while self.found.is_none() {
            while self.found.is_none()
                && let Some((at, what)) = self.agenda.take()
            {
                self.step(at, what);
            }
            if self.found.is_some() || !self.help(rounds) {
                break;
            }
            rounds += 1;
        }
        // A script may leave a run in the middle of its way.
        if self.found.is_none() && (self.script.is_none() || self.witness.unfinished(&self.books).is_empty()) {
            self.found = self.witness.verdict(&self.services, &self.books, &tenant()).err();
        }
        Report {
            violation: self.found,
            steps: self.steps,
            story: self.story.unwrap_or_default(),
            witness: self.witness,
            services: self.services,
            books: self.books,
            script: self.script,
        }
    }

    fn step(&mut self, at: Time, what: Happening) {
        self.now = self.now.max(at);
        self.steps += 1;
        if self.steps == STORM_STEPS_MAX {
            self.calm_down();
        }
        if let Some(since) = self.calm_since.filter(|since| self.now.since(*since) > CALM_MAX) {
            let open = self.witness.unfinished(&self.books);
            if !open.is_empty() {
                let calm = self.now.since(since);
                return self.violate("liveness", format!("{open:?} have not come to rest in {calm:?} without a fault"));
            }
            // What has ended may have timers of weeks. What comes of one has as long.
            self.calm_since = Some(self.now);
        }
        if self.steps > STEPS_MAX {
            self.violate("liveness", format!("nothing ended within {STEPS_MAX} steps"));
            return;
        }
        self.happen(what);
        self.stir();
        self.look_after_owned();
    }

    /// What a process sees when it looks at its machine's clocks.
    fn clocks(&self, process: usize) -> Now {
        let (now, set) = (self.now.as_ms(), self.processes[process].clock);
        Now { wall: Time::from_ms(now + set), steady: Steady::from_ms(now - BEGIN.as_ms() + BOOTED_MS) }
    }

    fn happen(&mut self, what: Happening) {
        if let Some(process) = self.stands_still(&what) {
            self.processes[process].held.push_back(what);
            return;
        }
        match what {
            Happening::Arrives { place, append, lost } => self.arrives(place, *append, lost),
            Happening::Answered { place, answer } => self.answered(&place, answer),
            Happening::Checked { place, send, ticket } => self.checked(&place, send, ticket),
            Happening::Reaches { place, send, ticket, .. } => self.reaches(&place, send, ticket),
            Happening::LookedUp { place, send, ticket } => self.looked_up(&place, &send, ticket),
            Happening::Back { place, ticket, call, input, asked } => self.back(&place, ticket, call, *input, asked),
            Happening::Woken { place, at } => self.woken(&place, at),
            Happening::Nudged { process, incarnation, run } if self.is_up(process, incarnation) => {
                self.announce(process, &run);
            }
            Happening::Claims { process, incarnation, run } if self.is_up(process, incarnation) => {
                self.claim(process, run);
            }
            Happening::Spawned { process, incarnation, run, claimed, lease } if self.is_up(process, incarnation) => {
                self.spawned(process, run, &claimed, lease);
            }
            Happening::Polls { process, incarnation } if self.is_up(process, incarnation) => self.poll(process),
            Happening::Again { process, incarnation } if self.is_up(process, incarnation) => self.again(process),
            Happening::Renews { process, incarnation } if self.is_up(process, incarnation) => self.renew(process),
            Happening::Thaws { process, incarnation } => self.thaw(process, incarnation),
            Happening::Restarts { process } => self.restart(process),
            Happening::Alarm => {
                self.alarm = None;
                self.stirred = true;
            }
            Happening::Submits { submit } => self.submit(*submit),
            Happening::Looks { item } => self.look(&item),
            Happening::Starts { run } => self.start_run(&run),
            Happening::Cued { run, act } => self.cued(&run, *act),
            Happening::Nudged { .. }
            | Happening::Claims { .. }
            | Happening::Spawned { .. }
            | Happening::Polls { .. }
            | Happening::Again { .. }
            | Happening::Renews { .. } => {}
        }
    }

    /// Whether this happens to a process that is frozen, and so has to wait.
    fn stands_still(&self, what: &Happening) -> Option<usize> {
        let (process, incarnation, is_inside) = match what {
            Happening::Answered { place, .. }
            | Happening::Checked { place, .. }
            | Happening::Back { place, .. }
            | Happening::Woken { place, .. } => (place.process, place.incarnation, true),
            Happening::Arrives { place, .. }
            | Happening::Reaches { place, is_marked: false, .. }
            | Happening::LookedUp { place, .. } => (place.process, place.incarnation, false),
            // A marked call that left is on the wire. A process that stands still between its last look at the clock and
            // the socket can act past its deadline; that window is named in the guide, and is not simulated.
            Happening::Reaches { is_marked: true, .. } => return None,
            Happening::Nudged { process, incarnation, .. }
            | Happening::Claims { process, incarnation, .. }
            | Happening::Spawned { process, incarnation, .. }
            | Happening::Polls { process, incarnation }
            | Happening::Again { process, incarnation }
            | Happening::Renews { process, incarnation } => (*process, *incarnation, true),
            Happening::Thaws { .. }
            | Happening::Restarts { .. }
            | Happening::Alarm
            | Happening::Submits { .. }
            | Happening::Looks { .. }
            | Happening::Cued { .. }
            | Happening::Starts { .. } => return None,
        };
        let found = self.processes.get(process)?;
        let waits = match found.state {
            State::Frozen { holds } => found.incarnation == incarnation && (is_inside || holds),
            State::Up | State::Down => false,
        };
        waits.then_some(process)
    }

    fn is_up(&self, process: usize, incarnation: u32) -> bool {
        self.processes.get(process).is_some_and(|found| found.is_up() && found.incarnation == incarnation)
    }

    fn put(&mut self, at: Time, what: Happening) {
        let shuffle = self.rng.number();
        self.agenda.put(at, shuffle, what);
    }

    /// Puts something on the agenda `first` to `last` milliseconds from now.
    fn soon(&mut self, first: u64, last: u64, what: Happening) {
        let at = self.now + std::time::Duration::from_millis(self.rng.between(first, last));
        self.put(at, what);
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn violate(&mut self, rule: &'static str, what: String) {
        tell!(self, "VIOLATION of {rule}: {what}");
        if self.found.is_none() {
            self.found = Some(Violation { rule, what });
        }
    }

    fn heed(&mut self, checked: Result<(), Violation>) {
        if let Err(Violation { rule, what }) = checked {
            self.violate(rule, what);
        }
    }

    fn tell(&mut self, line: String) {
        let (at, now) = (self.now.since(BEGIN), self.steps);
        if let Some(story) = &mut self.story
            && story.len() < STORY_LINES_MAX
        {
            story.push(format!("{now:>5} {:>9.3}s {line}", at.as_secs_f64()));
        }
    }

    fn place(&self, process: usize, run: &RunId, task: u64) -> Place {
        Place { process, incarnation: self.processes[process].incarnation, run: run.clone(), task }
    }

    fn is_out(&self, place: &Place, effect: &EffectId, ticket: u64) -> bool {
        let process = &self.processes[place.process];
        let task = process.tasks.get(&place.run).filter(|task| task.number == place.task);
        process.incarnation == place.incarnation
            && task.is_some_and(|task| task.out.get(effect).is_some_and(|out| out.ticket == ticket))
    }
}

pub fn tenant() -> TenantId {
    "clinic".into()
}
