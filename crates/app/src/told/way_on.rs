//! The command that goes on from what a run waits for.

use baton_core::run::{Address, Ask, Assignees, Awaited, Began, Entry, Event, HeldBy, HeldCall, Open, SoFar};
use serde_json::Value;

use crate::project::in_shell;

/// In words, with the command to type; `command` begins one that speaks of the project. `entries`: of its run, which say whom
/// a node asks.
pub fn way_on(open: &Open, command: &str, entries: &[Entry]) -> String {
    let run = in_shell(open.run.as_str());
    let at = |place: &dyn std::fmt::Display| in_shell(&place.to_string());
    match &open.awaited {
        Awaited::Resume => format!("paused: {command} runs resume {run}"),
        Awaited::Instant(at) => format!("goes on by itself at {at}, where somebody serves it: {command} runs work"),
        Awaited::Held(held) => format!("{}: {command} runs work", held_back(held)),
        Awaited::Signal { node, name } => {
            let name = in_shell(name);
            format!("waits for a signal at `{node}`: {command} runs signal {run} {name} --payload JSON")
        }
        Awaited::Form(node) => {
            let (by, who) = by_whom("--by", assignees(node, entries), &[]);
            let who = if who.is_empty() { who } else { format!("  # {who}") };
            format!("waits for a person at `{node}`: {command} runs answer {run} {} --form JSON{by}{who}", at(node))
        }
        Awaited::Question { effect, message, .. } => {
            format!("`{effect}` asks: {message} {command} runs answer {run} {} --form JSON  # or --reject", at(effect))
        }
        Awaited::Ask(Ask::Question(effect)) => {
            format!("`{effect}` asks something: {command} runs answer {run} {} --form JSON  # or --reject", at(effect))
        }
        Awaited::Ask(Ask::Human(node)) => {
            let (by, who) = by_whom("--by", assignees(node, entries), &asked_by(entries));
            let who = if who.is_empty() { who } else { format!("; {who}") };
            let place = at(node);
            format!(
                "waits for a person at `{node}`: {command} runs answer {run} {place} --approve{by}  # or --reject{who}"
            )
        }
        Awaited::Ask(Ask::Customer(node)) => {
            format!("waits for the customer at `{node}`: {command} runs signal {run} --message TEXT")
        }
        Awaited::ByHand(effect) => format!(
            "`{effect}` is to be done by hand, its service is down: {command} runs resolve {run} {} --done JSON  \
             # or --not-done, or --repeat",
            at(effect)
        ),
        Awaited::Ask(Ask::Doubt(effect)) => format!(
            "nobody knows whether `{effect}` acted{}: {command} runs resolve {run} {} --not-done  # or --done JSON{}",
            if open.ending { ", and the run is ending" } else { "" },
            at(effect),
            if open.ending { "" } else { ", or --repeat" }
        ),
        Awaited::Ask(Ask::Approval(effect)) => format!(
            "`{effect}` needs a person's leave{}: {command} runs answer {run} {} --approve{}  # or --reject",
            open.leave.as_ref().map(so_far).unwrap_or_default(),
            at(effect),
            open.leave.as_ref().map(next_of).unwrap_or_default()
        ),
        Awaited::Ask(Ask::Budget(effect)) => format!(
            "`{effect}` waits for money (`{command} budgets` says how much): {command} runs answer {run} {} \
             --approve  # once there is some, or --reject",
            at(effect)
        ),
        Awaited::Ask(Ask::Key(effect)) => {
            format!("`{effect}` waits for the consumer's own key: {command} runs key {run}  # reads it from stdin")
        }
    }
}

/// What holds a call back, and until when.
fn held_back(HeldCall { effect, by, until, tool }: &HeldCall) -> String {
    let what = tool.as_ref().map_or_else(|| format!("`{effect}`"), |tool| format!("`{effect}` (`{tool}`)"));
    let why = match by {
        HeldBy::Rate => "waits for its turn under a rate limit",
        HeldBy::Circuit => "waits for a service that failed several times running",
        HeldBy::Outage => "waits for a service that is down",
        HeldBy::Retry => "is tried again",
        HeldBy::LookUp => "may have acted, and its service is asked",
    };
    format!("{what} {why}; it goes on by itself at {until}, where somebody serves it")
}

/// What a run that waits waits for, in a few words each.
pub fn in_short(open: &Open) -> Option<String> {
    let reason = match &open.awaited {
        Awaited::Held(HeldCall { by, until, tool, effect }) => {
            let of = tool.clone().unwrap_or_else(|| effect.call.node.to_string());
            return Some(format!("{} ({of}, until {until})", by.word()));
        }
        Awaited::Ask(Ask::Human(_) | Ask::Approval(_)) => "approval",
        Awaited::Form(_) | Awaited::Question { .. } | Awaited::Ask(Ask::Question(_)) => "answer",
        Awaited::Ask(Ask::Customer(_)) => "customer",
        Awaited::Ask(Ask::Doubt(_)) => "doubt",
        Awaited::ByHand(_) => "by hand",
        Awaited::Ask(Ask::Budget(_)) => "budget",
        Awaited::Ask(Ask::Key(_)) => "key",
        Awaited::Signal { name, .. } => return Some(format!("signal `{name}`")),
        Awaited::Instant(at) => return Some(format!("timer (until {at})")),
        Awaited::Resume => return None,
    };
    Some(reason.to_owned())
}

/// Whom an open `human` node asks, as the run's journal has it.
fn assignees<'e>(node: &Address, entries: &'e [Entry]) -> &'e Value {
    let began = entries.iter().rev().flat_map(|entry| entry.events.iter().rev()).find_map(|event| match event {
        Event::Began { node: began, wait } if began == node => match &**wait {
            Began::Human { assignees, .. } => Some(assignees),
            _ => None,
        },
        _ => None,
    });
    began.unwrap_or(&Value::Null)
}

/// Who asked for what a run does: nobody allows that themselves.
fn asked_by(entries: &[Entry]) -> Vec<&str> {
    let callers = entries.iter().flat_map(|entry| &entry.events).find_map(|event| match event {
        Event::Started(started) => Some(&started.caller),
        _ => None,
    });
    let names =
        callers.into_iter().flat_map(|caller| caller.user_id.iter().chain(&caller.begun_by).chain(&caller.also_asked));
    names.map(String::as_str).collect()
}

/// Who says so, where not everybody may: what is put behind the command, and who that may be where no name says it. It is none
/// of `but`.
pub fn by_whom(flag: &str, assignees: &Value, but: &[&str]) -> (String, String) {
    match Assignees::read(assignees) {
        Ok(Assignees::Names(names)) => {
            let first = names.iter().find(|name| !but.contains(&name.as_str()));
            (first.map(|name| format!(" {flag} {}", in_shell(name))).unwrap_or_default(), String::new())
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

/// Who says so, where not everybody may: the first of those who are asked and have not said it.
fn next_of(leave: &SoFar) -> String {
    let next = leave.from.iter().find(|name| !leave.given_by.contains(name));
    next.map(|name| format!(" --by {}", in_shell(name))).unwrap_or_default()
}

/// How far leave has come.
fn so_far(leave: &SoFar) -> String {
    let mut words = Vec::new();
    if leave.need > 1 {
        words.push(format!("{} of {} so far", leave.given_by.len(), leave.need));
    }
    if !leave.from.is_empty() {
        words.push(format!("asked are {}", leave.from.join(", ")));
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) }
}
