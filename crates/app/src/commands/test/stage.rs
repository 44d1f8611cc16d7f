//! Where a test is played: an engine over a database in memory, a clock that stands, and the people of the script.

use std::sync::Arc;
use std::time::Duration;

use baton_core::id::RunId;
use baton_core::run::{Address, Ask, Awaited, Decider, Decision, Entry, Incoming, Open, Run};
use baton_core::time::Time;
use baton_engine::{Delivered, Engine, Error, Follower, Start};
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::DeskItem;
use baton_ports::read::Read;
use baton_ports::registry::{Registry, Version};
use baton_store::sqlite::{self, Store};

use super::case::{Act, Case};
use super::clock::Standing;
use crate::Misuse;
use crate::commands::knowledge::folder;
use crate::commands::run::{message, signal};
use crate::project::{Project, shown};
use crate::told;
use crate::wire::System;

/// How long one test may take. Time that the workflow waits does not count: it is skipped.
const TEST_MAX: Duration = Duration::from_secs(60);
/// How often it is looked at whether all is quiet, where no notice says so.
const GLANCE: Duration = Duration::from_millis(5);
const BY: &str = "tester";

/// Every test's run has the same id, so that what is derived from it is the same each time.
pub fn run_id() -> RunId {
    RunId::new("test")
}

/// What came of playing a test.
pub struct Played {
    pub run: Run,
    pub entries: Vec<Entry>,
    pub desk: Vec<DeskItem>,
    /// What the script could not do.
    pub problems: Vec<String>,
}

pub async fn play(project: &mut Project, case: &Case) -> anyhow::Result<Played> {
    let instead = tools_of(project, case);
    let tools = std::mem::replace(&mut project.tools, instead);
    let stage = Stage::set(project, case).await;
    project.tools = tools;
    let mut stage = stage?;
    // A test that takes too long is found not to be at rest.
    if let Ok(performed) = tokio::time::timeout(TEST_MAX, stage.perform(case)).await {
        performed?;
    }
    stage.end().await
}

/// The project's tools, with the test's own in the place of those of the same name.
fn tools_of(project: &Project, case: &Case) -> Vec<baton_tools::Definition> {
    let is_replaced = |tool: &&baton_tools::Definition| case.tools.iter().any(|own| own.name() == tool.name());
    project.tools.iter().filter(|tool| !is_replaced(tool)).chain(&case.tools).cloned().collect()
}

struct Stage {
    system: System,
    clock: Arc<Standing>,
    engine: Engine,
    follower: Follower,
    problems: Vec<String>,
}

impl Stage {
    async fn set(project: &Project, case: &Case) -> anyhow::Result<Self> {
        let clock = Arc::new(Standing::at(case.now.unwrap_or_else(|| SystemClock.now())));
        let store = Store::in_memory(sqlite::Options::default())?;
        let mut system = System::by_clock(project, store, clock.clone())?;
        // Time is moved, never waited for: a run that waits for an instant is looked for, not slept over.
        system.options.keep_awake = Duration::ZERO;
        system.options.poll = GLANCE;
        let knowledge = project.root.join(folder::FOLDER);
        if knowledge.is_dir() {
            folder::load(&system.memory, &system.tenant, &knowledge).await?;
        }
        let version = save(&mut system, project, case).await?;
        let engine = system.engine().await?;
        let mut follower = told::follower(&engine, &system).by_moved_clock();
        let start = Start {
            run: run_id(),
            tenant: system.tenant.clone(),
            workflow: version.workflow,
            bundle: version.bundle,
            input: case.input.clone(),
            context: case.context.clone(),
            caller: project.settings.caller(&case.context),
        };
        follower.expect(&run_id());
        let problems = match engine.start(start).await {
            Err(Error::Input(unfit)) => vec![format!("the run was refused: {unfit}")],
            Err(other) => return Err(other.into()),
            Ok(()) => match follower.follow_new(&run_id()).await? {
                Delivered::Taken => Vec::new(),
                Delivered::Refused(refusal) => vec![format!("the run was refused: {refusal}")],
                Delivered::Accepted => vec!["the run did not begin".to_owned()],
            },
        };
        Ok(Self { system, clock, engine, follower, problems })
    }

    async fn perform(&mut self, case: &Case) -> anyhow::Result<()> {
        if !self.problems.is_empty() {
            return Ok(());
        }
        self.settle().await?;
        for act in &case.script {
            let has_ended = self.follower.run(&run_id()).is_some_and(|run| run.state().is_end());
            if has_ended && !matches!(act, Act::Rollback) {
                self.problems.push(format!("`{}` is left over: the run has ended", act.word()));
                return Ok(());
            }
            if let Some(problem) = self.enact(act).await? {
                self.problems.push(format!("`{}` {problem}", act.word()));
                return Ok(());
            }
            self.settle().await?;
        }
        Ok(())
    }

    /// Until the run has nothing left to do but wait for somebody outside. Retries wait for nobody: time is moved on to
    /// the next one.
    async fn settle(&mut self) -> anyhow::Result<()> {
        loop {
            if self.follower.rests(&run_id()) {
                return Ok(());
            }
            match self.follower.goes_on_at() {
                Some(at) => self.move_to(at).await?,
                None => {
                    self.follower.glance(GLANCE).await?;
                }
            }
        }
    }

