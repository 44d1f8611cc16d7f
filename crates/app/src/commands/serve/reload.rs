//! A project's files, read again when they change: a changed workflow becomes a new version, new agents and tools are known
//! to what is made from then on, and changed triggers hold. What cannot be read or cannot run is told, and what stood before
//! stands.
//!
//! Looked at and not listened to: an editor may write a file in many ways, and a folder may lie on a disk that tells nobody.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use baton_engine::Engine;
use baton_ports::registry::Registry as _;
use baton_server::{Files, Template};
use tokio::sync::{mpsc, watch};

use crate::commands::init;
use crate::config::Activate;
use crate::project::Project;
use crate::sources::{Sources, Wanted};
use crate::wire::{System, catalog_of};
use crate::{Misuse, print};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Folders whose files are read again. The settings are what the process is put together of: they take a restart.
const FOLDERS: [&str; 4] = ["workflows", "agents", "prompts", "triggers"];
/// Folders of tools, and of what those are made of.
const OF_TOOLS: [&str; 2] = ["tools", "apis"];

/// Files of one folder that are looked at.
const FILES_MAX: usize = 5_000;

/// What tells files that changed from those that did not: when they were written, and their size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Print(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

/// The same of all folders.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Prints {
    tools: Print,
    others: Print,
}

impl Prints {
    pub fn of(root: &Path) -> Self {
        Self { tools: Print::of(root, &OF_TOOLS), others: Print::of(root, &FOLDERS) }
    }
}

impl Print {
    /// A folder that cannot be read has no files.
    fn of(root: &Path, folders: &[&str]) -> Self {
        let mut files = BTreeMap::new();
        for folder in folders {
            let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
            for file in entries.take(FILES_MAX) {
                if let Ok(about) = file.metadata() {
                    files.insert(file.path(), (about.modified().ok(), about.len()));
                }
            }
        }
        Self(files)
    }
}

/// What of a project's files the doors have a use for.
pub fn files(project: &Project, system: &System) -> anyhow::Result<Files> {
    Ok(Files {
        tenant: Some(project.tenant()?),
        catalog: catalog_of(&*system.tools, None, project.agents.clone()),
        own_agents: project.own_agents.clone(),
        templates: init::workflows().map(|(name, text)| Template { name, text }).collect(),
        four_eyes: project.settings.workflows.four_eyes,
    })
}

pub struct Reload<'s> {
    pub system: &'s System,
    pub engine: &'s Engine,
    pub files: &'s watch::Sender<Arc<Files>>,
    pub sources: &'s Sources,
    /// Told where triggers may have changed.
    pub fresh: watch::Sender<()>,
    /// As they were when they were read last, well or not.
    pub seen: Prints,
    /// Sources of the files that are to be asked now.
    pub wants: mpsc::Receiver<Wanted>,
}

impl Reload<'_> {
    /// For as long as the process serves.
    pub async fn run(mut self, root: &Path) -> Infallible {
        let mut taken_in = self.seen.tools.clone();
        loop {
            let wanted = tokio::select! {
                () = tokio::time::sleep(LOOK) => None,
                Some(wanted) = self.wants.recv() => Some(wanted),
            };
            let prints = at_work(root, |root| Ok(Prints::of(root))).await.unwrap_or_default();
            if prints == self.seen && wanted.is_none() {
                continue;
            }
            self.seen = prints;
            // Tools that could not be taken in are tried again with whatever changes next.
            if let Err(error) = self.read(root, &mut taken_in, wanted).await {
                print::note(format_args!("note: the project's files changed and are not taken in: {error:#}"));
            }
        }
    }

    async fn read(&self, root: &Path, taken_in: &mut Print, wanted: Option<Wanted>) -> anyhow::Result<()> {
        let name = wanted.as_ref().map(|wanted| wanted.name.clone());
        let project = at_work(root, move |root| Project::open_asking(root, name.as_deref())).await?;
        // A folder that is gone, or not mounted now, has nothing to say.
        if self.seen == Prints::default() && !project.is_there() {
            return Err(project.not_there().into());
        }
        if wanted.is_some() || *taken_in != self.seen.tools {
            let sources = project.servers.iter().map(|server| server.source.clone()).collect();
            let redefined = self.system.tools.redefine(project.tools.clone(), sources);
            redefined.map_err(|error| Misuse::new(error.to_string()))?;
            taken_in.clone_from(&self.seen.tools);
            self.sources.know(&project);
        }
        if let Some(wanted) = wanted {
            // Whoever asked may have gone.
            let _ = wanted.taken.send(());
        }
        let files = files(&project, self.system)?;
        let mut catalog = files.catalog.clone();
        catalog.tools = catalog_of(&*self.system.tools, Some(&self.system.tenant), BTreeMap::new()).tools;
        let registered = self.system.roster.registered(&self.system.tenant).await?;
        catalog.agents.extend(registered.into_iter().filter(|(name, _)| !project.own_agents.contains(name)));
        let sorted = project.sorted(&mut catalog)?;
        // Agents first: whoever makes a workflow now finds those that it may name.
        self.files.send_replace(Arc::new(files));
        for ready in &sorted.ready {
            let known = self.system.store.versions(&self.system.tenant, &ready.name).await?;
            let version = self.system.keep(ready, project.settings.workflows.activate).await?;
            if known.iter().any(|known| known.revision == version.revision) {
                continue;
            }
            let (name, revision) = (&version.workflow, version.revision);
            match project.settings.workflows.activate {
                Activate::AtOnce => print::note(format_args!("`{name}` is at revision {revision} now")),
                Activate::ByHand => print::note(format_args!("`{name}` has a revision {revision} to be activated")),
            }
        }
        self.system.keep_triggers(&project, &sorted, self.engine, false).await?;
        // Nobody may listen yet.
        let _ = self.fresh.send(());
        for findings in sorted.findings() {
            print::note(findings);
        }
        match sorted.note() {
            Some(note) => Err(Misuse::new(format!("{note}; what stood before stands")).into()),
            None => Ok(()),
        }
    }
}

/// Reads files where nobody waits for it.
async fn at_work<T: Send + 'static>(
    root: &Path,
    read: impl FnOnce(&Path) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let root = root.to_owned();
    tokio::task::spawn_blocking(move || read(&root)).await?
}
