//! Messages between runs: a parent starts, stops and rolls back its children, a child reports its end. Each goes out
//! in the append that decided it, under an id derived from it, so delivering one twice is harmless.

use std::sync::Arc;

use baton_core::conversation::{Command, Heard, Over};
use baton_core::fault::{Fault, code};
use baton_core::id::{RunId, TenantId};
use baton_core::run::{
    Address, Began, ChildEnd, Event, Finished, Incoming, MESSAGE, Origin, Refusal, Run, Signal, Started, State,
};
use baton_core::time::Time;
use baton_ports::journal::{Create, Kind, Submit};

/// What these events, already folded into `run`, say to other runs.
pub fn of(tenant: &TenantId, run: &Run, events: &[Event], now: Time) -> Result<Vec<Submit>, serde_json::Error> {
    let Some(started) = run.started() else { return Ok(Vec::new()) };
    let mut messages = Vec::new();
    for (place, event) in events.iter().enumerate() {
        if let Some((conversation, said)) = told(run, started, event) {
            let command_id = format!("{}/says/{}.{place}", started.run, run.events());
            messages.push(to_conversation(tenant, conversation, command_id, &said, now)?);
        }
        let Some((to, command_id, incoming, creates)) = message(run, started, event) else { continue };
        messages.push(Submit {
            aggregate: to,
            tenant: tenant.clone(),
            command_id,
            payload: serde_json::to_vec(&incoming)?.into(),
            at: now,
            creates,
        });
    }
    Ok(messages)
}

fn message(run: &Run, started: &Started, event: &Event) -> Option<(RunId, String, Incoming, Option<Create>)> {
    match event {
        Event::Began { node, wait } => {
            let Began::Child { run: child, bundle, input, limit, .. } = &**wait else { return None };
            let depth = match &started.origin {
                Origin::Caller | Origin::Conversation { .. } => 0,
                Origin::Parent { depth, .. } => *depth,
            };
            let start = Started {
                run: child.clone(),
                bundle: bundle.clone(),
                input: input.clone(),
                origin: Origin::Parent {
                    run: started.run.clone(),
                    node: node.clone(),
                    depth: depth + 1,
                    max_cost: *limit,
                },
                ..started.clone()
            };
            let workflow = run.workflow().map(|workflow| workflow.name.clone()).unwrap_or_default();
            let creates = Create {
                kind: Kind::Run,
                workflow: format!("{workflow}/{}", node.node),
                parent: Some(started.run.clone()),
                owner: None,
            };
            Some((child.clone(), "start".to_owned(), Incoming::Start(Box::new(start)), Some(creates)))
        }
        Event::ChildCancelling { run: child, .. } => {
            let cancel = Incoming::Cancel { by: parent_word(started), compensate: true, asked_by: askers(started) };
            Some((child.clone(), "parent/cancel".to_owned(), cancel, None))
        }
        Event::ChildUndoing { run: child, .. } => {
            let rollback = Incoming::Rollback { by: parent_word(started), asked_by: askers(started) };
            Some((child.clone(), format!("parent/rollback/{}", run.events()), rollback, None))
        }
        Event::Finished(finished) => {
            let Origin::Parent { run: parent, node, .. } = &started.origin else { return None };
            let id = format!("{}/ended/{}", started.run, run.events());
            Some((parent.clone(), id, report(run, started, node, finished), None))
        }
        _ => None,
    }
}

/// What a run that a conversation began tells it.
fn told<'r>(run: &Run, started: &'r Started, event: &Event) -> Option<(&'r RunId, Command)> {
    let Origin::Conversation { conversation } = &started.origin else { return None };
    let heard = || Heard::of(run, &started.run, conversation);
    let said = match event {
        Event::CustomerAsked { question, .. } => {
            Command::RunAsked(Heard { question: Some(question.clone()), ..heard() })
        }
        Event::Began { wait, .. } if matches!(&**wait, Began::Signal { name, .. } if name == MESSAGE) => {
            Command::RunAsked(heard())
        }
        Event::Finished(finished) => Command::RunEnded(Box::new(Over::of(run, &started.run, conversation, finished))),
        _ => return None,
    };
    Some((conversation, said))
}

