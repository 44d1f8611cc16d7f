//! A run told as it goes: each node as it begins and ends, with its time and cost.

use std::collections::BTreeMap;

use baton_core::id::RunId;
use baton_core::run::{Address, Answer, Ask, Began, Entry, Event, How, InDoubt, Request, Role, Run, State};
use baton_core::time::Time;
use baton_ports::registry::Version;
use serde_json::Value;

use crate::print;

/// Longest value shown on a line.
const SHOWN_MAX: usize = 96;

pub struct Progress {
    began: BTreeMap<Address, Time>,
}

/// What the customer was made to say.
pub fn said(text: &str) {
    print::line(format_args!("  {} {text}", print::paint("35", "customer:")));
}

impl Progress {
    /// Without a first line: the run began before.
    pub fn going_on() -> Self {
        Self { began: BTreeMap::new() }
    }

    pub fn new(run: &RunId, version: &Version) -> Self {
        print::line(format_args!(
            "run {run} of {} (revision {}, {})",
            version.workflow,
            version.revision,
            version.bundle.short()
        ));
        Self { began: BTreeMap::new() }
    }

    /// Tells what an entry recorded; `run` has folded it already.
    pub fn tell(&mut self, run: &Run, entry: &Entry) {
        for event in &entry.events {
            self.tell_event(run, entry.at, event);
        }
    }

    fn tell_event(&mut self, run: &Run, at: Time, event: &Event) {
        match event {
            Event::Scheduled(scheduled) => {
                let node = scheduled.effect.call.node.clone();
                self.began.entry(node.clone()).or_insert(at);
                if let (Request::Tool { tool, .. }, Role::Undo) = (&scheduled.request, scheduled.effect.call.role) {
                    mark("33", "↶", &node, &format!("undoing with {tool}"));
                }
            }
            Event::Began { node, wait } => {
                self.began.entry(node.clone()).or_insert(at);
                if let Began::Human { title, .. } = &**wait {
                    mark("34", "?", node, &format!("asks a person: {title}"));
                }
            }
            Event::CustomerAsked { node, question, .. } => mark("34", "?", node, question),
            Event::NotDone { effect, fault, again_at: Some(again) } => {
                let wait = again.since(at).as_secs_f64();
                mark("33", "…", &effect.call.node, &format!("{fault}; again in {wait:.1} s"));
            }
            Event::Doubted { effect, fault, next } => {
                let next = match next {
                    InDoubt::SendAgain { .. } => "the same key goes out again",
                    InDoubt::LookUp { .. } => "the service is asked",
                    InDoubt::Person => "a person must say what became of it",
                };
                mark("33", "?", &effect.call.node, &format!("{fault}; {next}"));
            }
            Event::Done(done) if done.effect.call.role == Role::Undo => {
                let output = match &done.output {
                    Answer::Tool(output) => short(output),
                    Answer::Model(_) => String::new(),
                };
                mark("32", "↶", &done.effect.call.node, &format!("undone {output}"));
            }
            Event::NotUndone { effect, fault } => mark("31", "✗", &effect.call.node, &format!("not undone: {fault}")),
            Event::Ended(ended) => self.ended(run, at, &ended.node, &ended.how),
            Event::Compensating => print::line("  undoing what was done, newest first"),
            _ => {}
        }
    }

    fn ended(&mut self, run: &Run, at: Time, node: &Address, how: &How) {
        let took = self.began.remove(node).map(|began| at.since(began).as_millis());
        let took = took.filter(|ms| *ms > 0).map(|ms| format!(" {ms} ms")).unwrap_or_default();
        match how {
            How::Completed { output } => mark("32", "✓", node, &format!("{}{took}", short(output))),
            How::Answered => {
                let output = run.outputs().get(node.node.as_str()).map(short).unwrap_or_default();
                mark("32", "✓", node, &format!("{output}{took}"));
            }
            How::Failed { fault } => mark("31", "✗", node, &format!("{fault}{took}")),
            How::Caught { fault } => mark("33", "!", node, &format!("{fault}; goes on{took}")),
            How::Skipped => mark("2", "·", node, "skipped"),
            How::Cancelled => mark("2", "·", node, "cut off"),
        }
    }
}

fn mark(colour: &str, sign: &str, node: &Address, text: &str) {
    print::line(format_args!("  {} {:<24} {text}", print::paint(colour, sign), node.to_string()));
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The last lines: how it ended, what it cost, or what it waits for and the way on.
pub fn conclude(run: &Run) {
    let id = run.id().map(ToString::to_string).unwrap_or_default();
    let took = run.now().since(run.started_at()).as_secs_f64();
    let state = run.state();
    let colour = if state == State::Completed { "32" } else { "33" };
    let fault = run.fault().map(|fault| format!(": {fault}")).unwrap_or_default();
    print::line(format_args!("{} after {took:.1} s, {}{fault}", print::paint(colour, state.word()), run.cost()));
    if let Some(output) = run.finished().map(|end| &end.output).filter(|output| !output.is_null()) {
        print::pretty(output);
    }
    for ask in run.asks() {
        let way_on = match ask {
            Ask::Human(node) => format!("waits for a person at `{node}`: baton runs answer {id} {node} --approve"),
            Ask::Customer(node) => format!("waits for the customer at `{node}`: baton runs signal {id} --message TEXT"),
            Ask::Doubt(effect) => format!(
                "nobody knows whether `{effect}` acted: baton runs resolve {id} '{effect}' --done JSON | --not-done | --repeat"
            ),
            Ask::Approval(effect) => format!("`{effect}` needs leave"),
        };
        print::line(way_on);
    }
}
