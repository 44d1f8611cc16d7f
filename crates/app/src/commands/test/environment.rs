//! The environment of a test: an engine over a database in memory, a manual clock, and the people of the script.

use std::sync::Arc;
use std::time::Duration;

use baton_core::id::RunId;
use baton_core::run::{
    DecisionMaker, HumanDecision, HumanTask, IncomingCommand, NodeAddress, OpenWait, Run, RunEntry, WaitKind,
};
use baton_core::time::Time;
use baton_engine::{DeliveryResult, Engine, EngineError, RunFollower, RunStart};
use baton_ports::clock::{Clock, SystemClock};
use baton_ports::journal::TaskItem;
use baton_ports::read::ReadModel;
use baton_ports::registry::{WorkflowRegistry, WorkflowVersion};
use baton_store::sqlite::{self, SqliteStore};

use super::case::{TestAction, WorkflowTest};
use super::clock::TestClock;
use crate::UsageError;
use crate::commands::knowledge::folder;
use crate::commands::run::{message, signal};
use crate::progress;
use crate::project::{Project, display_path};
use crate::wiring::ProjectSystem;

/// Time limit of one test. Time that the workflow waits does not count, because it is skipped.
const TEST_MAX: Duration = Duration::from_secs(60);
/// Interval for checking whether the run is idle, if no notification arrives.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
const TESTER: &str = "tester";

/// The run of every test has the same id, so that values derived from it are deterministic.
pub fn run_id() -> RunId {
    RunId::new("test")
}

/// The result of running a test.
pub struct TestTrace {
    pub run: Run,
    pub entries: Vec<RunEntry>,
    pub desk: Vec<TaskItem>,
    /// Script entries that could not be performed.
    pub problems: Vec<String>,
}

pub async fn run_test(project: &mut Project, case: &WorkflowTest) -> anyhow::Result<TestTrace> {
    let instead = tools_of(project, case);
    let tools = std::mem::replace(&mut project.tools, instead);
    let stage = TestEnvironment::prepare(project, case).await;
    project.tools = tools;
    let mut stage = stage?;
    // A test that exceeds the limit is reported as not idle.
    if let Ok(performed) = tokio::time::timeout(TEST_MAX, stage.run_script(case)).await {
        performed?;
    }
    stage.finish().await
}

/// The project's tools. The test's own tools replace those of the same name.
fn tools_of(project: &Project, case: &WorkflowTest) -> Vec<baton_tools::ToolDefinition> {
    let is_replaced = |tool: &&baton_tools::ToolDefinition| case.tools.iter().any(|own| own.name() == tool.name());
    project.tools.iter().filter(|tool| !is_replaced(tool)).chain(&case.tools).cloned().collect()
}

struct TestEnvironment {
    system: ProjectSystem,
    clock: Arc<TestClock>,
    engine: Engine,
    follower: RunFollower,
    problems: Vec<String>,
}

impl TestEnvironment {
    async fn prepare(project: &Project, case: &WorkflowTest) -> anyhow::Result<Self> {
        let clock = Arc::new(TestClock::at(case.now.unwrap_or_else(|| SystemClock.now())));
        let store = SqliteStore::in_memory(sqlite::StoreOptions::default())?;
        let mut system = ProjectSystem::with_clock(project, store, clock.clone())?;
        // Time is advanced, never waited for: a run that waits for a point in time is loaded again, not kept awake.
        system.options.keep_awake = Duration::ZERO;
        system.options.poll = POLL_INTERVAL;
        let knowledge = project.root.join(folder::FOLDER);
        if knowledge.is_dir() {
            folder::add_folder(&system.memory, &system.tenant, &knowledge).await?;
        }
        let version = save(&mut system, project, case).await?;
        let engine = system.engine().await?;
        let mut follower = progress::follower(&engine, &system).with_manual_clock();
        let start = RunStart {
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
            Err(EngineError::Input(unfit)) => vec![format!("the run was refused: {unfit}")],
            Err(other) => return Err(other.into()),
            Ok(()) => match follower.follow_new(&run_id()).await? {
                DeliveryResult::Applied => Vec::new(),
                DeliveryResult::Refused(refusal) => vec![format!("the run was refused: {refusal}")],
                DeliveryResult::Accepted => vec!["the run did not begin".to_owned()],
            },
        };
        Ok(Self { system, clock, engine, follower, problems })
    }

    async fn run_script(&mut self, case: &WorkflowTest) -> anyhow::Result<()> {
        if !self.problems.is_empty() {
            return Ok(());
        }
        self.run_until_idle().await?;
        for act in &case.script {
            let has_ended = self.follower.run(&run_id()).is_some_and(|run| run.state().is_end());
            if has_ended && !matches!(act, TestAction::Rollback) {
                self.problems.push(format!("`{}` is left over: the run has ended", act.word()));
                return Ok(());
            }
            if let Some(problem) = self.apply_action(act).await? {
                self.problems.push(format!("`{}` {problem}", act.word()));
                return Ok(());
            }
            self.run_until_idle().await?;
        }
        Ok(())
    }

