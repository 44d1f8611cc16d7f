//! Task inbox items, derived from a run's events and state and written with them.

use std::collections::BTreeSet;

use baton_core::id::{RunId, TenantId};
use baton_core::run::{
    BlockReason, DoubtFollowUp, EffectId, HumanPrompt, HumanTask, NodeWait, OutageAction, Run, RunEvent,
};
use baton_core::time::Time;
use baton_ports::journal::{ProjectionRow, TITLE_BYTES_MAX, TaskItem, TaskItemKind};
use baton_ports::read::customer_hash;
use serde_json::{Value, json};

/// Maximum size of a call's arguments shown in an item, in bytes.
const ARGUMENTS_BYTES_MAX: usize = 64 << 10;

/// The open task inbox items of a run.
#[derive(Default)]
pub struct OpenTasks {
    open: BTreeSet<HumanTask>,
}

impl OpenTasks {
    /// The open items that a new owner finds: the old owner wrote them.
    pub fn of(run: &Run) -> Self {
        Self { open: run.human_tasks().into_iter().collect() }
    }

    /// The items that these events, already folded into `run`, open and close.
    pub fn follow(&mut self, tenant: &TenantId, run: &Run, events: &[RunEvent], now: Time) -> Vec<ProjectionRow> {
        let Some(id) = run.id() else { return Vec::new() };
        let mut changes: Vec<ProjectionRow> = self.closed(id, run, now);
        for event in events {
            let outcome = match event {
                RunEvent::UndoneByHand { .. } => "undone by hand",
                RunEvent::UndoAgain { .. } => "tried again",
                _ => continue,
            };
            let (id, outcome) = (not_undone_id(id, event), outcome.to_owned());
            changes.push(ProjectionRow::TaskClosed { id, at: now, outcome });
        }
        for event in events {
            let Some((ask, kind, title, details, deadline)) = opened_task(id, run, event) else { continue };
            // The same decision may have settled it already.
            if ask.as_ref().is_some_and(|ask| !run.is_open(ask) || !self.open.insert(ask.clone())) {
                continue;
            }
            let key = ask.map_or_else(|| not_undone_id(id, event), |ask| item_id(id, &ask));
            let item = TaskItem {
                id: key,
                tenant: tenant.clone(),
                run: Some(id.clone()),
                kind,
                title: truncate_title(title),
                details,
                opened_at: now,
                deadline,
            };
            changes.push(ProjectionRow::TaskOpened(item));
        }
        changes
    }

    fn closed(&mut self, id: &RunId, run: &Run, now: Time) -> Vec<ProjectionRow> {
        if self.open.is_empty() {
            return Vec::new();
        }
        let (open, closed): (BTreeSet<HumanTask>, BTreeSet<HumanTask>) =
            std::mem::take(&mut self.open).into_iter().partition(|ask| run.is_open(ask));
        self.open = open;
        let close = |ask: HumanTask| ProjectionRow::TaskClosed {
            id: item_id(id, &ask),
            at: now,
            outcome: "settled".to_owned(),
        };
        closed.into_iter().map(close).collect()
    }
}

/// The search entry of a run, if these events, already folded into it, start the run. The events of a fork begin with
/// those of another run.
pub fn run_begun(id: &RunId, tenant: &TenantId, run: &Run, events: &[RunEvent]) -> Option<ProjectionRow> {
    let is_begun = events.iter().any(|event| matches!(event, RunEvent::Started(_)));
    let started = run.started().filter(|_| is_begun)?;
    let customer = started.caller.user_id.as_deref().filter(|user| !user.is_empty());
    Some(ProjectionRow::RunBegun {
        run: id.clone(),
        customer: customer.map(|user| customer_hash(tenant, user)),
        bundle: started.bundle.clone(),
    })
}

/// The id of a run's task in the task inbox.
pub fn item_id(run: &RunId, ask: &HumanTask) -> String {
    match ask {
        HumanTask::Human(node) => format!("{run}/{node}"),
        HumanTask::Customer(node) => format!("{run}/{node}/customer"),
        HumanTask::Doubt(effect) => format!("{}/doubt", effect.key(run)),
        HumanTask::Approval(effect) => format!("{}/approval", effect.key(run)),
        HumanTask::Question(effect) => format!("{}/question", effect.key(run)),
        HumanTask::Budget(effect) => format!("{}/budget", effect.key(run)),
        HumanTask::Key(effect) => format!("{}/key", effect.key(run)),
    }
}

fn not_undone_id(run: &RunId, event: &RunEvent) -> String {
    match event {
        RunEvent::NotUndone { effect, .. }
        | RunEvent::UndoneByHand { effect, .. }
        | RunEvent::UndoAgain { effect, .. } => {
            format!("{}/not_undone", effect.key(run))
        }
        _ => run.to_string(),
    }
}

type OpenedTask = (Option<HumanTask>, TaskItemKind, String, Value, Option<Time>);