    /// Performs one entry of the script; why it could not be, if it could not.
    async fn enact(&mut self, act: &Act) -> anyhow::Result<Option<String>> {
        let (run, incoming) = match act {
            Act::Wait(time) => {
                self.move_to(self.clock.now() + *time).await?;
                return Ok(None);
            }
            Act::Say(text) => {
                let asker = self.follower.open().into_iter().find(Open::is_question);
                (asker.map_or_else(run_id, |open| open.run), message(text))
            }
            Act::Signal { name, payload } => (run_id(), signal(name, payload.clone())),
            Act::Answer { node, by, decision } => self.answer(node, by, decision),
            Act::Cancel { compensate } => {
                (run_id(), Incoming::Cancel { by: BY.to_owned(), compensate: *compensate, asked_by: Vec::new() })
            }
            Act::Rollback => (run_id(), Incoming::Rollback { by: BY.to_owned(), asked_by: Vec::new() }),
        };
        Ok(match self.follower.deliver(&run, &incoming).await? {
            Delivered::Taken => None,
            Delivered::Refused(refusal) => Some(format!("was refused: {} {refusal}", refusal.code())),
            Delivered::Accepted => Some("was not taken".to_owned()),
        })
    }

    /// An answer goes to the run that asks at this node: the one under test, or one that it runs.
    fn answer(&self, node: &str, by: &Decider, decision: &Decision) -> (RunId, Incoming) {
        let by = by.clone();
        let is_here = |open: &Open| match &open.awaited {
            Awaited::Ask(Ask::Human(at)) | Awaited::Form(at) => at.to_string() == node,
            Awaited::Ask(Ask::Approval(effect) | Ask::Question(effect) | Ask::Budget(effect))
            | Awaited::Question { effect, .. } => effect.call.node.to_string() == node,
            Awaited::Ask(Ask::Customer(_) | Ask::Doubt(_) | Ask::Key(_))
            | Awaited::ByHand(_)
            | Awaited::Signal { .. }
            | Awaited::Held(_)
            | Awaited::Instant(_)
            | Awaited::Resume => false,
        };
        match self.follower.open().into_iter().find(is_here) {
            Some(Open { run, awaited: Awaited::Ask(Ask::Approval(effect) | Ask::Budget(effect)), .. }) => {
                let (approved, note) = match decision {
                    Decision::Approve { note } => (true, note.clone()),
                    Decision::Reject { note } => (false, note.clone()),
                    Decision::Fill { .. } => (false, String::new()),
                };
                (run, Incoming::Approve { effect, by, approved, note })
            }
            Some(Open { run, awaited: Awaited::Question { effect, .. }, .. }) => {
                let incoming = match decision.clone() {
                    Decision::Fill { form } => Incoming::Fill { effect, by: by.name, form },
                    Decision::Approve { note } => Incoming::Approve { effect, by, approved: true, note },
                    Decision::Reject { note } => Incoming::Approve { effect, by, approved: false, note },
                };
                (run, incoming)
            }
            asked => {
                let run = asked.map_or_else(run_id, |open| open.run);
                (run, Incoming::Answer { node: Address::parse(node), by, decision: decision.clone() })
            }
        }
    }

    /// Moves the clock on. A new engine goes on from there: the old one's lease is over by this clock.
    async fn move_to(&mut self, at: Time) -> anyhow::Result<()> {
        self.engine.stop().await?;
        self.clock.move_to(at);
        self.engine = self.system.engine().await?;
        Ok(self.follower.move_to(&self.engine).await?)
    }

    async fn end(mut self) -> anyhow::Result<Played> {
        if self.problems.is_empty() && !self.follower.rests(&run_id()) {
            self.problems.push(format!("the run did not come to rest in {} s", TEST_MAX.as_secs()));
        }
        self.engine.stop().await?;
        let desk = self.system.store.desk(&self.system.tenant, None).await?;
        let followed = self.follower.leave(&run_id()).unwrap_or_default();
        Ok(Played { run: followed.run, entries: followed.entries, desk, problems: self.problems })
    }
}

/// Saves what can run of the project, with the test's own tools; what else is wrong in it is not this test's concern.
async fn save(system: &mut System, project: &Project, case: &Case) -> anyhow::Result<Version> {
    let mut wanted = None;
    let checked = project.check(&mut system.catalog);
    for (_, checked) in &checked {
        let Some((workflow, bundle)) = checked.ready() else { continue };
        let (text, hash) = bundle.seal()?;
        let now = system.clock.now();
        let saved =
            system.store.save(&system.tenant, &workflow.name, &workflow.version, text.into(), &hash, now).await?;
        if saved.workflow == case.workflow {
            wanted = Some(saved);
        }
    }
    wanted.ok_or_else(|| {
        let message = format!(
            "{}: test `{}`: `{}` cannot run with the tools of this test",
            shown(&case.file),
            case.name,
            case.workflow
        );
        Misuse::new(message).hint("a tool that stands in for another needs what the workflow uses of it").into()
    })
}
