//! A run told as it goes: each node as it begins and ends, with its time and cost.

use std::collections::BTreeMap;

use baton_core::id::RunId;
use baton_core::run::{
    Address, Answer, Began, Block, Detour, Ended, Entry, Event, How, InDoubt, Request, Role, Run, State,
};
use baton_core::time::Time;
use baton_engine::Follower;
use baton_ports::registry::Version;
use serde_json::Value;

use super::way_on;
use crate::print;

/// Longest value shown on a line.
const SHOWN_MAX: usize = 96;

pub struct Progress {
    /// The run whose lines need no name; of nobody, each run is named as its turn comes.
    subject: Option<RunId>,
    told_last: Option<RunId>,
    /// What lines begin with.
    margin: &'static str,
    began: BTreeMap<(RunId, Address), Time>,
    /// What tools answered, until their nodes end: a body is folded away as soon as it is over.
    answered: BTreeMap<(RunId, Address), String>,
}

/// What the customer was made to say.
pub fn said(text: &str) {
    print::line(format_args!("  {} {text}", print::paint("35", "customer:")));
}

impl Progress {
    /// Of a run that begins.
    pub fn new(run: &RunId, version: &Version) -> Self {
        print::line(format_args!(
            "run {run} of {} (revision {}, {})",
            version.workflow,
            version.revision,
            version.bundle.short()
        ));
        Self::going_on(run)
    }

    /// Of a run that began before, and needs no first line.
    pub fn going_on(run: &RunId) -> Self {
        Self {
            subject: Some(run.clone()),
            told_last: None,
            margin: "  ",
            began: BTreeMap::new(),
            answered: BTreeMap::new(),
        }
    }

    /// Under a line that is indented itself.
    pub fn indented(mut self) -> Self {
        self.margin = "      ";
        self
    }

    /// Of all runs that move.
    pub fn of_all() -> Self {
        Self { subject: None, told_last: None, margin: "  ", began: BTreeMap::new(), answered: BTreeMap::new() }
    }

    /// Tells what an entry recorded.
    pub fn tell(&mut self, id: &RunId, entry: &Entry) {
        // What a forked run inherits is no news.
        let inherited = entry.events.iter().rposition(|event| matches!(event, Event::Forked(_)));
        for event in entry.events.iter().skip(inherited.map_or(0, |place| place + 1)) {
            self.tell_event(id, entry.at, event);
        }
    }

    fn tell_event(&mut self, id: &RunId, at: Time, event: &Event) {
        match event {
            Event::Scheduled(scheduled) => {
                let node = scheduled.effect.call.node.clone();
                self.began.entry((id.clone(), node.clone())).or_insert(at);
                if let (Request::Tool { tool, .. }, Role::Undo) = (&scheduled.request, scheduled.effect.call.role) {
                    self.mark(id, "33", "↶", &node, &format!("undoing with {tool}"));
                }
            }
            Event::Began { node, wait } => {
                self.began.entry((id.clone(), node.clone())).or_insert(at);
                if let Began::Human { title, .. } = &**wait {
                    self.mark(id, "34", "?", node, &format!("asks a person: {title}"));
                }
            }
            Event::CustomerAsked { node, question, .. } => self.mark(id, "34", "?", node, question),
            Event::NotDone { effect, fault, again_at: Some(again), .. } => {
                let wait = print::took(again.since(at));
                self.mark(id, "33", "…", &effect.call.node, &format!("{fault}; again in {wait}"));
            }
            Event::Blocked { effect, by: Block::Budget { line, until } } => {
                self.mark(
                    id,
                    "33",
                    "?",
                    &effect.call.node,
                    &format!("waits for money: {line} is used up until {until}"),
                );
            }
            Event::Blocked { effect, by: Block::RateLimit { until } } => {
                let wait = print::took(until.since(at));
                self.mark(
                    id,
                    "33",
                    "…",
                    &effect.call.node,
                    &format!("waits for its turn under a rate limit, for {wait}"),
                );
            }
            Event::Blocked { effect, by: Block::Circuit { until } } => {
                let wait = print::took(until.since(at));
                let text = format!("waits for a service that failed several times running, for {wait}");
                self.mark(id, "33", "…", &effect.call.node, &text);
            }
            Event::Blocked { effect, by: Block::Question { question, .. } } => {
                self.mark(id, "34", "?", &effect.call.node, &question.message);
            }
            Event::Blocked { effect, by: Block::Key } => {
                self.mark(id, "33", "?", &effect.call.node, "waits for the consumer's own key");
            }
            Event::Doubted { effect, fault, next } => {
                let next = match next {
                    InDoubt::SendAgain { .. } => "the same key goes out again",
                    InDoubt::LookUp { .. } => "the service is asked",
                    InDoubt::Person => "a person must say what became of it",
                };
                self.mark(id, "33", "?", &effect.call.node, &format!("{fault}; {next}"));
            }
            Event::Degraded { effect, fault, detour, .. } => {
                let next = match detour {
                    Detour::Answered { .. } => "goes on without an answer".to_owned(),
                    Detour::Refused => "is not waited for".to_owned(),
                    Detour::Queued { at: again, .. } => format!("queued; again in {}", print::took(again.since(at))),
                    Detour::Provider { name } => format!("`{name}` does it instead"),
                    Detour::Person => "a person is asked to do it by hand".to_owned(),
                };
                self.mark(id, "33", "!", &effect.call.node, &format!("{fault}; {next}"));
            }
            Event::Done(done) if done.effect.call.role == Role::Undo => {
                let output = match &done.output {
                    Answer::Tool(output) => short(output),
                    Answer::Model(_) | Answer::Code(_) | Answer::Step(_) => String::new(),
                };
                self.mark(id, "32", "↶", &done.effect.call.node, &format!("undone {output}"));
            }
            Event::Done(done) => {
                if let Answer::Tool(output) = &done.output {
                    self.answered.insert((id.clone(), done.effect.call.node.clone()), short(output));
                }
            }
            Event::NotUndone { effect, fault } => {
                self.mark(id, "31", "✗", &effect.call.node, &format!("not undone: {fault}"))
            }
            Event::UndoAgain { effect, .. } => self.mark(id, "32", "↶", &effect.call.node, "undone once more"),
            Event::Ended(ended) => self.ended(id, at, ended),
            Event::Compensating => print::line(format_args!("{}undoing what was done, newest first", self.margin)),
            _ => {}
        }
    }

