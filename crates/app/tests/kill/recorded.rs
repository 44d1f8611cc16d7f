//! What the journal has of a run.

use std::collections::BTreeSet;

use baton_core::id::{RunId, TenantId};
use baton_core::run::{Entry, Event, State};
use baton_ports::journal::DeskItem;
use baton_ports::read::Read as _;
use baton_store::sqlite::{Options, Store};

use crate::project::Project;

/// What is recorded of a run.
pub struct Recorded {
    entries: Vec<Entry>,
    pub state: Option<State>,
    pub desk: Vec<DeskItem>,
}

impl Recorded {
    pub fn of(project: &Project, run: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let store = Store::open(project.database(), Options::default()).expect("it opens");
            let (tenant, run) = (TenantId::from("default"), RunId::from(run));
            let entries = store.entries(&tenant, &run, 0, 10_000).await.expect("readable");
            let head = store.run(&tenant, &run).await.expect("readable");
            Self {
                entries: entries.iter().map(|entry| serde_json::from_slice(entry).expect("an entry")).collect(),
                state: head.map(|head| head.state),
                desk: store.desk(&tenant, Some(&run)).await.expect("readable"),
            }
        })
    }

    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.entries.iter().flat_map(|entry| &entry.events)
    }

    /// Keys of calls whose result is recorded.
    pub fn done(&self, run: &str) -> BTreeSet<String> {
        let run = RunId::from(run);
        let done = self.events().filter_map(|event| match event {
            Event::Done(done) => Some(done.effect.key(&run)),
            _ => None,
        });
        done.collect()
    }

    /// The run had begun and had not ended.
    pub fn is_live(&self) -> bool {
        !self.entries.is_empty() && self.state.is_some_and(|state| !state.is_end())
    }
}
