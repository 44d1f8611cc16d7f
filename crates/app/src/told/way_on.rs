//! The command that goes on from what a run waits for.

use baton_core::run::{Ask, Awaited, HeldBy, HeldCall, Open, SoFar};

use crate::project::in_shell;

/// In words, with the command to type; `command` begins one that speaks of the project.
pub fn way_on(open: &Open, command: &str) -> String {
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
            format!("waits for a person at `{node}`: {command} runs answer {run} {} --form JSON", at(node))
        }
        Awaited::Question { effect, message, .. } => {
            format!("`{effect}` asks: {message} {command} runs answer {run} {} --form JSON  # or --reject", at(effect))
        }
        Awaited::Ask(Ask::Question(effect)) => {
            format!("`{effect}` asks something: {command} runs answer {run} {} --form JSON  # or --reject", at(effect))
        }
        Awaited::Ask(Ask::Human(node)) => {
            format!("waits for a person at `{node}`: {command} runs answer {run} {} --approve  # or --reject", at(node))
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
            open.leave.as_ref().map(by_whom).unwrap_or_default()
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

/// Who says so, where not everybody may: the first of those who are asked and have not said it.
fn by_whom(leave: &SoFar) -> String {
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
