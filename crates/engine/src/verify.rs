//! Verifies that everything derived from a journal agrees with it: list projections, task inbox items, snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_core::conversation::Conversation;
use baton_core::routing::RoutingQueue;
use baton_core::run::{FOLD_VERSION, Run, RunEntry, RunEvent, RunOrigin};
use baton_core::time::Time;
use baton_ports::journal::{AggregateKind, ProjectionRow, TaskItem};
use baton_ports::stored::StoredAggregate;
use serde::Deserialize;

use crate::aggregate::{Aggregate, conversation as conversations};
use crate::owner::versions_of;
use crate::{EngineError, WorkflowCache, projections};

/// The inconsistencies of an aggregate, each as a sentence without its name; empty if there are none.
///
/// # Errors
/// A version that it names cannot be read now.
pub async fn aggregate(library: &WorkflowCache, stored: &StoredAggregate) -> Result<Vec<String>, EngineError> {
    let entries = match &stored.entries {
        Ok(entries) => entries,
        Err(reason) => return Ok(vec![reason.clone()]),
    };
    match stored.kind {
        AggregateKind::Run => run(library, stored, entries).await,
        AggregateKind::Conversation => Ok(conversation(stored, entries)),
        AggregateKind::Desk => Ok(fold_aggregate::<RoutingQueue>(entries).err().into_iter().collect()),
    }
}

async fn run(
    library: &WorkflowCache,
    stored: &StoredAggregate,
    entries: &[Arc<[u8]>],
) -> Result<Vec<String>, EngineError> {
    // Accepted, and not processed yet.
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let mut it = VerifiedRun::default();
    let usable = stored.snapshot.as_ref().filter(|snapshot| snapshot.fold_version == FOLD_VERSION);
    let mut resumed: Option<Run> = None;
    let mut findings = Vec::new();
    for (place, text) in entries.iter().enumerate() {
        let seq = place as u64 + 1;
        let entry: RunEntry = match crate::decode(text) {
            Ok(entry) => entry,
            Err(error) => return Ok(vec![format!("entry {seq} cannot be read: {error}")]),
        };
        for hash in versions_of(std::slice::from_ref(&entry), &[], None) {
            match library.version(&hash).await {
                Ok(workflow) => {
                    it.run.add_version(hash.clone(), workflow.clone());
                    resumed.iter_mut().for_each(|run| run.add_version(hash.clone(), workflow.clone()));
                }
                Err(error @ EngineError::BadVersion { .. }) => return Ok(vec![format!("entry {seq}: {error}")]),
                Err(error) => return Err(error),
            }
        }
        it.fold(stored, &entry);
        resumed.iter_mut().for_each(|run| run.fold(&entry));
        if let Some(snapshot) = usable.filter(|snapshot| snapshot.seq == seq) {
            match serde_json::from_slice::<Run>(&snapshot.state) {
                Ok(mut from) => {
                    if let Some(hash) = from.bundle().cloned() {
                        from.add_version(hash.clone(), library.version(&hash).await?);
                    }
                    resumed = Some(from);
                }
                Err(error) => findings.push(format!("its snapshot cannot be read: {error}")),
            }
        }
    }
    let run = &it.run;
    it.compare(stored, &mut findings);
    if let Some(snapshot) = usable.filter(|snapshot| snapshot.seq > entries.len() as u64) {
        findings.push(format!("its snapshot holds {} entries, and its journal {}", snapshot.seq, entries.len()));
    }
    if let Some(resumed) = resumed
        && (resumed.state(), resumed.cost(), resumed.human_tasks()) != (run.state(), run.cost(), run.human_tasks())
    {
        findings.push(format!(
            "its snapshot leads to `{}`, and its journal to `{}`",
            resumed.state().word(),
            run.state().word()
        ));
    }
    Ok(findings)
}

/// A run with everything that its appends wrote beside the journal.
#[derive(Default)]
struct VerifiedRun {
    run: Run,
    open_tasks: projections::OpenTasks,
    /// Open task inbox items.
    items: BTreeMap<String, TaskItem>,
    begun: Option<ProjectionRow>,
    finished_at: Option<Time>,
    is_fork: bool,
}

impl VerifiedRun {
    fn fold(&mut self, stored: &StoredAggregate, entry: &RunEntry) {
        self.run.fold(entry);
        let begun = projections::run_begun(&stored.name, &stored.tenant, &self.run, &entry.events);
        for change in
            self.open_tasks.follow(&stored.tenant, &self.run, &entry.events, entry.at).into_iter().chain(begun)
        {
            match change {
                ProjectionRow::TaskOpened(item) => drop(self.items.insert(item.id.clone(), item)),
                ProjectionRow::TaskClosed { id, .. } => drop(self.items.remove(&id)),
                ProjectionRow::RunBegun { .. } => self.begun = Some(change),
                ProjectionRow::Conversation(_) => {}
            }
        }
        for event in &entry.events {
            match event {
                RunEvent::Finished(_) => self.finished_at = Some(entry.at),
                RunEvent::Forked(_) => self.is_fork = true,
                _ => {}
            }
        }
    }

