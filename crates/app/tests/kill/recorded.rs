//! A run as the journal records it.

use std::collections::BTreeSet;

use baton_core::id::{RunId, TenantId};
use baton_core::run::{RunEntry, RunEvent, RunState};
use baton_ports::journal::TaskItem;
use baton_ports::read::ReadModel as _;
use baton_store::sqlite::{SqliteStore, StoreOptions};

use crate::project::KillProject;

/// The recorded facts of a run.
pub struct RunRecording {
    entries: Vec<RunEntry>,
    pub state: Option<RunState>,
    pub desk: Vec<TaskItem>,
}

impl RunRecording {
    pub fn of(project: &KillProject, run: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = SqliteStore::open(project.database(), StoreOptions::default()).expect("it opens");
            let (tenant, run) = (TenantId::from("default"), RunId::from(run));
            let entries = store.entries(&tenant, &run, 0, 10_000).await.expect("readable");
            let head = store.run(&tenant, &run).await.expect("readable");
            Self {
                entries: entries.iter().map(|entry| serde_json::from_slice(entry).expect("an entry")).collect(),
                state: head.map(|head| head.state),
                desk: store.open_tasks(&tenant, Some(&run)).await.expect("readable"),
            }
        })
    }

    pub fn events(&self) -> impl Iterator<Item = &RunEvent> {
        self.entries.iter().flat_map(|entry| &entry.events)
    }

    /// Keys of calls with a recorded result.
    pub fn done(&self, run: &str) -> BTreeSet<String> {
        let run = RunId::from(run);
        let done = self.events().filter_map(|event| match event {
            RunEvent::Done(done) => Some(done.effect.key(&run)),
            _ => None,
        });
        done.collect()
    }

    /// Whether the run had begun and had not ended.
    pub fn is_live(&self) -> bool {
        !self.entries.is_empty() && self.state.is_some_and(|state| !state.is_end())
    }
}