fn to_conversation(
    tenant: &TenantId,
    conversation: &RunId,
    command_id: String,
    said: &Command,
    now: Time,
) -> Result<Submit, serde_json::Error> {
    let payload = serde_json::to_vec(said)?.into();
    Ok(Submit { aggregate: conversation.clone(), tenant: tenant.clone(), command_id, payload, at: now, creates: None })
}

/// What somebody must be told if an item is refused.
pub enum IfRefused {
    Nothing,
    /// The parent that asked for a rollback.
    Rollback,
    /// The conversation that handed a message over.
    Message {
        source: String,
        sequence: u64,
    },
    /// The conversation that began the run.
    Start {
        run: RunId,
        conversation: RunId,
    },
}

impl IfRefused {
    pub fn of(incoming: &Incoming) -> Self {
        match incoming {
            Incoming::Rollback { .. } => Self::Rollback,
            Incoming::Signal(Signal { source, sequence: Some(sequence), .. }) => {
                Self::Message { source: source.clone(), sequence: *sequence }
            }
            Incoming::Start(started) => match &started.origin {
                Origin::Conversation { conversation } => {
                    Self::Start { run: started.run.clone(), conversation: conversation.clone() }
                }
                Origin::Caller | Origin::Parent { .. } => Self::Nothing,
            },
            _ => Self::Nothing,
        }
    }

    /// Tells them.
    pub fn tell(
        self,
        tenant: &TenantId,
        run: &Run,
        item: i64,
        refusal: &Refusal,
        now: Time,
    ) -> Result<Option<Submit>, serde_json::Error> {
        match self {
            Self::Nothing => Ok(None),
            Self::Rollback => undone(tenant, run, item, now),
            Self::Message { source, sequence } => match run.started() {
                Some(Started { run, origin: Origin::Conversation { conversation }, .. })
                    if conversation.as_str() == source =>
                {
                    let said = Command::RunReturned { run: run.clone(), sequence };
                    to_conversation(tenant, conversation, format!("{run}/returned/{sequence}"), &said, now).map(Some)
                }
                _ => Ok(None),
            },
            Self::Start { run: id, conversation } => {
                let fault = Fault::new(code::INPUT_INVALID, refusal.to_string());
                let finished = Finished {
                    state: State::Failed,
                    output: Arc::default(),
                    fault: Some(fault),
                    rolled_back: false,
                    undone: None,
                };
                let said = Command::RunEnded(Box::new(Over::of(run, &id, &conversation, &finished)));
                to_conversation(tenant, &conversation, format!("{id}/refused/{item}"), &said, now).map(Some)
            }
        }
    }
}

/// Whose request a run is beside its customer's and its beginner's: what it asks of a child, they ask.
fn askers(started: &Started) -> Vec<String> {
    started.caller.also_asked.clone()
}

fn parent_word(started: &Started) -> String {
    format!("run {}", started.run)
}

fn report(run: &Run, started: &Started, node: &Address, finished: &Finished) -> Incoming {
    if finished.rolled_back {
        let fault = finished.fault.clone().filter(|_| finished.state == baton_core::run::State::Failed);
        return Incoming::ChildUndone { run: started.run.clone(), fault };
    }
    let ended = ChildEnd {
        run: started.run.clone(),
        state: finished.state,
        output: finished.output.clone(),
        fault: finished.fault.clone(),
        cost: run.cost(),
        acted: run.saga().has_undoable(),
    };
    Incoming::ChildEnded { node: node.clone(), ended }
}

/// The answer to a rollback that a child refused: it has nothing to undo, or cannot.
fn undone(tenant: &TenantId, run: &Run, item: i64, now: Time) -> Result<Option<Submit>, serde_json::Error> {
    let Some(started) = run.started() else { return Ok(None) };
    let Origin::Parent { run: parent, .. } = &started.origin else { return Ok(None) };
    let nothing_left = !run.saga().has_undoable() && !run.saga().has_failed();
    let fault = (!nothing_left).then(|| {
        baton_core::fault::Fault::new(
            baton_core::fault::code::ROLLBACK_REFUSED,
            format!("`{}` is {}", started.run, run.state()),
        )
    });
    let incoming = Incoming::ChildUndone { run: started.run.clone(), fault };
    Ok(Some(Submit {
        aggregate: parent.clone(),
        tenant: tenant.clone(),
        command_id: format!("{}/undone/{item}", started.run),
        payload: Arc::from(serde_json::to_vec(&incoming)?),
        at: now,
        creates: None,
    }))
}
