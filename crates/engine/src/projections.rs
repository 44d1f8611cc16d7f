//! Desk items, derived from a run's events and state and written with them.

use std::collections::BTreeSet;

use baton_core::id::{RunId, TenantId};
use baton_core::run::{Ask, Asked, Began, Block, Detour, EffectId, Event, InDoubt, Run};
use baton_core::time::Time;
use baton_ports::journal::{DeskItem, DeskKind, Projection, TITLE_BYTES_MAX};
use baton_ports::read::customer_hash;
use serde_json::{Value, json};

/// Bytes of a call's arguments that an item shows.
const ARGUMENTS_BYTES_MAX: usize = 64 << 10;

/// What of a run is open on the desk.
#[derive(Default)]
pub struct Desk {
    open: BTreeSet<Ask>,
}

impl Desk {
    /// As a new owner finds it: what is open was written by the old one.
    pub fn of(run: &Run) -> Self {
        Self { open: run.asks().into_iter().collect() }
    }

    /// What these events, already folded into `run`, open and close.
    pub fn follow(&mut self, tenant: &TenantId, run: &Run, events: &[Event], now: Time) -> Vec<Projection> {
        let Some(id) = run.id() else { return Vec::new() };
        let mut changes: Vec<Projection> = self.closed(id, run, now);
        for event in events {
            let outcome = match event {
                Event::UndoneByHand { .. } => "undone by hand",
                Event::UndoAgain { .. } => "tried again",
                _ => continue,
            };
            let (id, outcome) = (not_undone_id(id, event), outcome.to_owned());
            changes.push(Projection::DeskClosed { id, at: now, outcome });
        }
        for event in events {
            let Some((ask, kind, title, details, deadline)) = opened(id, run, event) else { continue };
            // It may have been settled by the very same decision.
            if ask.as_ref().is_some_and(|ask| !run.is_open(ask) || !self.open.insert(ask.clone())) {
                continue;
            }
            let key = ask.map_or_else(|| not_undone_id(id, event), |ask| item_id(id, &ask));
            let item = DeskItem {
                id: key,
                tenant: tenant.clone(),
                run: Some(id.clone()),
                kind,
                title: short(title),
                details,
                opened_at: now,
                deadline,
            };
            changes.push(Projection::DeskOpened(item));
        }
        changes
    }

    fn closed(&mut self, id: &RunId, run: &Run, now: Time) -> Vec<Projection> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let (open, closed): (BTreeSet<Ask>, BTreeSet<Ask>) =
            std::mem::take(&mut self.open).into_iter().partition(|ask| run.is_open(ask));
        self.open = open;
        let close = |ask: Ask| Projection::DeskClosed { id: item_id(id, &ask), at: now, outcome: "settled".to_owned() };
        closed.into_iter().map(close).collect()
    }
}

/// What a run is found by, where these events, already folded into it, begin it. A fork's begin with those of another run.
pub fn begun(id: &RunId, tenant: &TenantId, run: &Run, events: &[Event]) -> Option<Projection> {
    let is_begun = events.iter().any(|event| matches!(event, Event::Started(_)));
    let started = run.started().filter(|_| is_begun)?;
    let customer = started.caller.user_id.as_deref().filter(|user| !user.is_empty());
    Some(Projection::RunBegun {
        run: id.clone(),
        customer: customer.map(|user| customer_hash(tenant, user)),
        bundle: started.bundle.clone(),
    })
}

/// What the desk calls what a run asks.
pub fn item_id(run: &RunId, ask: &Ask) -> String {
    match ask {
        Ask::Human(node) => format!("{run}/{node}"),
        Ask::Customer(node) => format!("{run}/{node}/customer"),
        Ask::Doubt(effect) => format!("{}/doubt", effect.key(run)),
        Ask::Approval(effect) => format!("{}/approval", effect.key(run)),
        Ask::Question(effect) => format!("{}/question", effect.key(run)),
        Ask::Budget(effect) => format!("{}/budget", effect.key(run)),
        Ask::Key(effect) => format!("{}/key", effect.key(run)),
    }
}

fn not_undone_id(run: &RunId, event: &Event) -> String {
    match event {
        Event::NotUndone { effect, .. } | Event::UndoneByHand { effect, .. } | Event::UndoAgain { effect, .. } => {
            format!("{}/not_undone", effect.key(run))
        }
        _ => run.to_string(),
    }
}

type Opened = (Option<Ask>, DeskKind, String, Value, Option<Time>);

