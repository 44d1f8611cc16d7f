//! A run as it is recorded.

use baton_core::expr::nearest;
use baton_core::id::RunId;
use baton_core::run::{Open, Run};
use baton_engine::Followed;
use baton_ports::read::{Read, RunFilter, RunHead};

use crate::Misuse;
use crate::project::{Project, shown};
use crate::wire::System;

/// Characters from which on the beginning of an id stands for it.
const BEGINNING_MIN: usize = 6;
/// Runs that are named where a beginning is that of several.
const BEGUN_TOLD: usize = 5;
/// Runs looked through for one whose name is near.
const RECENT: usize = 200;

/// A run, its head as lists show it, and all its entries.
pub struct Record {
    pub head: RunHead,
    pub followed: Followed,
}

impl Record {
    pub async fn read(system: &System, run: &str) -> anyhow::Result<Self> {
        let head = head(system, run).await?;
        let followed = system.recorded(&head.run).await?;
        Ok(Self { head, followed })
    }

    pub fn run(&self) -> &Run {
        &self.followed.run
    }

    /// What the run, and those it runs, wait for.
    pub async fn open(&self, system: &System) -> anyhow::Result<Vec<Open>> {
        let mut open = Open::of(&self.head.run, self.run());
        let mut children = self.run().children();
        while let Some(child) = children.pop() {
            let run = system.recorded(&child).await?.run;
            open.extend(Open::of(&child, &run));
            children.extend(run.children());
        }
        Ok(open)
    }
}

/// The project's system, where it has one: a folder in which nothing has run gets no database from looking.
pub fn system(project: &Project) -> anyhow::Result<System> {
    if !project.has_database() {
        return Err(nothing_has_run(project).into());
    }
    System::open(project)
}

/// What is said to somebody who asks for what has run where nothing has.
pub fn nothing_has_run(project: &Project) -> Misuse {
    Misuse::new(format!("nothing has run here: there is no {}", shown(&project.database())))
        .hint("`-C FOLDER` names the project; `baton run WORKFLOW` begins a run")
}

/// The head of a run that is there, by its id or by as much of the beginning of one as tells it apart; or which one may
/// have been meant.
pub async fn head(system: &System, run: &str) -> anyhow::Result<RunHead> {
    if let Some(head) = system.store.run(&system.tenant, &RunId::new(run)).await? {
        return Ok(head);
    }
    if run.chars().count() >= BEGINNING_MIN {
        let mut begun = system.store.begun_by(&system.tenant, run, BEGUN_TOLD + 1).await?;
        match begun.len() {
            0 => {}
            1 => return Ok(begun.swap_remove(0)),
            several => {
                let more = if several > BEGUN_TOLD { ", …" } else { "" };
                let which = begun.iter().take(BEGUN_TOLD).map(|head| format!("`{}` ({})", head.run, head.workflow));
                let hint = format!("{}{more}", which.collect::<Vec<_>>().join(", "));
                return Err(Misuse::new(format!("`{run}` is the beginning of several runs")).hint(hint).into());
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
    Err(Misuse::new(format!("no run `{run}`")).hint(hint).into())
}