fn opened_task(id: &RunId, run: &Run, event: &RunEvent) -> Option<OpenedTask> {
    match event {
        RunEvent::Began { node, wait } => match &**wait {
            NodeWait::Human { title, details, ask, assignees, deadline } => {
                let (kind, ask) = match ask {
                    HumanPrompt::Approval { needed } => (TaskItemKind::Approval, json!({ "needed": needed })),
                    HumanPrompt::Form { schema } => (TaskItemKind::Form, json!({ "form": schema })),
                };
                let details = json!({ "node": node, "details": details, "asks": ask, "assignees": assignees });
                Some((Some(HumanTask::Human(node.clone())), kind, title.clone(), details, *deadline))
            }
            _ => None,
        },
        RunEvent::CustomerAsked { node, question, deadline } => {
            let details = json!({ "node": node });
            Some((
                Some(HumanTask::Customer(node.clone())),
                TaskItemKind::Question,
                question.clone(),
                details,
                *deadline,
            ))
        }
        RunEvent::Doubted { effect, fault, next: DoubtFollowUp::Person } => {
            let title = format!("Did {} act?", call_title(run, effect));
            let known = call_details(id, run, effect, &fault.to_string());
            Some((Some(HumanTask::Doubt(effect.clone())), TaskItemKind::Doubt, title, known, None))
        }
        RunEvent::Degraded { effect, fault, attempted, detour: OutageAction::Person } => {
            let title = format!("{}: the service is down; can you do it by hand?", call_title(run, effect));
            let effect = EffectId { generation: effect.generation + u32::from(*attempted), ..effect.clone() };
            let known = call_details(id, run, &effect, &format!("it did not act: {fault}"));
            Some((Some(HumanTask::Doubt(effect)), TaskItemKind::Doubt, title, known, None))
        }
        RunEvent::Blocked { effect, by: BlockReason::Approval(leave) } => {
            let title = format!("May {} act?", call_title(run, effect));
            let mut details = json!({
                "effect": effect, "tool": run.tool_of(&effect.call), "hash": leave.hash, "arguments": leave.arguments, "need": leave.need,
                "from": leave.from, "on_deadline": leave.then,
            });
            if let Some(account) = &leave.account {
                details["account"] = account.as_str().into();
            }
            Some((Some(HumanTask::Approval(effect.clone())), TaskItemKind::ToolApproval, title, details, leave.until))
        }
        RunEvent::Blocked { effect, by: BlockReason::Question { question, until } } => {
            let title = format!("{} asks: {}", call_title(run, effect), question.message);
            let details = json!({
                "effect": effect, "tool": run.tool_of(&effect.call), "message": question.message,
                "asks": { "form": question.schema },
            });
            Some((Some(HumanTask::Question(effect.clone())), TaskItemKind::Form, title, details, *until))
        }
        RunEvent::Blocked { effect, by: BlockReason::Budget { line, until } } => {
            let title = format!("`{}` waits for money: {line} is used up until {until}", effect.call.node);
            let details = json!({ "effect": effect, "line": line, "resets_at": until.to_string() });
            Some((Some(HumanTask::Budget(effect.clone())), TaskItemKind::OverBudget, title, details, Some(*until)))
        }
        RunEvent::Blocked { effect, by: BlockReason::Key } => {
            let title = format!("`{}` waits for the consumer's own key", effect.call.node);
            Some((
                Some(HumanTask::Key(effect.clone())),
                TaskItemKind::NeedsKey,
                title,
                json!({ "effect": effect }),
                None,
            ))
        }
        RunEvent::NotUndone { effect, fault } => {
            let undone = run.saga().effect_undone_by(&effect.call).map(|(_, tool)| tool);
            let title = match undone.filter(|tool| *tool != effect.call.node.node.as_str()) {
                Some(tool) => format!("`{tool}` of `{}` could not be undone", effect.call.node),
                None => format!("`{}` could not be undone", effect.call.node),
            };
            let mut known = call_details(id, run, effect, &fault.to_string());
            known["undoes"] = json!(undone);
            Some((None, TaskItemKind::NotUndone, title, known, None))
        }
        _ => None,
    }
}

/// A readable name for a call: its tool and its node, or one name if both are the same.
fn call_title(run: &Run, effect: &EffectId) -> String {
    let node = &effect.call.node;
    match run.tool_of(&effect.call) {
        Some(tool) if tool != node.node.as_str() => format!("`{tool}` of `{node}`"),
        Some(_) | None => format!("`{node}`"),
    }
}

/// Everything that helps to find a call at its service.
fn call_details(id: &RunId, run: &Run, effect: &EffectId, fault: &str) -> Value {
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

/// Truncates a title for lists.
fn truncate_title(mut title: String) -> String {
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
        assert_eq!(truncate_title("Which seat?".to_owned()), "Which seat?");
        assert_eq!(truncate_title("é".repeat(150)), "é".repeat(150));
        let cut = truncate_title("é".repeat(200));
        assert!(cut.len() <= TITLE_BYTES_MAX && cut.ends_with("é…"), "{cut}");
    }
}