    fn compare(&self, stored: &StoredAggregate, findings: &mut Vec<String>) {
        let (run, state) = (&self.run, self.run.state());
        let mut differs = |differs: bool, what: &str| {
            if differs {
                findings.push(format!("lists show another {what} than its journal"));
            }
        };
        let started = run.started();
        // A run started by an older program has no search entry, and a fork is listed under the workflow of its
        // original.
        if let (Some(bundle), Some(ProjectionRow::RunBegun { customer, bundle: begun, .. })) =
            (&stored.bundle, &self.begun)
        {
            differs(bundle != begun.as_str(), "version");
            differs(stored.customer != *customer, "customer");
        }
        differs(started.is_some() && stored.started_at != Some(run.started_at()), "beginning");
        let (parent, of_child) = match started.map(|started| &started.origin) {
            Some(RunOrigin::Parent { run, node, .. }) => (Some(run), Some(format!("/{}", node.node))),
            Some(RunOrigin::Caller | RunOrigin::Conversation { .. }) | None => (None, None),
        };
        differs(started.is_some() && stored.parent.as_ref() != parent, "parent");
        if let (Some(workflow), false) = (run.workflow(), self.is_fork) {
            let is_its = match &of_child {
                Some(node) => stored.workflow.ends_with(node.as_str()),
                None => stored.workflow == workflow.name,
            };
            differs(!is_its, "workflow");
        }
        // Inputs that arrive after the end may move the stored end.
        let ended_between = self.finished_at.filter(|_| state.is_end()).zip(stored.ended_at);
        differs(ended_between.is_some_and(|(from, at)| !(from..=run.now()).contains(&at)), "end");
        differs(state.is_end() && stored.fault != run.fault().map(ToString::to_string), "fault");
        self.compare_state(stored, findings);
        self.compare_items(stored, findings);
    }

    fn compare_state(&self, stored: &StoredAggregate, findings: &mut Vec<String>) {
        let (state, cost) = (self.run.state(), self.run.cost().as_nanos());
        if stored.state != Some(state) {
            let shown = stored.state.map_or("nothing", |state| state.word());
            findings.push(format!("lists show it as `{shown}`, and its journal says `{}`", state.word()));
        }
        if stored.ended_at.is_some() != state.is_end() {
            let shown = if stored.ended_at.is_some() { "as ended" } else { "as not ended" };
            findings.push(format!("lists show it {shown}, and its journal says `{}`", state.word()));
        }
        // The projection of an active run has the cost as of its last change of state.
        if state.is_end() && stored.cost_nanos != cost {
            findings.push(format!("lists show a cost of {} nano-dollars, and its journal {cost}", stored.cost_nanos));
        }
    }

    fn compare_items(&self, stored: &StoredAggregate, findings: &mut Vec<String>) {
        for (id, shown) in &stored.open_items {
            match (self.items.get(id), shown) {
                (None, _) => findings.push(format!("`{id}` is open in the desk and not in its journal")),
                (Some(_), Err(error)) => findings.push(format!("`{id}` of the desk cannot be read: {error}")),
                (Some(item), Ok(shown)) if item != shown => {
                    findings.push(format!("the desk shows `{id}` otherwise than its journal"));
                }
                (Some(_), Ok(_)) => {}
            }
        }
        for id in self.items.keys().filter(|id| !stored.open_items.contains_key(*id)) {
            findings.push(format!("`{id}` is open in its journal and not in the desk"));
        }
    }
}

fn conversation(stored: &StoredAggregate, entries: &[Arc<[u8]>]) -> Vec<String> {
    let it = match fold_aggregate::<Conversation>(entries) {
        Ok(it) => it,
        Err(finding) => return vec![finding],
    };
    let shown = stored.conversation.as_ref();
    let Some(told) = conversations::conversation_head(&it, &stored.tenant, &stored.name) else {
        return shown.map(|_| "lists show it, and its journal does not begin it".to_owned()).into_iter().collect();
    };
    let Some(shown) = shown else { return vec!["no list shows it, and its journal begins it".to_owned()] };
    let mut findings = Vec::new();
    if shown.state != told.state {
        findings.push(format!(
            "lists show it as `{}`, and its journal says `{}`",
            shown.state.word(),
            told.state.word()
        ));
    }
    if shown.messages != told.messages {
        findings.push(format!("lists show {} messages, and its journal has {}", shown.messages, told.messages));
    }
    let differs = [
        (stored.status.as_deref() != Some(told.state.status().word()), "status"),
        (shown.workflow != told.workflow, "workflow"),
        ((&shown.owner, &shown.person, shown.number) != (&told.owner, &told.person, told.number), "owner"),
        ((&shown.user, &shown.channel) != (&told.user, &told.channel), "customer"),
        ((shown.created_at, shown.updated_at) != (told.created_at, told.updated_at), "time"),
        (shown.ended_at != told.ended_at, "end"),
        ((shown.runs, shown.cost) != (told.runs, told.cost), "count or cost of its runs"),
        ((shown.rating, shown.confidence) != (told.rating, told.confidence), "rating"),
        (shown.last != told.last, "last message"),
        (
            (&shown.hil_reason, shown.handovers, &shown.handed_over_for, shown.reopened)
                != (&told.hil_reason, told.handovers, &told.handed_over_for, told.reopened)
                || (shown.waiting_since, shown.first_response_at) != (told.waiting_since, told.first_response_at),
            "handover",
        ),
    ];
    let told = differs.iter().filter(|(differs, _)| *differs);
    findings.extend(told.map(|(_, what)| format!("lists show another {what} than its journal")));
    findings
}

/// The events of an entry of a conversation or a routing queue.
#[derive(Deserialize)]
struct EntryEvents<E> {
    at: Time,
    events: Vec<E>,
}

fn fold_aggregate<P: Aggregate>(entries: &[Arc<[u8]>]) -> Result<P, String> {
    let mut it = P::default();
    for (place, text) in entries.iter().enumerate() {
        let unreadable = |error: serde_json::Error| format!("entry {} cannot be read: {error}", place + 1);
        let entry: EntryEvents<P::Event> = serde_json::from_slice(text).map_err(unreadable)?;
        entry.events.iter().for_each(|event| it.apply(entry.at, event));
    }
    Ok(it)
}
