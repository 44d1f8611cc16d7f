//! Reloads a project's files when they change. A changed workflow becomes a new version, new agents and tools are
//! available to what is created from then on, and changed triggers take effect. Files that cannot be read or cannot run
//! are reported, and the previous state stays in effect.
//!
//! The files are polled, not watched: an editor may write a file in many ways, and a folder may be on a disk without
//! change notifications.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use baton_engine::Engine;
use baton_ports::registry::WorkflowRegistry as _;
use baton_server::{ServedFiles, WorkflowTemplate};
use tokio::sync::{mpsc, watch};

use crate::commands::init;
use crate::config::ActivationPolicy;
use crate::project::Project;
use crate::sources::{RefreshRequest, ToolSources};
use crate::wiring::{ProjectSystem, catalog_of};
use crate::{UsageError, print};

/// Polling interval.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Folders whose files are reloaded. Changed settings need a restart, because the process is built from them.
const FOLDERS: [&str; 4] = ["workflows", "agents", "prompts", "triggers"];
/// Folders of tools, and of the documents they are made from.
const TOOL_FOLDERS: [&str; 2] = ["tools", "apis"];

/// Maximum number of files of one folder that are polled.
const FILES_MAX: usize = 5_000;

/// Identifies changed files by modification time and size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct FolderFingerprint(BTreeMap<PathBuf, (Option<SystemTime>, u64)>);

/// The fingerprint of all folders.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ProjectFingerprint {
    tools: FolderFingerprint,
    others: FolderFingerprint,
}

impl ProjectFingerprint {
    pub fn of(root: &Path) -> Self {
        Self { tools: FolderFingerprint::of(root, &TOOL_FOLDERS), others: FolderFingerprint::of(root, &FOLDERS) }
    }
}

impl FolderFingerprint {
    /// A folder that cannot be read counts as empty.
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

/// The parts of a project's files that the server needs.
pub fn files(project: &Project, system: &ProjectSystem) -> anyhow::Result<ServedFiles> {
    Ok(ServedFiles {
        tenant: Some(project.tenant()?),
        catalog: catalog_of(&*system.tools, None, project.agents.clone()),
        own_agents: project.own_agents.clone(),
        templates: init::workflows().map(|(name, text)| WorkflowTemplate { name, text }).collect(),
        four_eyes: project.settings.workflows.four_eyes,
    })
}

pub struct ProjectReloader<'s> {
    pub system: &'s ProjectSystem,
    pub engine: &'s Engine,
    pub files: &'s watch::Sender<Arc<ServedFiles>>,
    pub sources: &'s ToolSources,
    /// Notified when triggers may have changed.
    pub files_changed: watch::Sender<()>,
    /// The fingerprint at the last read, whether or not that read succeeded.
    pub fingerprint: ProjectFingerprint,
    /// Sources in the files that are to be asked now.
    pub refresh_requests: mpsc::Receiver<RefreshRequest>,
}

impl ProjectReloader<'_> {
    /// Runs as long as the process serves.
    pub async fn run(mut self, root: &Path) -> Infallible {
        let mut taken_in = self.fingerprint.tools.clone();
        loop {
            let wanted = tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => None,
                Some(wanted) = self.refresh_requests.recv() => Some(wanted),
            };
            let prints = read_blocking(root, |root| Ok(ProjectFingerprint::of(root))).await.unwrap_or_default();
            if prints == self.fingerprint && wanted.is_none() {
                continue;
            }
            self.fingerprint = prints;
            // Tools that could not be loaded are retried with the next change.
            if let Err(error) = self.reload_project(root, &mut taken_in, wanted).await {
                print::note(format_args!("note: the project's files changed and are not taken in: {error:#}"));
            }
        }
    }

    async fn reload_project(
        &self,
        root: &Path,
        taken_in: &mut FolderFingerprint,
        wanted: Option<RefreshRequest>,
    ) -> anyhow::Result<()> {
        let name = wanted.as_ref().map(|wanted| wanted.name.clone());
        let project = read_blocking(root, move |root| Project::open_refreshing(root, name.as_deref())).await?;
        // Ignore a folder that was removed, or is not mounted now.
        if self.fingerprint == ProjectFingerprint::default() && !project.exists() {
            return Err(project.not_a_project().into());
        }
        if wanted.is_some() || *taken_in != self.fingerprint.tools {
            let sources = project.servers.iter().map(|server| server.source.clone()).collect();
            let redefined = self.system.tools.redefine(project.tools.clone(), sources);
            redefined.map_err(|error| UsageError::new(error.to_string()))?;
            taken_in.clone_from(&self.fingerprint.tools);
            self.sources.set_project(&project);
        }
        if let Some(wanted) = wanted {
            // The requester may be gone.
            let _ = wanted.done.send(());
        }
        let files = files(&project, self.system)?;
        let mut catalog = files.catalog.clone();
        catalog.tools = catalog_of(&*self.system.tools, Some(&self.system.tenant), BTreeMap::new()).tools;
        let registered = self.system.agent_registry.registered(&self.system.tenant).await?;
        catalog.agents.extend(registered.into_iter().filter(|(name, _)| !project.own_agents.contains(name)));
        let sorted = project.check_workflows(&mut catalog)?;
        // Publish the agents first, so that a new workflow finds those that it may name.
        self.files.send_replace(Arc::new(files));
        for ready in &sorted.ready {
            let known = self.system.store.versions(&self.system.tenant, &ready.name).await?;
            let version = self.system.save_version(ready, project.settings.workflows.activate).await?;
            if known.iter().any(|known| known.revision == version.revision) {
                continue;
            }
            let (name, revision) = (&version.workflow, version.revision);
            match project.settings.workflows.activate {
                ActivationPolicy::AtOnce => print::note(format_args!("`{name}` is at revision {revision} now")),
                ActivationPolicy::ByHand => {
                    print::note(format_args!("`{name}` has a revision {revision} to be activated"))
                }
            }
        }
        self.system.save_triggers(&project, &sorted, self.engine, false).await?;
        // There may be no listener yet.
        let _ = self.files_changed.send(());
        for findings in sorted.findings() {
            print::note(findings);
        }
        match sorted.rejected_note() {
            Some(note) => Err(UsageError::new(format!("{note}; what stood before stands")).into()),
            None => Ok(()),
        }
    }
}

/// Reads files on a thread where blocking is allowed.
async fn read_blocking<T: Send + 'static>(
    root: &Path,
    read: impl FnOnce(&Path) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let root = root.to_owned();
    tokio::task::spawn_blocking(move || read(&root)).await?
}
