//! One project with its service, its server, and the control of its faults.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

use super::client::FaultsClient;
use super::liveness::{LivenessCheck, RunEndCounts};
use super::load::{AcknowledgedWork, RoundLoad};
use super::server::{ShimProject, ShimServer};
use super::service::ToolService;
use super::shim::{DiskFault, ShimControl};

pub struct FaultTrial {
    pub project: ShimProject,
    pub service: ToolService,
    pub control: ShimControl,
    pub server: ShimServer,
    pub acknowledged: Mutex<AcknowledgedWork>,
    checked: BTreeSet<String>,
    folder: tempfile::TempDir,
}

impl FaultTrial {
    pub fn new(root: &Path, binary: &Path, library: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("baton-faults-").tempdir().context("no scratch folder")?;
        let service = ToolService::default();
        let mut project = ShimProject::new(root, &folder.path().join("project"), binary, library, service.start()?)?;
        let control = ShimControl::new(folder.path().join("control"))?;
        let server = project.start(&control)?;
        let (acknowledged, judged) = (Mutex::default(), BTreeSet::new());
        Ok(Self { project, service, control, server, acknowledged, checked: judged, folder })
    }

    pub fn client(&self) -> FaultsClient {
        self.project.client()
    }

    pub fn load(&self) -> RoundLoad<'_> {
        RoundLoad { client: self.client(), acknowledged: &self.acknowledged }
    }

    /// Runs and conversations that were acknowledged so far.
    pub fn known(&self) -> BTreeSet<String> {
        let known = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        known.runs.keys().chain(known.conversations.keys()).cloned().collect()
    }

    /// Ends every fault. The clock stays where it is.
    pub fn end_faults(&self) -> anyhow::Result<()> {
        self.service.set_hanging(false);
        self.control.disk(DiskFault::Healthy)
    }

    /// Replaces a server that has ended or is killed.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.server = self.project.start(&self.control).context("it cannot be started again")?;
        Ok(())
    }

    /// Checks that everything makes progress: see [`LivenessCheck::check_liveness`].
    pub fn check_liveness(&mut self) -> anyhow::Result<RunEndCounts> {
        self.with_liveness_check(|judge, server| judge.check_liveness(server))
    }

    /// Waits until these are idle.
    pub fn wait_until_idle(&mut self, these: &BTreeSet<String>) -> anyhow::Result<()> {
        self.with_liveness_check(|judge, server| judge.wait_until_idle(server, |id| these.contains(id)))
    }

    fn with_liveness_check<T>(
        &mut self,
        judge: impl FnOnce(&mut LivenessCheck, &mut ShimServer) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let client = self.client();
        let acknowledged = self.acknowledged.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut one =
            LivenessCheck { client: &client, service: &self.service, acknowledged, checked: &mut self.checked };
        judge(&mut one, &mut self.server)
    }

    /// Kills the server and keeps the folder for inspection.
    pub fn keep(self) -> PathBuf {
        let Self { server, folder, .. } = self;
        drop(server);
        folder.keep()
    }
}
