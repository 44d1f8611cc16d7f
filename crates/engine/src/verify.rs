//! Whether all that is derived of a journal agrees with it: what lists show, what waits for people, snapshots.

use std::collections::BTreeSet;
use std::sync::Arc;

use baton_core::conversation::Conversation;
use baton_core::desk::Desk;
use baton_core::run::{Entry, FOLD_VERSION, Run};
use baton_core::time::Time;
use baton_ports::journal::{Kind, Projection};
use baton_ports::stored::StoredAggregate;
use serde::Deserialize;

use crate::owner::versions_of;
use crate::plain::Plain;
use crate::{Error, Library, projections};

/// What of an aggregate does not agree, each in a sentence without its name; nothing where all is well.
///
/// # Errors
/// Where a version that it names cannot be read now.
pub async fn aggregate(library: &Library, stored: &StoredAggregate) -> Result<Vec<String>, Error> {
    let entries = match &stored.entries {
        Ok(entries) => entries,
        Err(reason) => return Ok(vec![reason.clone()]),
    };
    match stored.kind {
        Kind::Run => run(library, stored, entries).await,
        Kind::Conversation => Ok(conversation(stored, entries)),
        Kind::Desk => Ok(plain::<Desk>(entries).err().into_iter().collect()),
    }
}

async fn run(library: &Library, stored: &StoredAggregate, entries: &[Arc<[u8]>]) -> Result<Vec<String>, Error> {
    // Accepted, and not looked at yet.
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let (mut run, mut desk, mut open) = (Run::new(), projections::Desk::default(), BTreeSet::new());
    let usable = stored.snapshot.as_ref().filter(|snapshot| snapshot.fold_version == FOLD_VERSION);
    let mut resumed: Option<Run> = None;
    let mut findings = Vec::new();
    for (place, text) in entries.iter().enumerate() {
        let seq = place as u64 + 1;
        let entry: Entry = match crate::decode(text) {
            Ok(entry) => entry,
            Err(error) => return Ok(vec![format!("entry {seq} cannot be read: {error}")]),
        };
        for hash in versions_of(std::slice::from_ref(&entry), &[], None) {
            match library.version(&hash).await {
                Ok(workflow) => {
                    run.know(hash.clone(), workflow.clone());
                    resumed.iter_mut().for_each(|run| run.know(hash.clone(), workflow.clone()));
                }
                Err(error @ Error::BadVersion { .. }) => return Ok(vec![format!("entry {seq}: {error}")]),
                Err(error) => return Err(error),
            }
        }
        run.fold(&entry);
        resumed.iter_mut().for_each(|run| run.fold(&entry));
        for change in desk.follow(&stored.tenant, &run, &entry.events, entry.at) {
            match change {
                Projection::DeskOpened(item) => drop(open.insert(item.id)),
                Projection::DeskClosed { id, .. } => drop(open.remove(&id)),
                Projection::Conversation(_) | Projection::RunBegun { .. } => {}
            }
        }
        if let Some(snapshot) = usable.filter(|snapshot| snapshot.seq == seq) {
            match serde_json::from_slice::<Run>(&snapshot.state) {
                Ok(mut from) => {
                    if let Some(hash) = from.bundle().cloned() {
                        from.know(hash.clone(), library.version(&hash).await?);
                    }
                    resumed = Some(from);
                }
                Err(error) => findings.push(format!("its snapshot cannot be read: {error}")),
            }
        }
    }
    let (state, cost) = (run.state(), run.cost().as_nanos());
    if stored.state != Some(state) {
        let shown = stored.state.map_or("nothing", |state| state.word());
        findings.push(format!("lists show it as `{shown}`, and its journal says `{}`", state.word()));
    }
    if stored.ended_at.is_some() != state.is_end() {
        let shown = if stored.ended_at.is_some() { "as ended" } else { "as not ended" };
        findings.push(format!("lists show it {shown}, and its journal says `{}`", state.word()));
    }
    // A run that goes on is shown with what it had cost when it last changed its state.
    if state.is_end() && stored.cost_nanos != cost {
        findings.push(format!("lists show a cost of {} nano-dollars, and its journal {cost}", stored.cost_nanos));
    }
    for id in open.symmetric_difference(&stored.open_items) {
        let (there, missing) =
            if open.contains(id) { ("its journal", "the desk") } else { ("the desk", "its journal") };
        findings.push(format!("`{id}` is open in {there} and not in {missing}"));
    }
    if let Some(snapshot) = usable.filter(|snapshot| snapshot.seq > entries.len() as u64) {
        findings.push(format!("its snapshot holds {} entries, and its journal {}", snapshot.seq, entries.len()));
    }
    if let Some(resumed) = resumed
        && (resumed.state(), resumed.cost(), resumed.asks()) != (state, run.cost(), run.asks())
    {
        findings.push(format!(
            "its snapshot leads to `{}`, and its journal to `{}`",
            resumed.state().word(),
            state.word()
        ));
    }
    Ok(findings)
}

fn conversation(stored: &StoredAggregate, entries: &[Arc<[u8]>]) -> Vec<String> {
    let it = match plain::<Conversation>(entries) {
        Ok(it) => it,
        Err(finding) => return vec![finding],
    };
    let shown = stored.conversation.as_ref();
    if it.begun().is_none() {
        return shown.map(|_| "lists show it, and its journal does not begin it".to_owned()).into_iter().collect();
    }
    let Some(shown) = shown else { return vec!["no list shows it, and its journal begins it".to_owned()] };
    let mut findings = Vec::new();
    if shown.state != it.state() {
        findings.push(format!(
            "lists show it as `{}`, and its journal says `{}`",
            shown.state.word(),
            it.state().word()
        ));
    }
    if shown.owner != *it.owner() {
        findings.push("lists show another owner than its journal".to_owned());
    }
    if shown.messages != it.messages() {
        findings.push(format!("lists show {} messages, and its journal has {}", shown.messages, it.messages()));
    }
    if shown.ended_at != it.ended_at() {
        findings.push("lists show another end than its journal".to_owned());
    }
    findings
}

/// An entry of a conversation or a desk.
#[derive(Deserialize)]
struct PlainEntry<E> {
    at: Time,
    events: Vec<E>,
}

fn plain<P: Plain>(entries: &[Arc<[u8]>]) -> Result<P, String> {
    let mut it = P::default();
    for (place, text) in entries.iter().enumerate() {
        let unreadable = |error: serde_json::Error| format!("entry {} cannot be read: {error}", place + 1);
        let entry: PlainEntry<P::Event> = serde_json::from_slice(text).map_err(unreadable)?;
        entry.events.iter().for_each(|event| it.apply(entry.at, event));
    }
    Ok(it)
}
