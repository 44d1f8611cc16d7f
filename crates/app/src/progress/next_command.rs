//! The command that continues a run from what it waits for.

use baton_core::run::{
    ApprovalProgress, Assignees, HeldCall, HoldReason, HumanTask, NodeAddress, NodeWait, OpenWait, RunEntry, RunEvent,
    WaitKind,
};
use serde_json::Value;

use crate::project::shell_quote;

/// Describes the wait and the command to type. `command` is how a command line for the project begins. `entries` are
/// the entries of the run, which name the assignees of a node.
pub fn next_command(open: &OpenWait, command: &str, entries: &[RunEntry]) -> String {
    let run = shell_quote(open.run.as_str());
    let at = |place: &dyn std::fmt::Display| shell_quote(&place.to_string());
    match &open.kind {
        WaitKind::Resume => format!("paused: {command} runs resume {run}"),
        WaitKind::Instant(at) => format!("goes on by itself at {at}, where somebody serves it: {command} runs work"),
        WaitKind::Held(held) => format!("{}: {command} runs work", held_call_hint(held)),
        WaitKind::Signal { node, name } => {
            let name = shell_quote(name);
            format!("waits for a signal at `{node}`: {command} runs signal {run} {name} --payload JSON")
        }
        WaitKind::Form(node) => {
            let (by, who) = decider_flag("--by", assignees(node, entries), &[]);
            let who = if who.is_empty() { who } else { format!("  # {who}") };
            format!("waits for a person at `{node}`: {command} runs answer {run} {} --form JSON{by}{who}", at(node))
        }
        WaitKind::Question { effect, message, .. } => {
            format!("`{effect}` asks: {message} {command} runs answer {run} {} --form JSON  # or --reject", at(effect))
        }
        WaitKind::Ask(HumanTask::Question(effect)) => {
            format!("`{effect}` asks something: {command} runs answer {run} {} --form JSON  # or --reject", at(effect))
        }
        WaitKind::Ask(HumanTask::Human(node)) => {
            let (by, who) = decider_flag("--by", assignees(node, entries), &requesters(entries));
            let who = if who.is_empty() { who } else { format!("; {who}") };
            let place = at(node);
            format!(
                "waits for a person at `{node}`: {command} runs answer {run} {place} --approve{by}  # or --reject{who}"
            )
        }
        WaitKind::Ask(HumanTask::Customer(node)) => {
            format!("waits for the customer at `{node}`: {command} runs signal {run} --message TEXT")
        }
        WaitKind::Manual(effect) => format!(
            "`{effect}` is to be done by hand, its service is down: {command} runs resolve {run} {} --done JSON  \
             # or --not-done, or --repeat",
            at(effect)
        ),
        WaitKind::Ask(HumanTask::Doubt(effect)) => format!(
            "nobody knows whether `{effect}` acted{}: {command} runs resolve {run} {} --not-done  # or --done JSON{}",
            if open.ending { ", and the run is ending" } else { "" },
            at(effect),
            if open.ending { "" } else { ", or --repeat" }
        ),
        WaitKind::Ask(HumanTask::Approval(effect)) => format!(
            "`{effect}` needs a person's leave{}: {command} runs answer {run} {} --approve{}  # or --reject",
            open.approval.as_ref().map(approval_progress).unwrap_or_default(),
            at(effect),
            open.approval.as_ref().map(next_approver).unwrap_or_default()
        ),
        WaitKind::Ask(HumanTask::Budget(effect)) => format!(
            "`{effect}` waits for money (`{command} budgets` says how much): {command} runs answer {run} {} \
             --approve  # once there is some, or --reject",
            at(effect)
        ),
        WaitKind::Ask(HumanTask::Key(effect)) => {
            format!("`{effect}` waits for the consumer's own key: {command} runs key {run}  # reads it from stdin")
        }
    }
}

/// What delays a call, and until when.
fn held_call_hint(HeldCall { effect, by, until, tool }: &HeldCall) -> String {
    let what = tool.as_ref().map_or_else(|| format!("`{effect}`"), |tool| format!("`{effect}` (`{tool}`)"));
    let why = match by {
        HoldReason::Rate => "waits for its turn under a rate limit",
        HoldReason::Circuit => "waits for a service that failed several times running",
        HoldReason::Outage => "waits for a service that is down",
        HoldReason::Retry => "is tried again",
        HoldReason::LookUp => "may have acted, and its service is asked",
    };
    format!("{what} {why}; it goes on by itself at {until}, where somebody serves it")
}