fn opened(id: &RunId, run: &Run, event: &Event) -> Option<Opened> {
    match event {
        Event::Began { node, wait } => match &**wait {
            Began::Human { title, details, ask, assignees, deadline } => {
                let (kind, ask) = match ask {
                    Asked::Approval { needed } => (DeskKind::Approval, json!({ "needed": needed })),
                    Asked::Form { schema } => (DeskKind::Form, json!({ "form": schema })),
                };
                let details = json!({ "node": node, "details": details, "asks": ask, "assignees": assignees });
                Some((Some(Ask::Human(node.clone())), kind, title.clone(), details, *deadline))
            }
            _ => None,
        },
        Event::CustomerAsked { node, question, deadline } => {
            let details = json!({ "node": node });
            Some((Some(Ask::Customer(node.clone())), DeskKind::Question, question.clone(), details, *deadline))
        }
        Event::Doubted { effect, fault, next: InDoubt::Person } => {
            let title = format!("Did {} act?", named(run, effect));
            let known = known(id, run, effect, &fault.to_string());
            Some((Some(Ask::Doubt(effect.clone())), DeskKind::Doubt, title, known, None))
        }
        Event::Degraded { effect, fault, attempted, detour: Detour::Person } => {
            let title = format!("{}: the service is down; can you do it by hand?", named(run, effect));
            let effect = EffectId { generation: effect.generation + u32::from(*attempted), ..effect.clone() };
            let known = known(id, run, &effect, &format!("it did not act: {fault}"));
            Some((Some(Ask::Doubt(effect)), DeskKind::Doubt, title, known, None))
        }
        Event::Blocked { effect, by: Block::Approval(leave) } => {
            let title = format!("May {} act?", named(run, effect));
            let mut details = json!({
                "effect": effect, "tool": run.tool_of(&effect.call), "hash": leave.hash, "arguments": leave.arguments, "need": leave.need,
                "from": leave.from, "on_deadline": leave.then,
            });
            if let Some(account) = &leave.account {
                details["account"] = account.as_str().into();
            }
            Some((Some(Ask::Approval(effect.clone())), DeskKind::ToolApproval, title, details, leave.until))
        }
        Event::Blocked { effect, by: Block::Question { question, until } } => {
            let title = format!("{} asks: {}", named(run, effect), question.message);
            let details = json!({
                "effect": effect, "tool": run.tool_of(&effect.call), "message": question.message,
                "asks": { "form": question.schema },
            });
            Some((Some(Ask::Question(effect.clone())), DeskKind::Form, title, details, *until))
        }
        Event::Blocked { effect, by: Block::Budget { line, until } } => {
            let title = format!("`{}` waits for money: {line} is used up until {until}", effect.call.node);
            let details = json!({ "effect": effect, "line": line, "resets_at": until.to_string() });
            Some((Some(Ask::Budget(effect.clone())), DeskKind::OverBudget, title, details, Some(*until)))
        }
        Event::Blocked { effect, by: Block::Key } => {
            let title = format!("`{}` waits for the consumer's own key", effect.call.node);
            Some((Some(Ask::Key(effect.clone())), DeskKind::NeedsKey, title, json!({ "effect": effect }), None))
        }
        Event::NotUndone { effect, fault } => {
            let undone = run.saga().undoes(&effect.call).map(|(_, tool)| tool);
            let title = match undone.filter(|tool| *tool != effect.call.node.node.as_str()) {
                Some(tool) => format!("`{tool}` of `{}` could not be undone", effect.call.node),
                None => format!("`{}` could not be undone", effect.call.node),
            };
            let mut known = known(id, run, effect, &fault.to_string());
            known["undoes"] = json!(undone);
            Some((None, DeskKind::NotUndone, title, known, None))
        }
        _ => None,
    }
}

/// A call as people know it: by its tool and its node, once where both have one name.
fn named(run: &Run, effect: &EffectId) -> String {
    let node = &effect.call.node;
    match run.tool_of(&effect.call) {
        Some(tool) if tool != node.node.as_str() => format!("`{tool}` of `{node}`"),
        Some(_) | None => format!("`{node}`"),
    }
}

/// All that helps to find a call at its service.
fn known(id: &RunId, run: &Run, effect: &EffectId, fault: &str) -> Value {
    let mut known = json!({ "effect": effect, "key": effect.key(id), "known": fault });
    if let Some((tool, arguments)) = run.tool_call(&effect.call) {
        known["tool"] = tool.into();
        known["arguments"] = match arguments.to_string().len() {
            ..=ARGUMENTS_BYTES_MAX => arguments.clone(),
            bytes => format!("{bytes} bytes, too many to show here: they are in the run's journal").into(),
        };
    }
    known
}

/// A title as lists show it.
fn short(mut title: String) -> String {
    if title.len() > TITLE_BYTES_MAX {
        title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX - '…'.len_utf8()));
        title.push('…');
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_cut_between_letters() {
        assert_eq!(short("Which seat?".to_owned()), "Which seat?");
        assert_eq!(short("é".repeat(150)), "é".repeat(150));
        let cut = short("é".repeat(200));
        assert!(cut.len() <= TITLE_BYTES_MAX && cut.ends_with("é…"), "{cut}");
    }
}
