//! A run as it is recorded in the store.

use baton_core::id::RunId;
use baton_core::run::{OpenWait, Run};
use baton_engine::FollowedRun;
use baton_expr::nearest;
use baton_ports::read::{ReadModel, RunFilter, RunHead};

use crate::UsageError;
use crate::project::{Project, display_path};
use crate::wiring::ProjectSystem;

/// Minimum length of an id prefix.
const ID_PREFIX_MIN: usize = 6;
/// How many runs to list when a prefix is ambiguous.
const PREFIX_MATCHES_SHOWN: usize = 5;
/// How many recent runs to search for a similar id.
const RECENT: usize = 200;

/// A run, its summary for lists, and all its entries.
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

    /// What the run and its child runs wait for.
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

/// The project's system. Does not create a database in a folder where nothing has run.
pub fn system(project: &Project) -> anyhow::Result<ProjectSystem> {
    if !project.has_database() {
        return Err(no_runs_error(project).into());
    }
    ProjectSystem::open(project)
}

/// The error for a request about runs in a project where nothing has run.
pub fn no_runs_error(project: &Project) -> UsageError {
    UsageError::new(format!("nothing has run here: there is no {}", display_path(&project.database())))
        .hint("`-C FOLDER` names the project; `baton run WORKFLOW` begins a run")
}

/// The head of an existing run, by its id or a unique prefix of it. The error suggests similar runs.
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