    /// Executes the run until it only waits for outside input. For retries the clock is advanced to the next one.
    async fn run_until_idle(&mut self) -> anyhow::Result<()> {
        loop {
            if self.follower.is_idle(&run_id()) {
                return Ok(());
            }
            match self.follower.next_call_at() {
                Some(at) => self.advance_clock(at).await?,
                None => {
                    self.follower.wait_for_change(POLL_INTERVAL).await?;
                }
            }
        }
    }

    /// Performs one entry of the script. Returns why it could not be performed, if it could not.
    async fn apply_action(&mut self, act: &TestAction) -> anyhow::Result<Option<String>> {
        let (run, incoming) = match act {
            TestAction::Wait(time) => {
                self.advance_clock(self.clock.now() + *time).await?;
                return Ok(None);
            }
            TestAction::Say(text) => {
                let asker = self.follower.open_waits().into_iter().find(OpenWait::is_customer_question);
                (asker.map_or_else(run_id, |open| open.run), message(text))
            }
            TestAction::Signal { name, payload } => (run_id(), signal(name, payload.clone())),
            TestAction::Answer { node, by, decision } => self.answer(node, by, decision),
            TestAction::Cancel { compensate } => (
                run_id(),
                IncomingCommand::Cancel { by: TESTER.to_owned(), compensate: *compensate, asked_by: Vec::new() },
            ),
            TestAction::Rollback => {
                (run_id(), IncomingCommand::Rollback { by: TESTER.to_owned(), asked_by: Vec::new() })
            }
        };
        Ok(match self.follower.deliver(&run, &incoming).await? {
            DeliveryResult::Applied => None,
            DeliveryResult::Refused(refusal) => Some(format!("was refused: {} {refusal}", refusal.code())),
            DeliveryResult::Accepted => Some("was not taken".to_owned()),
        })
    }

    /// An answer goes to the run that asks at this node: the run under test, or one of its child runs.
    fn answer(&self, node: &str, by: &DecisionMaker, decision: &HumanDecision) -> (RunId, IncomingCommand) {
        let by = by.clone();
        let is_here = |open: &OpenWait| match &open.kind {
            WaitKind::Ask(HumanTask::Human(at)) | WaitKind::Form(at) => at.to_string() == node,
            WaitKind::Ask(HumanTask::Approval(effect) | HumanTask::Question(effect) | HumanTask::Budget(effect))
            | WaitKind::Question { effect, .. } => effect.call.node.to_string() == node,
            WaitKind::Ask(HumanTask::Customer(_) | HumanTask::Doubt(_) | HumanTask::Key(_))
            | WaitKind::Manual(_)
            | WaitKind::Signal { .. }
            | WaitKind::Held(_)
            | WaitKind::Instant(_)
            | WaitKind::Resume => false,
        };
        match self.follower.open_waits().into_iter().find(is_here) {
            Some(OpenWait {
                run,
                kind: WaitKind::Ask(HumanTask::Approval(effect) | HumanTask::Budget(effect)),
                ..
            }) => {
                let (approved, note) = match decision {
                    HumanDecision::Approve { note } => (true, note.clone()),
                    HumanDecision::Reject { note } => (false, note.clone()),
                    HumanDecision::Fill { .. } => (false, String::new()),
                };
                (run, IncomingCommand::Approve { effect, by, approved, note })
            }
            Some(OpenWait { run, kind: WaitKind::Question { effect, .. }, .. }) => {
                let incoming = match decision.clone() {
                    HumanDecision::Fill { form } => IncomingCommand::Fill { effect, by: by.name, form },
                    HumanDecision::Approve { note } => IncomingCommand::Approve { effect, by, approved: true, note },
                    HumanDecision::Reject { note } => IncomingCommand::Approve { effect, by, approved: false, note },
                };
                (run, incoming)
            }
            asked => {
                let run = asked.map_or_else(run_id, |open| open.run);
                (run, IncomingCommand::Answer { node: NodeAddress::parse(node), by, decision: decision.clone() })
            }
        }
    }

    /// Advances the clock. A new engine continues from there, because the old one's lease has expired by this clock.
    async fn advance_clock(&mut self, at: Time) -> anyhow::Result<()> {
        self.engine.stop().await?;
        self.clock.move_to(at);
        self.engine = self.system.engine().await?;
        Ok(self.follower.switch_engine(&self.engine).await?)
    }

    async fn finish(mut self) -> anyhow::Result<TestTrace> {
        if self.problems.is_empty() && !self.follower.is_idle(&run_id()) {
            self.problems.push(format!("the run did not come to rest in {} s", TEST_MAX.as_secs()));
        }
        self.engine.stop().await?;
        let desk = self.system.store.open_tasks(&self.system.tenant, None).await?;
        let followed = self.follower.unfollow(&run_id()).unwrap_or_default();
        Ok(TestTrace { run: followed.run, entries: followed.entries, desk, problems: self.problems })
    }
}

/// Saves the workflows of the project that can run, with the test's own tools. Other errors in the project are ignored.
async fn save(system: &mut ProjectSystem, project: &Project, case: &WorkflowTest) -> anyhow::Result<WorkflowVersion> {
    let mut wanted = None;
    let checked = project.check(&mut system.catalog);
    for (_, checked) in &checked {
        let Some((workflow, bundle)) = checked.runnable() else { continue };
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
            display_path(&case.file),
            case.name,
            case.workflow
        );
        UsageError::new(message).hint("a tool that stands in for another needs what the workflow uses of it").into()
    })
}
