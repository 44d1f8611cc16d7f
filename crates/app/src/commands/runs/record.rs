//! A run as it is recorded.

use baton_core::expr::nearest;
use baton_core::id::RunId;
use baton_core::run::{OpenWait, Run};
use baton_engine::FollowedRun;
use baton_ports::read::{ReadModel, RunFilter, RunHead};

use crate::UsageError;
use crate::project::{Project, display_path};
use crate::wiring::ProjectSystem;

/// Characters from which on the beginning of an id stands for it.
const ID_PREFIX_MIN: usize = 6;
/// Runs that are named where a beginning is that of several.
const PREFIX_MATCHES_SHOWN: usize = 5;
/// Runs looked through for one whose name is near.
const RECENT: usize = 200;

/// A run, its head as lists show it, and all its entries.
pub struct RecordedRun {
    pub head: RunHead,
    pub followed: FollowedRun,
}

impl RecordedRun {
    pub async fn read(system: &ProjectSystem, run: &str) -> anyhow::Result<Self> {
        let head = head(system, run).await?;
        let followed = system.recorded_run(&head.run).await?;
        Ok(Self { head, followed })
    }

    pub fn run(&self) -> &Run {
        &self.followed.run
    }

    /// What the run, and those it runs, wait for.
    pub async fn open(&self, system: &ProjectSystem) -> anyhow::Result<Vec<OpenWait>> {
        let mut open = OpenWait::of(&self.head.run, self.run());
        let mut children = self.run().children();
        while let Some(child) = children.pop() {
            let run = system.recorded_run(&child).await?.run;
            open.extend(OpenWait::of(&child, &run));
            children.extend(run.children());
        }
        Ok(open)
    }
}

/// The project's system, where it has one: a folder in which nothing has run gets no database from looking.
pub fn system(project: &Project) -> anyhow::Result<ProjectSystem> {
    if !project.has_database() {
        return Err(no_runs_error(project).into());
    }
    ProjectSystem::open(project)
}

/// What is said to somebody who asks for what has run where nothing has.
pub fn no_runs_error(project: &Project) -> UsageError {
    UsageError::new(format!("nothing has run here: there is no {}", display_path(&project.database())))
        .hint("`-C FOLDER` names the project; `baton run WORKFLOW` begins a run")
}

/// The head of a run that is there, by its id or by as much of the beginning of one as tells it apart; or which one may
/// have been meant.
pub async fn head(system: &ProjectSystem, run: &str) -> anyhow::Result<RunHead> {
    if let Some(head) = system.store.run(&system.tenant, &RunId::new(run)).await? {
        return Ok(head);
    }
    if run.chars().count() >= ID_PREFIX_MIN {
        let mut begun = system.store.roots_with_prefix(&system.tenant, run, PREFIX_MATCHES_SHOWN + 1).await?;
        match begun.len() {
            0 => {}
            1 => return Ok(begun.swap_remove(0)),
            several => {
                let more = if several > PREFIX_MATCHES_SHOWN { ", …" } else { "" };
                let which =
                    begun.iter().take(PREFIX_MATCHES_SHOWN).map(|head| format!("`{}` ({})", head.run, head.workflow));
                let hint = format!("{}{more}", which.collect::<Vec<_>>().join(", "));
                return Err(UsageError::new(format!("`{run}` is the beginning of several runs")).hint(hint).into());
            }
        }
    }
    let filter = RunFilter { limit: RECENT, ..RunFilter::default() };
    let recent = system.store.runs(&system.tenant, filter).await?;
    let names = || recent.iter().map(|head| head.run.as_str());
    let begun = names().find(|name| !run.is_empty() && name.starts_with(run));
    let hint = match begun.or_else(|| nearest(run, names())) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("`{} runs list` shows those there are", system.command),
    };
    Err(UsageError::new(format!("no run `{run}`")).hint(hint).into())
}