    fn ended(&mut self, id: &RunId, at: Time, ended: &Ended) {
        let (node, how) = (&ended.node, &ended.how);
        let answered = self.answered.remove(&(id.clone(), node.clone())).unwrap_or_default();
        let took = self.began.remove(&(id.clone(), node.clone())).map(|began| at.since(began));
        let took = took.filter(|took| took.as_millis() > 0).map(|took| format!(" {}", print::took(took)));
        let took = took.unwrap_or_default();
        match how {
            How::Completed { output } if failures(output).next().is_some() => {
                let failed = failures(output).collect::<Vec<_>>().join("; ");
                let is_all = results(output).all(|(_, result)| result["success"] == false);
                let (colour, sign) = if is_all { ("31", "✗") } else { ("33", "!") };
                self.mark(id, colour, sign, node, &format!("{failed}{took}"));
            }
            How::Completed { output } => self.mark(id, "32", "✓", node, &format!("{}{took}", short(output))),
            How::Answered => self.mark(id, "32", "✓", node, &format!("{answered}{took}")),
            How::Failed { fault } => self.mark(id, "31", "✗", node, &format!("{fault}{took}")),
            How::Caught { fault } => self.mark(id, "33", "!", node, &format!("{fault}; goes on{took}")),
            How::Skipped => self.mark(id, "2", "·", node, "skipped"),
            How::Cancelled => self.mark(id, "2", "·", node, "cut off"),
        }
    }

    fn mark(&mut self, id: &RunId, colour: &str, sign: &str, node: &Address, text: &str) {
        let node = match &self.subject {
            Some(subject) if subject == id => node.to_string(),
            Some(subject) => {
                let inner =
                    id.as_str().strip_prefix(subject.as_str()).map_or(id.as_str(), |rest| rest.trim_start_matches('/'));
                format!("{inner} › {node}")
            }
            None => {
                if self.told_last.as_ref() != Some(id) {
                    print::line(format_args!("run {id}"));
                    self.told_last = Some(id.clone());
                }
                node.to_string()
            }
        };
        print::line(format_args!("{}{} {node:<24} {text}", self.margin, print::paint(colour, sign)));
    }
}

/// By tool, where that is what an output is: a node that performs what was asked for completes whatever became of it.
fn results(output: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let is_result = |(tool, result): (&String, &Value)| result["tool"] == **tool && result["success"].is_boolean();
    output.as_object().filter(|results| results.iter().all(is_result)).into_iter().flatten()
}

/// Why calls failed.
fn failures(output: &Value) -> impl Iterator<Item = String> {
    results(output).filter(|(_, result)| result["success"] == false).map(|(tool, result)| {
        let said = |key: &str| result[key].as_str().unwrap_or_default();
        let why = if said("error_details").is_empty() { said("error") } else { said("error_details") };
        format!("`{tool}` failed: {}: {why}", said("error_code"))
    })
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

/// How a run ended or where it stands, in a line: the state, the time, the cost, the fault.
pub fn ending(run: &Run) -> String {
    let state = run.state();
    let colour = if state == State::Completed { "32" } else { "33" };
    let fault = run.fault().map(|fault| format!(": {fault}")).unwrap_or_default();
    let took = print::took(run.now().since(run.started_at()));
    let ending = if run.is_ending() && state == State::Waiting { " to end" } else { "" };
    format!("{}{ending} after {took}, {}{fault}", print::paint(colour, state.word()), run.cost())
}

/// The last lines: how it ended, what could not be undone, what it answered, or what it waits for and the way on.
/// `command` begins a command line that speaks of the project.
pub fn conclude(run: &Run, follower: &Follower, command: &str) {
    print::line(ending(run));
    if let Some(action) = run.fault().and_then(|fault| fault.suggested_action.as_ref()) {
        print::note(format_args!("  hint: {action}"));
    }
    for row in left_standing(run) {
        print::line(row);
    }
    if let Some(output) = run.finished().map(|end| &end.output).filter(|output| !output.is_null()) {
        print::pretty(output);
    }
    for open in follower.open() {
        print::line(way_on(&open, command, follower.entries(&open.run)));
    }
}

/// What a rollback left, a line each.
fn left_standing(run: &Run) -> Vec<String> {
    // As it stands now: somebody may have undone by hand what was left then.
    let report = run.finished().and_then(|end| end.undone.as_ref()).map(|_| run.saga().report()).unwrap_or_default();
    let rows = report.as_array().cloned().unwrap_or_default();
    let text = |row: &Value, key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = |row: &Value| {
        let why = match text(row, "state").as_str() {
            "undone" => return None,
            "irreversible" => format!("stays: {}", text(row, "reason")),
            "not_undone" => format!("not undone: {}", text(row, "reason")),
            "in_doubt" => "nobody knows whether it was undone".to_owned(),
            _ => "stays".to_owned(),
        };
        Some(format!("  {:<26} {why}", text(row, "node")))
    };
    rows.iter().filter_map(line).collect()
}