/// What a run waits for, in a few words.
pub fn describe_open(open: &OpenWait) -> Option<String> {
    let reason = match &open.kind {
        WaitKind::Held(HeldCall { by, until, tool, effect }) => {
            let of = tool.clone().unwrap_or_else(|| effect.call.node.to_string());
            return Some(format!("{} ({of}, until {until})", by.word()));
        }
        WaitKind::Ask(HumanTask::Human(_) | HumanTask::Approval(_)) => "approval",
        WaitKind::Form(_) | WaitKind::Question { .. } | WaitKind::Ask(HumanTask::Question(_)) => "answer",
        WaitKind::Ask(HumanTask::Customer(_)) => "customer",
        WaitKind::Ask(HumanTask::Doubt(_)) => "doubt",
        WaitKind::Manual(_) => "by hand",
        WaitKind::Ask(HumanTask::Budget(_)) => "budget",
        WaitKind::Ask(HumanTask::Key(_)) => "key",
        WaitKind::Signal { name, .. } => return Some(format!("signal `{name}`")),
        WaitKind::Instant(at) => return Some(format!("timer (until {at})")),
        WaitKind::Resume => return None,
    };
    Some(reason.to_owned())
}

/// The assignees of an open `human` node, read from the run's journal.
fn assignees<'e>(node: &NodeAddress, entries: &'e [RunEntry]) -> &'e Value {
    let began = entries.iter().rev().flat_map(|entry| entry.events.iter().rev()).find_map(|event| match event {
        RunEvent::Began { node: began, wait } if began == node => match &**wait {
            NodeWait::Human { assignees, .. } => Some(assignees),
            _ => None,
        },
        _ => None,
    });
    began.unwrap_or(&Value::Null)
}

/// The people who requested the work of a run. They cannot approve it themselves.
fn requesters(entries: &[RunEntry]) -> Vec<&str> {
    let callers = entries.iter().flat_map(|entry| &entry.events).find_map(|event| match event {
        RunEvent::Started(started) => Some(&started.caller),
        _ => None,
    });
    let names =
        callers.into_iter().flat_map(|caller| caller.user_id.iter().chain(&caller.begun_by).chain(&caller.also_asked));
    names.map(String::as_str).collect()
}

/// The flag that names who decides, if not everybody may, and a hint about who that can be if there is no name to fill
/// in. Never picks a name in `but`.
pub fn decider_flag(flag: &str, assignees: &Value, but: &[&str]) -> (String, String) {
    match Assignees::read(assignees) {
        Ok(Assignees::Names(names)) => {
            let first = names.iter().find(|name| !but.contains(&name.as_str()));
            (first.map(|name| format!(" {flag} {}", shell_quote(name))).unwrap_or_default(), String::new())
        }
        Ok(Assignees::Qualified { role, skills }) => {
            let role = role.map(|role| format!("role `{role}`"));
            let skills = (!skills.is_empty()).then(|| format!("the skills `{}`", skills.join("`, `")));
            let has: Vec<String> = role.into_iter().chain(skills).collect();
            (format!(" {flag} NAME"), format!("NAME is somebody with {}", has.join(" and ")))
        }
        Ok(Assignees::Anybody) | Err(_) => (String::new(), String::new()),
    }
}

/// The flag for the next approver: the first of the named approvers who has not approved yet.
fn next_approver(leave: &ApprovalProgress) -> String {
    let next = leave.from.iter().find(|name| !leave.given_by.contains(name));
    next.map(|name| format!(" --by {}", shell_quote(name))).unwrap_or_default()
}

/// How many approvals have been given, and who is asked.
fn approval_progress(leave: &ApprovalProgress) -> String {
    let mut words = Vec::new();
    if leave.need > 1 {
        words.push(format!("{} of {} so far", leave.given_by.len(), leave.need));
    }
    if !leave.from.is_empty() {
        words.push(format!("asked are {}", leave.from.join(", ")));
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) }
}
