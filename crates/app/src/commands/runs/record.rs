//! A run as it is recorded.

use baton_core::expr::nearest;
use baton_core::id::RunId;
use baton_core::run::{Open, Run};
use baton_engine::Followed;
use baton_ports::read::{Read, RunFilter, RunHead};

use crate::Misuse;
use crate::project::{Project, shown};
use crate::wire::System;

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
    let file = project.database();
    if !file.exists() {
        return Err(Misuse::new(format!("nothing has run here: there is no {}", shown(&file)))
            .hint("`-C FOLDER` names the project; `baton run WORKFLOW` begins a run")
            .into());
    }
    System::open(project)
}

/// The head of a run that is there, or which one may have been meant.
pub async fn head(system: &System, run: &str) -> anyhow::Result<RunHead> {
    if let Some(head) = system.store.run(&system.tenant, &RunId::new(run)).await? {
        return Ok(head);
    }
    let filter = RunFilter { limit: RECENT, ..RunFilter::default() };
    let recent = system.store.runs(&system.tenant, filter).await?;
    let names = || recent.iter().map(|head| head.run.as_str());
    let begun = names().find(|name| !run.is_empty() && name.starts_with(run));
    let hint = match begun.or_else(|| nearest(run, names())) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "`baton runs list` shows those there are".to_owned(),
    };
    Err(Misuse::new(format!("no run `{run}`")).hint(hint).into())
}
