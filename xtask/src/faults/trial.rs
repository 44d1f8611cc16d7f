//! One project with its service, its server and the faults it can be brought into.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

use super::client::Client;
use super::liveness::{Ends, Judge};
use super::load::{Acknowledged, Load};
use super::server::{Project, Server};
use super::service::Service;
use super::shim::{Control, Disk};

pub struct Trial {
    pub project: Project,
    pub service: Service,
    pub control: Control,
    pub server: Server,
    pub acknowledged: Mutex<Acknowledged>,
    judged: BTreeSet<String>,
    folder: tempfile::TempDir,
}

impl Trial {
    pub fn new(root: &Path, binary: &Path, library: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("baton-faults-").tempdir().context("no scratch folder")?;
        let service = Service::default();
        let mut project = Project::new(root, &folder.path().join("project"), binary, library, service.start()?)?;
        let control = Control::new(folder.path().join("control"))?;
        let server = project.start(&control)?;
        let (acknowledged, judged) = (Mutex::default(), BTreeSet::new());
        Ok(Self { project, service, control, server, acknowledged, judged, folder })
    }

    pub fn client(&self) -> Client {
        self.project.client()
    }

    pub fn load(&self) -> Load<'_> {
        Load { client: self.client(), acknowledged: &self.acknowledged }
    }

    /// Runs and conversations that were acknowledged so far.
    pub fn known(&self) -> BTreeSet<String> {
        let known = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        known.runs.keys().chain(known.conversations.keys()).cloned().collect()
    }

    /// Every fault ends; the clock stays where it is.
    pub fn faults_end(&self) -> anyhow::Result<()> {
        self.service.hang(false);
        self.control.disk(Disk::Well)
    }

    /// Another server, in place of one that has ended or is killed.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.server = self.project.start(&self.control).context("it cannot be started again")?;
        Ok(())
    }

    /// Whether everything moves: see [`Judge::judge`].
    pub fn judge(&mut self) -> anyhow::Result<Ends> {
        self.with_judge(|judge, server| judge.judge(server))
    }

    /// Waits until these rest.
    pub fn until_these_rest(&mut self, these: &BTreeSet<String>) -> anyhow::Result<()> {
        self.with_judge(|judge, server| judge.until_all_rest(server, |id| these.contains(id)))
    }

    fn with_judge<T>(&mut self, judge: impl FnOnce(&mut Judge, &mut Server) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let client = self.client();
        let acknowledged = self.acknowledged.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut one = Judge { client: &client, service: &self.service, acknowledged, judged: &mut self.judged };
        judge(&mut one, &mut self.server)
    }

    /// The server is killed; the folder outlives it, to be looked at.
    pub fn keep(self) -> PathBuf {
        let Self { server, folder, .. } = self;
        drop(server);
        folder.keep()
    }
}
