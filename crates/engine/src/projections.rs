//! Desk items, derived from a run's events and state and written with them.

use std::collections::BTreeSet;

use baton_core::id::{RunId, TenantId};
use baton_core::run::{Ask, Asked, Began, Block, Detour, EffectId, Event, InDoubt, Run};
use baton_core::time::Time;
use baton_ports::journal::{DeskItem, DeskKind, Projection};
use serde_json::{Value, json};

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
            let Some((ask, kind, title, details, deadline)) = opened(event) else { continue };
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
                title,
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

fn item_id(run: &RunId, ask: &Ask) -> String {
    match ask {
        Ask::Human(node) => format!("{run}/{node}"),
        Ask::Customer(node) => format!("{run}/{node}/customer"),
        Ask::Doubt(effect) => format!("{}/doubt", effect.key(run)),
        Ask::Approval(effect) => format!("{}/approval", effect.key(run)),
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

fn opened(event: &Event) -> Option<Opened> {
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
            let title = format!("Did `{}` act?", effect.call.node);
            Some((Some(Ask::Doubt(effect.clone())), DeskKind::Doubt, title, known(effect, &fault.to_string()), None))
        }
        Event::Degraded { effect, fault, attempted, detour: Detour::Person } => {
            let title = format!("`{}`: the service is down; can you do it by hand?", effect.call.node);
            let effect = EffectId { generation: effect.generation + u32::from(*attempted), ..effect.clone() };
            let known = known(&effect, &format!("it did not act: {fault}"));
            Some((Some(Ask::Doubt(effect)), DeskKind::Doubt, title, known, None))
        }
        Event::Blocked { effect, by: Block::Approval(leave) } => {
            let title = format!("May `{}` act?", effect.call.node);
            let mut details = json!({
                "effect": effect, "hash": leave.hash, "arguments": leave.arguments, "need": leave.need,
                "from": leave.from, "on_deadline": leave.then,
            });
            if let Some(account) = &leave.account {
                details["account"] = account.as_str().into();
            }
            Some((Some(Ask::Approval(effect.clone())), DeskKind::ToolApproval, title, details, leave.until))
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
            let title = format!("`{}` could not be undone", effect.call.node);
            Some((None, DeskKind::NotUndone, title, known(effect, &fault.to_string()), None))
        }
        _ => None,
    }
}

fn known(effect: &EffectId, fault: &str) -> Value {
    json!({ "effect": effect, "known": fault })
}
